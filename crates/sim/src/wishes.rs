//! Random wishes of two sources, good and bad versions among them.

use crate::rng::Rng;
use abide_reconcile::{Complete, Kind, Name, SourceId, Unit, UnitId, UnitSpec, Want};
use serde_json::{Value, json};
use std::sync::Arc;

/// What is wrong with a version; its image's name says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    ExitsAtOnce,
    NeverReady,
    ExitsWhenReady,
    CannotPrepare,
    FailsLater,
}

const FLAWS: [(Flaw, &str); 5] = [
    (Flaw::ExitsAtOnce, "exits"),
    (Flaw::NeverReady, "unready"),
    (Flaw::ExitsWhenReady, "exits-when-ready"),
    (Flaw::CannotPrepare, "missing"),
    (Flaw::FailsLater, "fails"),
];

impl Flaw {
    pub(crate) fn of(want: &Want) -> Self {
        let UnitSpec::Container(spec) = &want.unit.spec else { return Self::None };
        let name = spec.image.split(':').next().unwrap_or_default();
        FLAWS.iter().find(|(_, flaw)| *flaw == name).map_or(Self::None, |(flaw, _)| *flaw)
    }
}

/// Two repositories. Their units never meet, but their host ports do.
pub(crate) fn sources() -> [SourceId; 2] {
    ["a", "b"].map(|name| SourceId(self::name(name)))
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name of the simulation")
}

pub(crate) fn unit(source: &SourceId, kind: Kind, name: &str, spec: Value, revision: u64) -> Arc<Want> {
    let container = |spec| serde_json::from_value(spec).map(Arc::new).map(UnitSpec::Container);
    let volume = |spec| serde_json::from_value(spec).map(Arc::new).map(UnitSpec::Volume);
    let spec = if kind == Kind::Volume { volume(spec) } else { container(spec) };
    let unit = Unit {
        id: UnitId { scope: source.0.clone(), kind, name: self::name(name), index: 0 },
        labels: [("revision".to_owned(), revision.to_string())].into(),
        annotations: [].into(),
        spec: spec.expect("a spec of the simulation"),
        config_maps: [].into(),
        secrets: [].into(),
        files: [].into(),
        insecure_registries: Vec::new(),
    };
    Arc::new(Want::new(Arc::new(unit)))
}

/// What a source might say next. Without flaws, every version of it works.
pub(crate) fn random(rng: &mut Rng, source: &SourceId, flaws: bool) -> Complete {
    let mut units: Vec<Arc<Want>> = Vec::new();
    for n in 0..2 {
        let reclaim = if rng.chance(1, 6) { "Delete" } else { "Keep" };
        units.push(unit(source, Kind::Volume, &format!("v{n}"), json!({ "reclaim": reclaim }), 0));
    }
    // Host ports and volumes change hands between the units.
    let turn = rng.below(6);
    let spread = if rng.chance(1, 8) { 3 } else { 10 };
    for n in 0..6 {
        if rng.chance(spread, 12) {
            let want = container(rng, source, n, (n + turn) % 6, flaws, &units);
            units.push(want);
        }
    }
    let is_used = |volume: &Want| units.iter().any(|want| want.needs.contains_key(&volume.unit.id));
    let mut is_kept = |want: &Want| want.unit.kind() != Kind::Volume || is_used(want) || rng.chance(1, 2);
    let kept: Vec<bool> = units.iter().map(|want| is_kept(want)).collect();
    let kept = units.iter().zip(kept).filter(|(_, kept)| *kept).map(|(want, _)| Arc::clone(want));
    Complete::new(kept.collect::<Vec<_>>()).expect("needs point backwards only")
}

fn container(rng: &mut Rng, source: &SourceId, n: u64, seat: u64, flaws: bool, before: &[Arc<Want>]) -> Arc<Want> {
    let is_job = n == 0;
    let mut needs = Vec::new();
    for want in before.iter().filter(|want| want.unit.kind() == Kind::Container) {
        let other = want.unit.id.name.as_str();
        let condition = if other == "u0" { "Completed" } else { "Ready" };
        if rng.chance(1, if other == "u0" { 2 } else { 5 }) {
            needs.push(json!({ "unit": format!("Container/{other}"), "condition": condition }));
        }
    }
    let flaw = if flaws && !is_job && rng.chance(1, 4) { FLAWS[rng.below(5) as usize].1 } else { "good" };
    let version = if flaws { rng.below(3) } else { 3 + rng.below(3) };
    let mut spec = json!({
        "image": format!("{flaw}:{version}"),
        "dependsOn": needs,
        "restartPolicy": if is_job { "OnFailure" } else { "Always" },
    });
    // What isn't ready in time is only found out by a probe.
    if flaw == "unready" || rng.chance(2, 3) {
        spec["readiness"] = json!({ "tcp": { "port": 80 }, "startPeriod": "15s" });
    }
    match seat {
        0 | 1 => spec["volumes"] = json!([{ "volume": format!("v{seat}"), "mountPath": "/data" }]),
        2 => spec["hostNetwork"] = json!(true),
        // Sources may quarrel about a host port, which no wish can settle: in the end each has its own.
        3 | 4 if flaws || source.0.as_str() == "a" => spec["ports"] = json!([{ "port": 80, "hostPort": 8000 + seat }]),
        3 | 4 => spec["ports"] = json!([{ "port": 80, "hostPort": 9000 + seat }]),
        _ => {}
    }
    let revision = if rng.chance(1, 3) { rng.below(3) } else { 0 };
    unit(source, Kind::Container, &format!("u{n}"), spec, revision)
}
