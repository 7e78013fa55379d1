//! How the node's objects stand, as the follower and the agent's loop say it; and from that, what is to be written.
//!
//! Level-triggered: whoever tells something marks its objects due, and what is written is decided when it is written, by
//! what is known then.

use super::{
    contested::Contested,
    later::Later,
    lease,
    object::Seen,
    passing::Passing,
    status::{self, Facts},
    telling::{Telling, Told, What},
};
use crate::{
    crd::Status,
    documents::{Life, Standing},
};
use abide_agent::{Happened, Reporter, SourceReport, UnitReport};
use abide_reconcile::SourceId;
use abide_spec::{Digest, UnitId};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// An object of this node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    pub(crate) seen: Arc<Seen>,
    pub(crate) standing: Standing,
    /// The version of it that is wished, as it is now or as it was.
    pub(crate) wanted: Option<Digest>,
}

/// What is to be written.
#[derive(Debug)]
pub(crate) enum Job {
    Status(Arc<Seen>, Box<Status>),
    /// Our finalizer is to go: nothing of the object is here any more.
    Release(Arc<Seen>),
}

#[derive(Debug)]
pub(crate) struct Board {
    node: String,
    state: Mutex<State>,
    pub(crate) bell: Notify,
    /// What other sources of this machine wish.
    pub(crate) others: watch::Sender<Others>,
    /// How the source is, for who says so.
    following: watch::Sender<lease::State>,
}

/// Units that are other sources' of this machine.
pub(crate) type Others = Arc<BTreeMap<UnitId, SourceId>>;

#[derive(Debug, Default)]
struct State {
    subjects: BTreeMap<UnitId, Subject>,
    /// Objects that are other nodes' by now, and have our finalizer.
    moved: BTreeMap<UnitId, Arc<Seen>>,
    /// What the agent says of the units; nothing before it has told everything.
    units: Option<BTreeMap<UnitId, UnitReport>>,
    source: Option<SourceReport>,
    said: Option<(String, BTreeSet<UnitId>)>,
    due: BTreeSet<UnitId>,
    /// Objects that are as wished: what becomes of the source and of others is nothing to them.
    ready: BTreeSet<UnitId>,
    /// Objects that are on their way to that.
    passing: Passing,
    /// What somebody else may write over.
    contested: Contested,
    /// What was held back as either.
    later: Later,
    telling: Telling,
    /// What was told of objects' mistakes and of the guard's questions: each once.
    rejected: BTreeMap<UnitId, (What, String)>,
}

impl Board {
    pub(crate) fn new(node: &str, following: watch::Sender<lease::State>) -> Self {
        let (state, others) = Default::default();
        Self { node: node.to_owned(), state, bell: Notify::new(), others, following }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All objects of the node, as they stand.
    pub(crate) fn stand(&self, subjects: BTreeMap<UnitId, Subject>) {
        let mut state = self.lock();
        let changed = subjects.iter().filter(|(unit, subject)| state.subjects.get(*unit) != Some(*subject));
        let changed: Vec<UnitId> = changed.map(|(unit, _)| unit.clone()).collect();
        state.ready.retain(|unit| subjects.contains_key(unit));
        state.due.extend(changed);
        state.passing.retain(|unit| subjects.contains_key(unit));
        state.contested.retain(|unit| subjects.contains_key(unit));
        state.moved.retain(|unit, _| !subjects.contains_key(unit));
        state.rejected.retain(|unit, _| subjects.contains_key(unit));
        state.subjects = subjects;
        drop(state);
        self.bell.notify_one();
    }

    /// An object was given to another node.
    pub(crate) fn moved(&self, seen: Arc<Seen>) {
        if seen.object.meta.has_finalizer {
            let mut state = self.lock();
            state.due.insert(seen.id().clone());
            state.moved.insert(seen.id().clone(), seen);
            drop(state);
            self.bell.notify_one();
        }
    }

    /// A wish was said, of these units.
    pub(crate) fn said(&self, commit: &str, units: BTreeSet<UnitId>) {
        let mut state = self.lock();
        state.said = Some((commit.to_owned(), units));
        state.waiting_are_due();
        drop(state);
        self.bell.notify_one();
    }

    /// A status was written to an object, which the server has now: it is heard of by the watch, too, but later.
    pub(crate) fn written(&self, seen: Arc<Seen>, status: &Status) {
        let mut state = self.lock();
        state.contested.wrote(seen.id(), &seen.object.meta.uid, status, Instant::now());
        if let Some(subject) = state.subjects.get_mut(seen.id()).filter(|subject| seen.is_newer_than(&subject.seen)) {
            subject.seen = seen;
        }
    }

    /// It could not be written.
    pub(crate) fn again(&self, unit: UnitId) {
        self.lock().due.insert(unit);
    }

    /// Another node took it up, or somebody else took our finalizer away.
    pub(crate) fn released(&self, unit: &UnitId) {
        self.lock().moved.remove(unit);
    }

    /// Commits whose snapshots are needed: what is in force, and what the guard holds.
    pub(crate) fn needed(&self) -> Vec<String> {
        let state = self.lock();
        state.source.iter().flat_map(|source| source.in_force.iter().chain(&source.told)).cloned().collect()
    }

    /// Whether nothing of a unit is here any more, and it is in force that nothing is to be.
    pub(crate) fn is_gone(&self, unit: &UnitId) -> bool {
        self.lock().is_gone(unit)
    }

    /// Whether an object is another node's by now, and has our finalizer.
    #[cfg(test)]
    pub(crate) fn is_moved(&self, unit: &UnitId) -> bool {
        self.lock().moved.contains_key(unit)
    }

    /// What is to be written next, of objects that nobody is busy with.
    pub(crate) fn next(&self, busy: &BTreeSet<UnitId>, now: &Time) -> Option<Job> {
        let mut state = self.lock();
        let at = Instant::now();
        while let Some(unit) = state.later.ripe(at) {
            state.due.insert(unit);
        }
        while let Some(unit) = state.due.iter().find(|unit| !busy.contains(*unit)).cloned() {
            state.due.remove(&unit);
            if let Some(job) = state.job(&unit, &self.node, now, at) {
                state.telling.wrote(at);
                return Some(job);
            }
        }
        None
    }

    /// When there may be something to be written though nothing is said meanwhile.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.lock().later.wake_at()
    }

    /// What is to be told as an Event now.
    pub(crate) fn tell(&self) -> Option<Told> {
        self.lock().telling.next(Instant::now())
    }

    /// When there may be something to be told though nothing happens meanwhile.
    pub(crate) fn tell_at(&self) -> Option<Instant> {
        self.lock().telling.wake_at()
    }
}

impl State {
    /// Marks those due that wait for something.
    fn waiting_are_due(&mut self) {
        let waiting = self.subjects.keys().chain(self.moved.keys()).filter(|unit| !self.ready.contains(*unit));
        self.due.extend(waiting.cloned());
    }

    fn is_gone(&self, unit: &UnitId) -> bool {
        let (Some(units), Some((said, wished)), Some(source)) = (&self.units, &self.said, &self.source) else {
            return false;
        };
        let is_left_alone = |report: &UnitReport| report.wanted.is_none() && report.status.state == "settled";
        source.in_force.as_ref() == Some(said) && !wished.contains(unit) && units.get(unit).is_none_or(is_left_alone)
    }

    fn job(&mut self, unit: &UnitId, node: &str, now: &Time, at: Instant) -> Option<Job> {
        let Some(subject) = self.subjects.get(unit).cloned() else {
            let moved = self.moved.get(unit).filter(|_| self.is_gone(unit))?;
            return Some(Job::Release(Arc::clone(moved)));
        };
        self.ready.remove(unit);
        let Subject { seen, standing, wanted } = subject;
        if seen.object.meta.life == Life::Terminating && standing == Standing::Leaving && self.is_gone(unit) {
            return seen.object.meta.has_finalizer.then_some(Job::Release(seen));
        }
        if standing == Standing::Unfinalized {
            // It is over before anybody reads of it, and the finalizer is written to the object as it was seen.
            return None;
        }
        let units = self.units.as_ref()?;
        let facts = Facts {
            node,
            kind: unit.kind,
            generation: seen.object.meta.generation,
            standing: &standing,
            wanted,
            unit: units.get(unit),
            source: self.source.as_ref(),
        };
        let before = status::read(&seen.status);
        let after = status::status(&facts, &before, now);
        if status::is_ready(&after) {
            self.ready.insert(unit.clone());
        }
        self.tell_once(&seen, &after);
        let differs = after != before;
        if differs
            && status::is_on_its_way(&after)
            && let Some(end) = self.passing.holds_back(unit, at)
        {
            self.later.put(end, unit.clone());
            return None;
        }
        self.passing.over(unit);
        if differs && let Some(end) = self.contested.holds_back(unit, &seen.object.meta.uid, &after, at) {
            self.later.put(end, unit.clone());
            return None;
        }
        differs.then(|| Job::Status(seen, Box::new(after)))
    }

    /// A mistake, and a question of the guard, are told as an event once.
    fn tell_once(&mut self, seen: &Seen, status: &Status) {
        let stalled = status::stalled(status).and_then(|(reason, text)| {
            let what = match reason {
                status::INVALID => What::Rejected,
                status::HELD => What::Held,
                _ => return None,
            };
            Some((what, text.to_owned()))
        });
        let Some((what, text)) = stalled else {
            self.rejected.remove(seen.id());
            return;
        };
        if self.rejected.get(seen.id()) != Some(&(what, text.clone())) {
            self.rejected.insert(seen.id().clone(), (what, text.clone()));
            let told = Told { unit: seen.id().clone(), uid: seen.object.meta.uid.clone(), what, text };
            self.telling.tell(told, Instant::now());
        }
    }
}

impl Reporter for Board {
    fn everything(&self, units: BTreeMap<UnitId, UnitReport>) {
        let mut state = self.lock();
        state.units = Some(units);
        state.ready.clear();
        state.waiting_are_due();
        drop(state);
        self.bell.notify_one();
    }

    fn units(&self, changed: BTreeMap<UnitId, Option<UnitReport>>) {
        let mut state = self.lock();
        for (unit, report) in changed {
            let units = state.units.get_or_insert_default();
            match report {
                Some(report) => drop(units.insert(unit.clone(), report)),
                None => drop(units.remove(&unit)),
            }
            state.due.insert(unit);
        }
        drop(state);
        self.bell.notify_one();
    }

    fn source(&self, source: SourceReport) {
        self.following.send_if_modified(|following| following.replace(source.state) != Some(source.state));
        let mut state = self.lock();
        state.source = Some(source);
        state.waiting_are_due();
        drop(state);
        self.bell.notify_one();
    }

    fn others(&self, others: Others) {
        self.others.send_replace(others);
    }

    fn happened(&self, unit: &UnitId, what: Happened, text: &str) {
        let mut state = self.lock();
        let Some(subject) = state.subjects.get(unit) else { return };
        let (uid, text) = (subject.seen.object.meta.uid.clone(), text.to_owned());
        state.telling.tell(Told { unit: unit.clone(), uid, what: What::Happened(what), text }, Instant::now());
        drop(state);
        self.bell.notify_one();
    }
}
