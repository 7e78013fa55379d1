//! A bell that is rung when something may have changed, and can't be missed.

use abide_reconcile::Attend;
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Counts how often it was rung.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<u64>,
    heard: Condvar,
}

impl Bell {
    /// Wakes all that wait.
    pub fn ring(&self) {
        *self.lock() += 1;
        self.heard.notify_all();
    }

    /// How often it was rung so far. Ask before looking at what it tells of.
    pub(super) fn rung(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it is rung more often than that, for so long at most; and then until it is quiet for a moment, as much
    /// changes together.
    pub(super) fn wait(&self, rung: u64, at_most: Duration, attend: &dyn Attend) {
        const QUIET: Duration = Duration::from_millis(10);
        const QUIETS_MAX: u32 = 20;
        let is_same = |now: &mut u64| *now == rung && !attend.is_cancelled();
        let waited = self.heard.wait_timeout_while(self.lock(), at_most, is_same);
        let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        for _ in 0..QUIETS_MAX {
            let before = *held;
            if before == rung {
                return;
            }
            held = self.heard.wait_timeout(held, QUIET).unwrap_or_else(PoisonError::into_inner).0;
            if *held == before {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
