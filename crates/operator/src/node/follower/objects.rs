//! The node's objects, as they are heard of, and what became of those that are missed.
//!
//! | an object that was here is | it |
//! |---|---|
//! | heard of again, on this node | stays |
//! | on another node, or on none | was moved: that was said, and our finalizer is let go of once nothing of it is here |
//! | gone, and was being deleted | was deleted: that was said |
//! | gone without a word, or older than it was | is lost: the guard asks before it is removed |
//! | of when the node had another name | is lost as well: nobody takes that away by giving this one nothing |

use super::{
    super::{
        object::Seen,
        watch::{Heard, Objects},
        write,
    },
    Follower,
};
use crate::documents::Life;
use abide_spec::{Kind, UnitId};
use std::{collections::BTreeSet, sync::Arc};

/// A kind's objects.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) is_whole: bool,
    /// Those that were listed, while they are.
    listed: Option<BTreeSet<UnitId>>,
}

/// Why an object is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Absence {
    /// It isn't where it was.
    Unexplained,
    /// Somebody may have deleted it: if it is gone, that is why.
    Deleted,
}

impl Follower {
    pub(super) fn hear_objects(&mut self, kind: Kind, objects: Objects) {
        match objects {
            Objects::Begin => drop(self.lists.insert(kind, List { is_whole: false, listed: Some(BTreeSet::new()) })),
            Objects::Listed(seen) => {
                let list = self.lists.entry(kind).or_default();
                list.listed.get_or_insert_default().insert(seen.id().clone());
                // Whatever number it has: a restored etcd counts from where its backup was made.
                self.take(*seen);
            }
            Objects::Whole => {
                let list = self.lists.insert(kind, List { is_whole: true, listed: None }).unwrap_or_default();
                let listed = list.listed.unwrap_or_default();
                // What was wished before this agent was started, too: it may have been given to another node meanwhile.
                let wished = self.documents.wants().map(|want| &want.unit.id);
                let known = self.seen.keys().chain(wished).filter(|unit| unit.kind == kind);
                let missing = known.filter(|unit| !listed.contains(*unit) && !self.world.left.contains(*unit));
                for unit in missing.cloned().collect::<BTreeSet<_>>() {
                    self.miss(unit);
                }
            }
            Objects::Changed(seen) => self.put(*seen),
            Objects::Gone(seen) if self.is_known(&seen) => {
                // As it was last. Nobody deletes what has our finalizer: it was given to another node, or etcd has lost it.
                let is_deletable = seen.object.meta.life == Life::Terminating || !seen.object.meta.has_finalizer;
                let why = if is_deletable { Absence::Deleted } else { Absence::Unexplained };
                self.ask(seen.id().clone(), why);
            }
            Objects::Gone(_) => {}
        }
    }

    /// Takes an object in that is told of in passing: what is told there may be known already, and more.
    pub(super) fn put(&mut self, seen: Seen) {
        if !self.seen.get(seen.id()).is_some_and(|known| known.is_newer_than(&seen)) {
            self.take(seen);
        }
    }

    /// Takes an object in, as it is now.
    fn take(&mut self, seen: Seen) {
        let unit = seen.id().clone();
        if seen.node.as_deref() != Some(&self.means.node) {
            return;
        }
        self.missed.remove(&unit);
        self.foreign.remove(&unit);
        if seen.object.meta.has_finalizer {
            self.finalizing.remove(&unit);
        }
        if self.world.left.remove(&unit) || self.world.objects.get(&unit) != Some(&seen.object) {
            self.changed.insert(unit.scope.clone());
            self.world.objects.insert(unit.clone(), seen.object.clone());
        }
        self.seen.insert(unit, Arc::new(seen));
    }

    /// An object isn't among this node's any more.
    fn miss(&mut self, unit: UnitId) {
        let is_deleted = self.seen.get(&unit).is_some_and(|seen| seen.object.meta.life == Life::Terminating);
        self.ask(unit, if is_deleted { Absence::Deleted } else { Absence::Unexplained });
    }

    /// Asks what became of a missed object, also of one that was being deleted: if another node has it by now, our finalizer is
    /// there with it.
    pub(super) fn ask(&mut self, unit: UnitId, why: Absence) {
        let asked = self.missed.get(&unit).copied();
        self.missed.insert(unit.clone(), asked.map_or(why, |asked| asked.max(why)));
        if asked.is_none() {
            self.find(unit);
        }
    }

    /// With what was written, an object is gone.
    pub(super) fn over(&mut self, seen: &Seen) {
        let unit = seen.id();
        if self.is_known(seen) {
            self.remove(unit);
            self.missed.remove(unit);
            self.world.left.insert(unit.clone());
        }
    }

    fn is_known(&self, seen: &Seen) -> bool {
        self.seen.get(seen.id()).is_some_and(|known| known.object.meta.uid == seen.object.meta.uid)
    }

    fn find(&mut self, unit: UnitId) {
        let (means, requests) = (self.means.clone(), Arc::clone(&self.requests));
        self.tasks.spawn(async move {
            let found = write::find(&means, &requests, &unit).await;
            // Nobody listens at the end.
            drop(means.heard.send(Heard::Found(unit, found.map(Box::new))).await);
        });
    }

    /// What became of a missed object: of this node after all, of another one, or gone without a word.
    pub(super) fn found(&mut self, unit: &UnitId, found: Option<Seen>) {
        let Some(why) = self.missed.remove(unit) else { return };
        match found {
            Some(found) if found.node.as_deref() == Some(&self.means.node) => self.take(found),
            // Nobody takes away what another name of this node had.
            _ if self.foreign.contains(unit) => self.lose(unit),
            // It was here later than it is there: that is what a restored etcd has, and nobody took it away.
            Some(found) if self.seen.get(unit).is_some_and(|known| known.is_later_than(&found)) => self.lose(unit),
            Some(found) => {
                let is_same = self.seen.get(unit).is_none_or(|known| known.object.meta.uid == found.object.meta.uid);
                self.remove(unit);
                if is_same || why == Absence::Deleted {
                    self.world.left.insert(unit.clone());
                }
                if is_same {
                    self.board.moved(Arc::new(found));
                }
            }
            None if why == Absence::Deleted => {
                self.remove(unit);
                self.world.left.insert(unit.clone());
            }
            None => self.lose(unit),
        }
    }

    /// An object is gone without a word.
    fn lose(&mut self, unit: &UnitId) {
        self.remove(unit);
        if self.documents.want(unit).is_some() {
            self.missing.units.insert(unit.clone());
        }
    }

    fn remove(&mut self, unit: &UnitId) {
        self.seen.remove(unit);
        self.finalizing.remove(unit);
        self.world.objects.remove(unit);
        self.changed.insert(unit.scope.clone());
    }
}
