//! What the watches write and the others read.

use super::sight::Sight;
use abide_agent::{Clock, Hints};
use abide_reconcile::{Time, UnitId};
use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What is known, and who wants to know when that changes.
pub(super) struct Shared {
    clock: Clock,
    hints: Hints,
    sight: Mutex<Sight>,
    bell: Condvar,
}

impl Shared {
    pub(super) fn new(clock: Clock, hints: Hints, lost_after: Duration) -> Self {
        Self { clock, hints, sight: Mutex::new(Sight::new(lost_after)), bell: Condvar::new() }
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something, and wakes who waits for it if it is news.
    pub(super) fn note<T>(&self, note: impl FnOnce(&mut Sight) -> T) -> T {
        let mut sight = self.sight();
        let before = sight.changes();
        let result = note(&mut sight);
        if sight.changes() != before {
            self.bell.notify_all();
        }
        result
    }

    /// What is known, as soon as all of it was seen; none if that takes too long.
    pub(super) fn whole(&self, at_most: Duration) -> Option<MutexGuard<'_, Sight>> {
        let end = self.now() + at_most;
        let mut sight = self.sight();
        while !sight.is_whole() {
            let left = end.checked_sub(self.now()).filter(|left| !left.is_zero())?;
            sight = self.wait(sight, left);
        }
        Some(sight)
    }

    /// Has the Reconciler look at these.
    pub(super) fn hint(&self, units: impl IntoIterator<Item = UnitId>) {
        units.into_iter().collect::<BTreeSet<_>>().into_iter().for_each(|unit| self.hints.look(unit));
    }

    /// Wakes who waits, to ask whether anybody still wants to know.
    pub(super) fn ring(&self) {
        let _held = self.sight();
        self.bell.notify_all();
    }

    /// Waits for news, for so long at most.
    pub(super) fn wait<'a>(&self, sight: MutexGuard<'a, Sight>, at_most: Duration) -> MutexGuard<'a, Sight> {
        self.bell.wait_timeout(sight, at_most).unwrap_or_else(PoisonError::into_inner).0
    }
}
