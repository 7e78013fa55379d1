//! What the records of a source add up to.

use super::record::{Accepted, Origin, Record, Refused};
use abide_reconcile::{Permit, Unit, UnitId, Want, spec::kind::SourceSpec};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// How many commits one can go back to.
const HISTORY_MAX: usize = 20;

/// How many failed versions of a unit are remembered; trying the oldest of them again is no harm.
const BAD_MAX: usize = 32;

/// How far a source is put to sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Suspension {
    /// It is followed.
    #[default]
    No,
    /// What is in force stays so and is kept up; new commits wait.
    Commits,
    /// `abide down`: nothing of it runs, its volumes stay.
    Down,
}

/// A version that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Bad {
    /// Which.
    pub want: Arc<Want>,
    /// How, for people.
    pub why: String,
}

/// What is known of a unit's versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// The last that proved itself.
    pub good: Option<Arc<Want>>,
    /// Those that failed since.
    pub bad: VecDeque<Bad>,
    /// The one that ran to its end.
    pub completed: Option<Arc<Want>>,
}

/// What the records of a source add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The source as registered; `None` when it was withdrawn, or never was.
    pub registered: Option<(SourceSpec, Origin)>,
    /// The wish in force.
    pub accepted: Option<Accepted>,
    /// The newest commit, if it was refused.
    pub refused: Option<Refused>,
    /// Commits that settled, newest last.
    pub history: VecDeque<Accepted>,
    /// Every yes to the next wish.
    pub permits: BTreeSet<Arc<Permit>>,
    /// What stays in force, and the commit it was preferred to.
    pub pin: Option<(String, String)>,
    /// How far it is asleep.
    pub suspension: Suspension,
    /// What is known of its units' versions.
    pub verdicts: BTreeMap<UnitId, Verdicts>,
}

impl State {
    /// Adds one record.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Registered { spec, origin } => self.registered = Some((*spec, origin)),
            Record::Withdrawn => self.registered = None,
            Record::Accepted(accepted) => self.accept(accepted),
            Record::Refused(refused) => self.refused = Some(refused),
            Record::Settled { commit } => self.settle(&commit),
            Record::Allowed { permit } => {
                self.permits.insert(Arc::new(permit));
            }
            Record::Pinned { commit, over } => self.pin = Some((commit, over)),
            Record::Unpinned => self.pin = None,
            Record::Suspended { how } => self.suspension = how,
            Record::Good { unit } => {
                let verdicts = self.verdicts.entry(unit.id.clone()).or_default();
                *verdicts =
                    Verdicts { good: Some(want(unit)), bad: VecDeque::new(), completed: verdicts.completed.take() };
            }
            Record::Bad { unit, why } => {
                let verdicts = self.verdicts.entry(unit.id.clone()).or_default();
                verdicts.bad.push_back(Bad { want: want(unit), why });
                if verdicts.bad.len() > BAD_MAX {
                    verdicts.bad.pop_front();
                }
            }
            Record::Completed { unit } => {
                let verdicts = self.verdicts.entry(unit.id.clone()).or_default();
                verdicts.completed = Some(want(unit));
            }
            Record::Retried { id } => {
                if let Some(verdicts) = self.verdicts.get_mut(&id) {
                    verdicts.bad.clear();
                    verdicts.completed = None;
                    if verdicts.good.is_none() {
                        self.verdicts.remove(&id);
                    }
                }
            }
            Record::Forgotten { id } => {
                self.verdicts.remove(&id);
            }
        }
    }

    /// The fewest records that add up to this state.
    pub fn records(&self) -> Vec<Record> {
        let registered = self.registered.iter();
        let registered =
            registered.map(|(spec, origin)| Record::Registered { spec: Box::new(spec.clone()), origin: *origin });
        let settled = self.history.iter().flat_map(|accepted| {
            [Record::Accepted(accepted.clone()), Record::Settled { commit: accepted.commit.clone() }]
        });
        let accepted = self.accepted.iter().cloned().map(Record::Accepted);
        let refused = self.refused.iter().cloned().map(Record::Refused);
        let permits = self.permits.iter().map(|permit| Record::Allowed { permit: (**permit).clone() });
        let pin = self.pin.iter().map(|(commit, over)| Record::Pinned { commit: commit.clone(), over: over.clone() });
        let suspension = Some(self.suspension).filter(|suspension| *suspension != Suspension::No);
        let verdicts = self.verdicts.values().flat_map(|verdicts| {
            let good = verdicts.good.iter().map(|want| Record::Good { unit: Arc::clone(&want.unit) });
            let bad =
                verdicts.bad.iter().map(|bad| Record::Bad { unit: Arc::clone(&bad.want.unit), why: bad.why.clone() });
            let completed = verdicts.completed.iter().map(|want| Record::Completed { unit: Arc::clone(&want.unit) });
            good.chain(bad).chain(completed)
        });
        registered
            .chain(settled)
            .chain(accepted)
            .chain(refused)
            .chain(permits)
            .chain(pin)
            .chain(suspension.map(|how| Record::Suspended { how }))
            .chain(verdicts)
            .collect()
    }

    /// The commit that the source said last, as far as it is known: it need not be said again.
    pub fn said(&self) -> Option<&str> {
        let refused = self.refused.as_ref().map(|refused| refused.commit.as_str());
        let pinned_over = self.pin.as_ref().map(|(_, over)| over.as_str());
        let accepted = self.accepted.as_ref().map(|accepted| accepted.commit.as_str());
        refused.or(pinned_over).or(accepted).filter(|commit| !commit.is_empty())
    }

    /// Commits that must not get lost, the newest first: what is in force, and what one can go back to.
    pub fn keep(&self) -> Vec<String> {
        let mut keep: Vec<String> = Vec::new();
        let pinned = self.pin.iter().map(|(commit, _)| commit);
        let all = self.accepted.iter().chain(self.history.iter().rev()).map(|accepted| &accepted.commit);
        for commit in pinned.chain(all).filter(|commit| !commit.is_empty()) {
            if !keep.contains(commit) {
                keep.push(commit.clone());
            }
        }
        keep
    }

    fn accept(&mut self, accepted: Accepted) {
        let is_another = self.accepted.as_ref().is_none_or(|before| before.generation != accepted.generation);
        if is_another {
            // A yes dies with the wish before it: it named what that one would have removed.
            self.permits.clear();
        }
        self.refused = None;
        self.accepted = Some(accepted);
    }

    fn settle(&mut self, commit: &str) {
        let Some(accepted) = self.accepted.as_ref().filter(|accepted| accepted.commit == commit) else { return };
        self.history.retain(|before| !is_same_commit(&before.commit, commit));
        self.history.push_back(accepted.clone());
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }
}

/// Whether two revisions are of one commit. What follows a `+` is what a source adds to it: one commit may be another wish
/// when something else changes, as who is in a fleet.
pub fn is_same_commit<'a>(one: &'a str, other: &'a str) -> bool {
    let base = |revision: &'a str| revision.split_once('+').map_or(revision, |(commit, _)| commit);
    base(one) == base(other)
}

fn want(unit: Arc<Unit>) -> Arc<Want> {
    Arc::new(Want::new(unit))
}
