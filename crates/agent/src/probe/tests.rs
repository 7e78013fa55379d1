use super::*;
use abide_reconcile::{Kind, Name, Unit, UnitSpec, Want};
use std::sync::Arc;

const EPOCH: u64 = 5;

fn ms(n: u64) -> Time {
    Time::from_millis(n)
}

fn unit_id() -> UnitId {
    let name = Name::new("web").unwrap();
    UnitId { scope: name.clone(), kind: Kind::Container, name, index: 0 }
}

fn seen(epoch: u64, role: Role, probes: &str) -> Seen {
    let spec = format!(r#"{{"image": "x", {probes}}}"#);
    let unit = Unit {
        id: unit_id(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: UnitSpec::Container(Arc::new(serde_json::from_str(&spec).unwrap())),
        config_maps: BTreeMap::new(),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        insecure_registries: Vec::new(),
    };
    Seen {
        instance: InstanceId { epoch, n: 1 },
        role,
        phase: Phase::Running { started: ms(0), ready: Some(ms(0)), failing: false },
        want: Arc::new(Want::new(Arc::new(unit))),
        attempt: 0,
    }
}

const READINESS: &str = r#""readiness": {"tcp": {"port": 1}, "interval": "1s", "failureThreshold": 2}"#;
const LIVENESS: &str =
    r#""liveness": {"tcp": {"port": 1}, "interval": "1s", "failureThreshold": 2, "startPeriod": "5s"}"#;

/// Runs tries, each of which takes no time, with these results; tells when each began, and what was thought after it.
fn story(seen: &Seen, results: &[bool]) -> Vec<(u64, Option<u64>, bool)> {
    let mut probes = Probes::new(EPOCH);
    probes.see(ms(0), &unit_id(), [seen].into_iter());
    let mut story = Vec::new();
    for is_well in results {
        let now = probes.wake_at().unwrap();
        let Try { which, .. } = probes.poll(now).unwrap();
        assert_eq!(probes.poll(now), None);
        probes.end(now, which, *is_well);
        let Phase::Running { ready, failing, .. } = probes.judge(seen).phase else { unreachable!() };
        story.push((now.as_millis() as u64, ready.map(|ready| ready.as_millis() as u64), failing));
    }
    story
}

#[test]
fn readiness_is_tried_eagerly_and_lost_after_the_threshold() {
    let seen = seen(EPOCH, Role::Candidate, READINESS);
    let found = story(&seen, &[false, false, true, false, true, false, false, true]);
    let expected = [
        (0, None, false),
        (10, None, false),
        (30, Some(30), false),
        (1030, Some(30), false),
        (2030, Some(30), false),
        (3030, Some(30), false),
        (4030, None, false),
        (5030, Some(5030), false),
    ];
    assert_eq!(found, expected);
}

#[test]
fn liveness_counts_after_the_start_period_and_is_final() {
    let seen = seen(EPOCH, Role::Active, LIVENESS);
    let results = [false, false, false, false, false, false, false, true];
    let failing: Vec<(u64, bool)> = story(&seen, &results).into_iter().map(|(at, _, failing)| (at, failing)).collect();
    let expected = [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000].map(|at| (at, at >= 6000));
    assert_eq!(failing, expected);
}

#[test]
fn an_agents_restart_doubts_nobody() {
    let active = seen(EPOCH - 1, Role::Active, READINESS);
    let ready: Vec<_> = story(&active, &[false, false]).into_iter().map(|(_, ready, _)| ready).collect();
    assert_eq!(ready, [Some(0), None], "an active one is doubted after the threshold");
    let candidate = seen(EPOCH - 1, Role::Candidate, READINESS);
    let ready: Vec<_> = story(&candidate, &[false]).into_iter().map(|(_, ready, _)| ready).collect();
    assert_eq!(ready, [None], "a candidate is believed until it was asked");
    assert_eq!(story(&candidate, &[true])[0].1, Some(0));
}

#[test]
fn who_is_gone_is_not_probed() {
    let mut probes = Probes::new(EPOCH);
    let seen = seen(EPOCH, Role::Active, &format!("{READINESS}, {LIVENESS}"));
    probes.see(ms(0), &unit_id(), [&seen].into_iter());
    let first = probes.poll(ms(0)).unwrap();
    probes.see(ms(1), &unit_id(), std::iter::empty());
    assert_eq!((probes.wake_at(), probes.poll(ms(9))), (None, None));
    assert_eq!(probes.end(ms(10), first.which, true), None, "a late answer is nobody's");
    assert_eq!(probes.wake_at(), None);
    assert_eq!(probes.judge(&seen).phase, seen.phase);
}

#[test]
fn without_probes_there_is_nothing_to_wake_for() {
    let mut probes = Probes::new(EPOCH);
    let seen = seen(EPOCH, Role::Active, r#""args": []"#);
    probes.see(ms(0), &unit_id(), [&seen].into_iter());
    assert_eq!(probes.wake_at(), None);
    assert_eq!(probes.running(&unit_id()), [seen.instance].into());
}
