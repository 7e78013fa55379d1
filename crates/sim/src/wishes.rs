//! Random wishes of two sources, good and bad versions among them. One is like a repository; of the other, which has units
//! in two scopes, people say what they want to go, as they do where objects are deleted one by one; and what was missing at
//! once comes back one by one.

use crate::rng::Rng;
use abide_reconcile::{Complete, Kind, Name, SourceId, Unit, UnitId, UnitSpec, Want};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

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
    static SOURCES: LazyLock<[SourceId; 2]> = LazyLock::new(|| ["a", "b"].map(|text| SourceId(name(text))));
    SOURCES.clone()
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name of the simulation")
}

/// The scope of a source's unit: its own, or another that no other source has.
fn scope(source: &SourceId, text: &str) -> Name {
    if source.0.as_str() == "b" && text == "u5" { name("c") } else { source.0.clone() }
}

pub(crate) fn id(source: &SourceId, kind: Kind, text: &str) -> UnitId {
    UnitId { scope: scope(source, text), kind, name: name(text), index: 0 }
}

pub(crate) fn unit(source: &SourceId, kind: Kind, name: &str, spec: Value, revision: u64) -> Arc<Want> {
    let container = |spec| serde_json::from_value(spec).map(Arc::new).map(UnitSpec::Container);
    let volume = |spec| serde_json::from_value(spec).map(Arc::new).map(UnitSpec::Volume);
    let spec = if kind == Kind::Volume { volume(spec) } else { container(spec) };
    let unit = Unit {
        id: id(source, kind, name),
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
    let wish = Complete::new(kept.collect::<Vec<_>>()).expect("needs point backwards only");
    wish.confirming(confirmed(rng, source)).missing(missing(rng, source))
}

/// So many were missing at once, without a word: those that are here by now came back one by one.
fn missing(rng: &mut Rng, source: &SourceId) -> usize {
    if source.0.as_str() == "a" || rng.chance(2, 3) { 0 } else { rng.below(9) as usize }
}

/// Units that somebody said are to go, wanted ones among them: those stay.
fn confirmed(rng: &mut Rng, source: &SourceId) -> BTreeSet<UnitId> {
    if source.0.as_str() == "a" || rng.chance(1, 3) {
        return BTreeSet::new();
    }
    let share = if rng.chance(1, 2) { 4 } else { 1 };
    let volumes = (0..2).map(|n| id(source, Kind::Volume, &format!("v{n}")));
    let containers = (0..6).map(|n| id(source, Kind::Container, &format!("u{n}")));
    volumes.chain(containers).filter(|_| rng.chance(share, 4)).collect()
}

fn container(rng: &mut Rng, source: &SourceId, n: u64, seat: u64, flaws: bool, before: &[Arc<Want>]) -> Arc<Want> {
    let is_job = n == 0;
    let mut needs = Vec::new();
    let scope = scope(source, &format!("u{n}"));
    for want in before.iter().filter(|want| want.unit.kind() == Kind::Container && want.unit.id.scope == scope) {
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
        // A volume is of the scope that it is used in.
        0 | 1 if scope != source.0 => {}
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
