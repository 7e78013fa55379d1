//! A machine as it really is.

use super::revision::Health;
use crate::rng::Rng;
use abide_reconcile::{InstanceId, Time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Honesty {
    Honest,
    /// Whatever it is told, it is ready with it.
    SaysReady,
    /// It is never on what it was told.
    SaysOld,
    /// Whatever it is told, it fails.
    CriesWolf,
}

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) honesty: Honesty,
    /// The commit it is on; 0 is none.
    pub(crate) runs: u64,
    /// What it goes back to by itself.
    pub(crate) before: u64,
    pub(crate) is_ready: bool,
    pub(crate) is_linked: bool,
    /// It is slow in everything.
    pub(crate) lags: bool,
    /// The order that it took last, and the one that failed.
    pub(crate) took: Option<(InstanceId, u64)>,
    pub(crate) failed: Option<(InstanceId, u64)>,
    /// How often it took something: what was to happen before doesn't.
    pub(crate) takes: u32,
}

/// What happens to a machine by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happens {
    Ready,
    Unready,
    Fails,
    Severed,
}

impl Machine {
    pub(crate) fn new(rng: &mut Rng, has_liars: bool) -> Self {
        let honesty = match rng.below(150) {
            0 if has_liars => Honesty::SaysReady,
            1 if has_liars => Honesty::SaysOld,
            2 if has_liars => Honesty::CriesWolf,
            _ => Honesty::Honest,
        };
        Self {
            honesty,
            runs: 0,
            before: 0,
            is_ready: false,
            is_linked: !rng.chance(1, 20),
            lags: rng.chance(1, 30),
            took: None,
            failed: None,
            takes: 0,
        }
    }

    pub(crate) fn is_honest(&self) -> bool {
        self.honesty == Honesty::Honest
    }

    /// It gets to know that it is to be on this commit; what happens then, and after which time.
    pub(crate) fn take(
        &mut self,
        order: (InstanceId, u64),
        health: Health,
        is_odd: bool,
        rng: &mut Rng,
    ) -> Vec<(Time, Happens)> {
        self.took = Some(order);
        if !self.is_honest() || self.failed == Some(order) {
            return Vec::new();
        }
        if self.runs == order.1 {
            return Vec::new();
        }
        self.before = self.runs;
        self.runs = order.1;
        self.is_ready = false;
        self.takes += 1;
        let after = Time::from_millis(500 + rng.below(if self.lags { 25_000 } else { 6_000 }));
        let soon_after = after + Time::from_secs(6 + rng.below(20));
        match health {
            Health::FailsOnHalf if is_odd => vec![(after, Happens::Ready)],
            Health::Works => vec![(after, Happens::Ready)],
            Health::Fails | Health::FailsOnHalf => vec![(after, Happens::Fails)],
            Health::NeverReady => Vec::new(),
            Health::FailsInSoak => vec![(after, Happens::Ready), (soon_after, Happens::Unready)],
            Health::Severs => vec![(Time::from_millis(100), Happens::Severed)],
        }
    }

    pub(crate) fn happen(&mut self, what: Happens) {
        match what {
            Happens::Ready => self.is_ready = true,
            Happens::Unready => self.is_ready = false,
            Happens::Fails => {
                self.failed = self.took;
                self.runs = self.before;
                self.is_ready = true;
            }
            Happens::Severed => self.is_linked = false,
        }
    }
}
