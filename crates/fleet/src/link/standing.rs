//! How the machine is with its target: a pure function of what is known, whose table is in the tests.
//!
//! | state | when, the first that is true |
//! |---|---|
//! | suspended | its owner has stopped it from taking targets, gave the source up, or went back to another commit |
//! | refused | the target isn't one that this machine may take, or is broken for it |
//! | changing | there is no target, or not all of it is here, or in force, or told of every unit; or its guard asks a person |
//! | failed | a unit's version as the target has it failed |
//! | ready | every unit is as the target has it, and serves or has completed |
//! | changing | otherwise |

use crate::protocol::{MachineState, ObjectId, TROUBLES_MAX, Target, Trouble};
use abide_agent::{SourceReport, SourceState, UnitReport};
use abide_reconcile::{Digest, Revision, UnitId, Wish};
use std::collections::BTreeMap;

/// Characters of a text in a report.
const TEXT_MAX: usize = 300;

/// What is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) target: Option<Target>,
    pub(super) taking: Taking,
    pub(super) source: Option<SourceReport>,
    pub(super) units: BTreeMap<UnitId, UnitReport>,
}

/// How far the target has been taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Taking {
    /// It is being judged, or what it needs is being brought.
    #[default]
    UnderWay,
    /// That can't go on: why, and that it is tried again.
    Interrupted(String),
    /// It may not be taken: why.
    Refused(String),
    /// It was taken. These are its units, in their versions.
    Taken(BTreeMap<UnitId, Digest>),
}

/// What a report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) state: MachineState,
    pub(super) message: String,
    pub(super) in_force: Option<ObjectId>,
    pub(super) units: BTreeMap<String, u32>,
    pub(super) troubles: Vec<Trouble>,
}

impl Taking {
    /// What was taken, as the agent is told.
    pub(super) fn taken(revision: &Revision) -> Self {
        match &revision.wish {
            Wish::Complete(complete) => {
                Self::Taken(complete.units().iter().map(|(id, want)| (id.clone(), want.digest)).collect())
            }
            Wish::Refused(why) => Self::Refused(why.to_string()),
            Wish::Withdrawn => Self::Refused("it says nothing".to_owned()),
        }
    }
}

/// What there is to say.
pub(super) fn said(standing: &Standing) -> Said {
    let (state, message) = state(standing);
    let mut units = BTreeMap::new();
    for report in standing.units.values() {
        *units.entry(report.status.state.clone()).or_default() += 1;
    }
    let in_force = standing.source.as_ref().and_then(|source| source.in_force.as_ref()?.parse().ok());
    Said { state, message: line(&message), in_force, units, troubles: troubles(&standing.units) }
}

fn state(standing: &Standing) -> (MachineState, String) {
    let Standing { target, taking, source, units } = standing;
    let changing = |why: &str| (MachineState::Changing, why.to_owned());
    if let Some(source) = source
        && matches!(source.state, SourceState::Suspended | SourceState::Withdrawn)
    {
        return (MachineState::Suspended, source.message.clone());
    }
    let Some(target) = target else { return changing("no target was told so far") };
    let expected = match taking {
        Taking::UnderWay => return changing("what the target needs is being brought"),
        Taking::Interrupted(why) => return changing(why),
        Taking::Refused(why) => return (MachineState::Refused, why.clone()),
        Taking::Taken(expected) => expected,
    };
    let commit = target.commit.to_string();
    let Some(source) = source else { return changing("the agent begins") };
    if source.told.as_ref() != Some(&commit) {
        // Of one that follows there is nothing to say but that a person went back to another commit.
        let is_back = source.state == SourceState::Following && !source.message.is_empty();
        return if is_back { (MachineState::Suspended, source.message.clone()) } else { changing("it was just taken") };
    }
    match source.state {
        SourceState::Refused => return (MachineState::Refused, source.message.clone()),
        // That says nothing against the commit, yet: a person may take as long for it as the machine to be well with it.
        SourceState::Held => return changing(&source.message),
        // The hub is told of this, so it can be reached.
        SourceState::Following | SourceState::Unreachable => {}
        SourceState::Suspended | SourceState::Withdrawn => return (MachineState::Suspended, source.message.clone()),
    }
    if source.in_force.as_ref() != Some(&commit) {
        return changing("it is coming into force");
    }
    let is_as_expected = |(unit, report): (&UnitId, &UnitReport)| expected.get(unit).copied() == report.wanted;
    if !expected.keys().all(|unit| units.contains_key(unit)) || !units.iter().all(is_as_expected) {
        return changing("units are being changed");
    }
    let failed = units.iter().find(|(_, report)| report.taken_back || report.status.state == "failed");
    if let Some((unit, report)) = failed {
        return (MachineState::Failed, format!("{}: {}", name(unit), report.status.message));
    }
    let other = units.iter().find(|(_, report)| report.status.state != "settled" || !report.status.ready);
    match other {
        None => (MachineState::Ready, String::new()),
        Some((unit, report)) => changing(&format!("{}: {}", name(unit), why(report))),
    }
}

/// Those that aren't as they should be, the worst first.
fn troubles(units: &BTreeMap<UnitId, UnitReport>) -> Vec<Trouble> {
    let mut found: Vec<_> = units.iter().filter(|(_, report)| report.status.state != "settled").collect();
    found.sort_by_key(|(_, report)| report.status.state != "failed");
    let trouble = |(unit, report): (&UnitId, &UnitReport)| Trouble {
        unit: name(unit),
        state: report.status.state.clone(),
        message: line(why(report)),
    };
    found.into_iter().take(TROUBLES_MAX).map(trouble).collect()
}

fn why(report: &UnitReport) -> &str {
    report.status.waiting.as_deref().unwrap_or(&report.status.message)
}

/// A unit as its documents call it.
pub(super) fn name(unit: &UnitId) -> String {
    format!("{}/{}", unit.kind, unit.name)
}

/// The begin of a text, in a line.
pub(super) fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests;
