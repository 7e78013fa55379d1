//! What an object's status says: pure.
//!
//! `Ready` is always there, `Reconciling` and `Stalled` only while they are true: that is what `kubectl wait`, Flux, Argo CD
//! and Helm read (kstatus).
//!
//! | the object | Ready | besides |
//! |---|---|---|
//! | is mistaken | False Invalid | Stalled |
//! | waits for a ConfigMap, its finalizer, another object | Pending | Reconciling |
//! | is wished, and the agent has yet to take it up | Accepting | Reconciling |
//! | the same, and the guard asks a person | Held | Stalled |
//! | serves as wished, has completed, or has its data | True Serving, Completed, Provisioned | |
//! | is on its way there | Changing, Waiting | Reconciling |
//! | its version was bad: the one before runs | False TakenBack | Stalled |
//! | was given up until it changes | False Failed | Stalled |
//! | is being deleted, and others need it | as it is | Reconciling |
//! | is being deleted | False Terminating | Reconciling |
//!
//! Where no word stands before the reason, it is Unknown while what was there before serves, and else False.

use crate::{
    crd::{Condition, ConditionStatus, Status},
    documents::Standing,
};
use abide_agent::{SourceReport, SourceState, UnitReport};
use abide_spec::{Digest, Kind};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::Value;

pub(crate) const INVALID: &str = "Invalid";
pub(crate) const HELD: &str = "Held";

/// The conditions that are ours: others write theirs beside them.
const OURS: [&str; 3] = ["Ready", "Reconciling", "Stalled"];
/// What a condition's message may have.
const MESSAGE_CHARS_MAX: usize = 4000;

/// What is known of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) node: &'a str,
    pub(crate) kind: Kind,
    pub(crate) generation: i64,
    pub(crate) standing: &'a Standing,
    /// The version that is wished for it.
    pub(crate) wanted: Option<Digest>,
    /// As the agent says.
    pub(crate) unit: Option<&'a UnitReport>,
    pub(crate) source: Option<&'a SourceReport>,
}

/// What follows.
struct Verdict {
    ready: ConditionStatus,
    reason: &'static str,
    message: String,
    besides: Besides,
}

/// Which other condition is there. It has Ready's reason and message, unless it says one of its own.
enum Besides {
    Nothing,
    Reconciling,
    ReconcilingAs(&'static str, String),
    Stalled,
}

/// A status as the API server has it, but for conditions that aren't ours.
pub(crate) fn read(status: &Value) -> Status {
    let mut status: Status = serde_json::from_value(status.clone()).unwrap_or_default();
    status.conditions.retain(|condition| OURS.contains(&condition.kind.as_str()));
    status
}

/// A status but for when it came to be so.
pub(crate) fn timeless(status: &Status) -> Status {
    let mut status = status.clone();
    status.conditions.iter_mut().for_each(|condition| condition.last_transition_time = Time(Timestamp::UNIX_EPOCH));
    status
}

/// The reason and message of the condition `Stalled`, if it is there.
pub(crate) fn stalled(status: &Status) -> Option<(&str, &str)> {
    let stalled = status.conditions.iter().find(|condition| condition.kind == "Stalled")?;
    Some((&stalled.reason, &stalled.message))
}

/// Whether all is as it should be, and nothing is awaited.
pub(crate) fn is_ready(status: &Status) -> bool {
    let [ready] = status.conditions.as_slice() else { return false };
    ready.status == ConditionStatus::True
}

/// Whether it will be otherwise by itself.
pub(crate) fn is_on_its_way(status: &Status) -> bool {
    status.conditions.iter().any(|condition| condition.kind == "Reconciling")
}

/// What is to be written. `now` is the time of what changes.
pub(crate) fn status(facts: &Facts<'_>, before: &Status, now: &Time) -> Status {
    let verdict = verdict(facts);
    let message = clipped(&verdict.message);
    let condition = |kind: &str, status, reason: &str, message: &str| {
        let same = before.conditions.iter().find(|condition| condition.kind == kind && condition.status == status);
        Condition {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: same.map_or_else(|| now.clone(), |same| same.last_transition_time.clone()),
            observed_generation: Some(facts.generation),
        }
    };
    let ready = condition("Ready", verdict.ready, verdict.reason, &message);
    let besides = match &verdict.besides {
        Besides::Nothing => None,
        Besides::Reconciling => Some(("Reconciling", verdict.reason, message.clone())),
        Besides::ReconcilingAs(reason, text) => Some(("Reconciling", *reason, clipped(text))),
        Besides::Stalled => Some(("Stalled", verdict.reason, message.clone())),
    };
    let besides = besides.map(|(kind, reason, text)| condition(kind, ConditionStatus::True, reason, &text));
    let unit = facts.unit.map(|unit| &unit.status);
    let instances = unit.map_or(&[][..], |unit| &unit.instances);
    let instance = instances.iter().find(|instance| instance.role == "active").or(instances.last());
    Status {
        observed_generation: Some(facts.generation),
        conditions: [Some(ready), besides].into_iter().flatten().collect(),
        node: Some(facts.node.to_owned()),
        instance: instance.map(|instance| instance.id.clone()),
        addresses: unit.iter().flat_map(|unit| unit.addresses.iter().map(ToString::to_string)).collect(),
        restarts: unit.map(|unit| i32::try_from(unit.restarts).unwrap_or(i32::MAX)),
        message: Some(message).filter(|message| !message.is_empty()),
    }
}

fn verdict(facts: &Facts<'_>) -> Verdict {
    let serves = facts.unit.is_some_and(|unit| unit.status.ready);
    let no = |reason, message: &str, besides| Verdict {
        ready: ConditionStatus::False,
        reason,
        message: message.to_owned(),
        besides,
    };
    match facts.standing {
        Standing::Mistaken(why) if serves => {
            no(INVALID, &format!("{why}; what was there before is kept"), Besides::Stalled)
        }
        Standing::Mistaken(why) => no(INVALID, why, Besides::Stalled),
        Standing::Pending(why) => changing(serves, "Pending", why, Besides::Reconciling),
        Standing::Unfinalized => changing(serves, "Pending", "it waits for its finalizer", Besides::Reconciling),
        Standing::Leaving => no("Terminating", "it is being removed from its node", Besides::Reconciling),
        Standing::Wished => wished(facts),
        Standing::Needed(by) => {
            let names: Vec<String> = by.iter().map(|unit| format!("{}/{}", unit.kind, unit.name)).collect();
            let text = format!("it is deleted as soon as nothing needs it: still used by {}", names.join(", "));
            Verdict { besides: Besides::ReconcilingAs("Terminating", text), ..wished(facts) }
        }
    }
}

/// What is there before a version is there serves, or nothing does.
fn changing(serves: bool, reason: &'static str, message: &str, besides: Besides) -> Verdict {
    let ready = if serves { ConditionStatus::Unknown } else { ConditionStatus::False };
    Verdict { ready, reason, message: message.to_owned(), besides }
}

fn wished(facts: &Facts<'_>) -> Verdict {
    let Some(unit) = facts.unit.filter(|unit| unit.wanted.is_some() && unit.wanted == facts.wanted) else {
        return accepting(facts);
    };
    let (serves, message) = (unit.status.ready, unit.status.message.as_str());
    let failed = |reason| Verdict {
        ready: ConditionStatus::False,
        reason,
        message: message.to_owned(),
        besides: Besides::Stalled,
    };
    match unit.status.state.as_str() {
        _ if unit.taken_back => failed("TakenBack"),
        "failed" => failed("Failed"),
        "held" => changing(serves, HELD, message, Besides::Stalled),
        "settled" if serves => settled(facts.kind, message),
        // As a pod without a probe is: whether it proves itself is the Reconciler's affair, and seen if it doesn't.
        "changing" if unit.serves_wanted => settled(facts.kind, ""),
        "waiting" => changing(serves, "Waiting", message, Besides::Reconciling),
        _ => changing(serves, "Changing", message, Besides::Reconciling),
    }
}

fn settled(kind: Kind, message: &str) -> Verdict {
    let (reason, text) = match (kind, message) {
        (Kind::Volume, _) => ("Provisioned", "its data is there"),
        (_, "completed") => ("Completed", "it ran to its end"),
        _ => ("Serving", "it runs as written"),
    };
    Verdict { ready: ConditionStatus::True, reason, message: text.to_owned(), besides: Besides::Nothing }
}

/// The agent has not taken this version up so far.
fn accepting(facts: &Facts<'_>) -> Verdict {
    let serves = facts.unit.is_some_and(|unit| unit.status.ready);
    match facts.source {
        Some(source) if source.state == SourceState::Held => changing(serves, HELD, &source.message, Besides::Stalled),
        Some(source) if !source.message.is_empty() => {
            changing(serves, "Accepting", &source.message, Besides::Reconciling)
        }
        _ => changing(serves, "Accepting", "its node is about to take it up", Besides::Reconciling),
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} …", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Name, UnitId};
    use serde_json::json;

    fn time(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn id(name: &str) -> UnitId {
        UnitId { scope: Name::new("shop").unwrap(), kind: Kind::Container, name: Name::new(name).unwrap(), index: 0 }
    }

    /// A unit as the agent tells of it: in a state, as this version.
    fn report(state: &str, ready: bool, message: &str, wanted: &str) -> UnitReport {
        let status = json!({
            "source": "kubernetes", "scope": "shop", "kind": "Container", "name": "web", "index": 0, "state": state,
            "ready": ready, "waiting": null, "message": message, "restarts": 2, "addresses": ["10.1.0.2"],
            "instances": [
                { "id": "1-7", "role": "active", "state": "running", "pid": 1, "exit_code": null },
                { "id": "1-9", "role": "candidate", "state": "starting", "pid": null, "exit_code": null },
            ],
        });
        let status = serde_json::from_value(status).unwrap();
        UnitReport { status, wanted: Some(Digest::of(wanted.as_bytes())), serves_wanted: false, taken_back: false }
    }

    fn source(state: SourceState, message: &str) -> SourceReport {
        SourceReport { told: None, in_force: None, state, message: message.to_owned(), held: None }
    }

    fn tell(status: &Status) -> String {
        let conditions = status.conditions.iter().map(|Condition { kind, status, reason, message, .. }| {
            format!("  {kind} {status:?} {reason}: {message}\n")
        });
        conditions.collect()
    }

    /// Each row of the module's table.
    #[test]
    fn what_is_known_is_told_as_the_table_says() {
        let wished = Standing::Wished;
        let mistaken = Standing::Mistaken("`image` is missing".to_owned());
        let pending = Standing::Pending("ConfigMap/x is being read".to_owned());
        let needed = Standing::Needed(vec![id("a"), id("b")]);
        let held = source(SourceState::Held, "removes everything it owns (4 units): `abide allow 1` says yes to that");
        let serving = report("settled", true, "", "new");
        let taken_back = UnitReport { taken_back: true, ..report("failed", true, "taken back: exited with 1", "new") };
        let proving =
            UnitReport { serves_wanted: true, ..report("changing", true, "proves itself for another 3 s", "new") };
        let cases = [
            ("mistaken, new", &mistaken, None, None),
            ("mistaken, and the version before serves", &mistaken, Some(report("settled", true, "", "old")), None),
            ("waits for the cluster", &pending, None, None),
            ("waits, and the version before serves", &pending, Some(report("settled", true, "", "old")), None),
            ("nobody has taken it up", &wished, None, None),
            ("the guard asks", &wished, Some(report("settled", true, "", "old")), Some(held)),
            ("as wished", &wished, Some(serving.clone()), None),
            ("completed", &wished, Some(report("settled", true, "completed", "new")), None),
            ("starting", &wished, Some(report("changing", false, "is being started", "new")), None),
            ("replacing", &wished, Some(report("changing", true, "is being started", "new")), None),
            ("serving, and has yet to prove itself", &wished, Some(proving), None),
            ("not ready", &wished, Some(report("waiting", false, "its probe says no", "new")), None),
            ("given up", &wished, Some(report("failed", false, "exited with 1", "new")), None),
            ("taken back", &wished, Some(taken_back), None),
            ("deleted and needed", &needed, Some(serving.clone()), None),
            ("deleted", &Standing::Leaving, Some(serving), None),
        ];
        let mut told = String::new();
        for (name, standing, unit, source) in &cases {
            let facts = Facts {
                node: "n1",
                kind: Kind::Container,
                generation: 3,
                standing,
                wanted: Some(Digest::of(b"new")),
                unit: unit.as_ref(),
                source: source.as_ref(),
            };
            told += &format!("{name}\n{}", tell(&status(&facts, &Status::default(), &time(0))));
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn times_change_with_what_is_so_and_others_conditions_are_theirs() {
        let unit = report("settled", true, "", "new");
        let facts = Facts {
            node: "n1",
            kind: Kind::Container,
            generation: 1,
            standing: &Standing::Wished,
            wanted: unit.wanted,
            unit: Some(&unit),
            source: None,
        };
        let first = status(&facts, &Status::default(), &time(1));
        assert_eq!(first.instance.as_deref(), Some("1-7"), "the one that serves");
        assert_eq!((first.restarts, first.addresses.as_slice()), (Some(2), &["10.1.0.2".to_owned()][..]));
        let mut written = serde_json::to_value(&first).unwrap();
        let scheduled = json!({ "type": "Scheduled", "status": "True", "reason": "A", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        written["conditions"].as_array_mut().unwrap().push(scheduled);
        let again = status(&facts, &read(&written), &time(2));
        assert_eq!(again, read(&written), "nothing is to be written");
        let changing = report("changing", true, "is being replaced", "new");
        let later = status(&Facts { unit: Some(&changing), ..facts }, &again, &time(3));
        assert_eq!(later.conditions[0].last_transition_time, time(3));
    }
}
