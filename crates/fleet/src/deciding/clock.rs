//! The store's times are of the world's clock, which all hubs share; the Reconciler decides by the time since this machine
//! booted.

use crate::store::Millis;
use abide_agent::Clock;
use abide_reconcile::Time;
use std::sync::{Mutex, PoisonError};

/// The world's clock may be set. By less than this it is merely kept right, and what was seen stays what it was.
const STEP: i64 = 2_000;

/// Translates the store's times.
pub(super) struct Translator {
    clock: Clock,
    world: fn() -> Millis,
    /// The world's clock when this machine booted.
    booted: Mutex<Option<i64>>,
}

impl Translator {
    pub(super) fn new(clock: Clock, world: fn() -> Millis) -> Self {
        Self { clock, world, booted: Mutex::new(None) }
    }

    /// A translation that holds for one look. It is the same from look to look, so that nothing seems to have changed.
    pub(super) fn translation(&self) -> Translation {
        let now = self.clock.now();
        let booted = (self.world)().0 - i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let mut kept = self.booted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_kept = kept.is_some_and(|kept| (kept - booted).abs() < STEP);
        let booted = kept.filter(|_| is_kept).unwrap_or(booted);
        *kept = Some(booted);
        Translation { booted }
    }
}

/// From the world's clock to the time since the boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Translation {
    booted: i64,
}

impl Translation {
    /// What was before the boot was long ago, which is all that matters.
    pub(super) fn time(self, at: Millis) -> Time {
        Time::from_millis(u64::try_from(at.0 - self.booted).unwrap_or_default())
    }
}

#[cfg(test)]
impl Translation {
    /// Of a machine that booted when the world began.
    pub(super) const SAME: Self = Self { booted: 0 };
}
