//! A machine as it really is, and what it says of itself.

use super::revision::Health;
use crate::rng::Rng;
use abide_reconcile::{Mutant, Time, mutant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Honesty {
    Honest,
    /// Whatever it is told, it is ready with it.
    SaysReady,
    /// Whatever it is told, it is ready with what it was told before.
    SaysOld,
    /// Whatever it is told, it fails.
    CriesWolf,
    /// Whatever it is told, it says that something else was told it later.
    Invents,
}

/// What a machine is told to be on. Numbers grow, and are times in milliseconds where those are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) number: u64,
    pub(crate) revision: u64,
}

/// What a machine says, and of which target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) of: Target,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Changing,
    Ready,
    Failed,
    /// Its owner has it take nothing.
    Suspended,
}

impl Honesty {
    /// It may say that it is well with what doesn't work.
    pub(crate) fn lends_votes(self) -> bool {
        self == Self::SaysReady
    }
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
    pub(crate) is_suspended: bool,
    /// It is slow in everything.
    pub(crate) lags: bool,
    /// The target with the highest number that it took, and the number of the one that failed.
    pub(crate) took: Option<Target>,
    pub(crate) failed: Option<u64>,
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
        let honesty = match rng.below(200) {
            0 if has_liars => Honesty::SaysReady,
            1 if has_liars => Honesty::SaysOld,
            2 if has_liars => Honesty::CriesWolf,
            3 if has_liars => Honesty::Invents,
            _ => Honesty::Honest,
        };
        Self {
            honesty,
            runs: 0,
            before: 0,
            is_ready: false,
            is_linked: !rng.chance(1, 20),
            is_suspended: false,
            lags: rng.chance(1, 10),
            took: None,
            failed: None,
            takes: 0,
        }
    }

    pub(crate) fn is_honest(&self) -> bool {
        self.honesty == Honesty::Honest
    }

    /// It is told a target; what happens then, and after which time. What has a smaller number than one that it took is said
    /// by a hub that forgot what it said since.
    pub(crate) fn hear(&mut self, target: Target, health: Health, is_odd: bool, rng: &mut Rng) -> Vec<(Time, Happens)> {
        let is_lower = |took: Target| target.number < took.number && !mutant::is(Mutant::OldNumbersTaken);
        let is_old = |took: Target| target.number == took.number || is_lower(took);
        if self.is_suspended || self.took.is_some_and(is_old) {
            return Vec::new();
        }
        self.took = Some(target);
        if !self.is_honest() || self.runs == target.revision {
            return Vec::new();
        }
        self.before = self.runs;
        self.runs = target.revision;
        self.is_ready = false;
        self.takes += 1;
        let after = Time::from_millis(500 + rng.below(if self.lags { 40_000 } else { 6_000 }));
        let soon_after = after + Time::from_secs(6 + rng.below(20));
        match health {
            Health::FailsOnHalf if is_odd => vec![(after, Happens::Ready)],
            Health::Works => vec![(after, Happens::Ready)],
            Health::Fails => vec![(after, Happens::Fails)],
            // Some of them when the others have been ready for long enough.
            Health::FailsOnHalf => vec![(Time::from_millis(500 + rng.below(60_000)), Happens::Fails)],
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
                self.failed = self.took.map(|took| took.number);
                self.runs = self.before;
                self.is_ready = true;
            }
            Happens::Severed => self.is_linked = false,
        }
    }

    /// What it says of itself.
    pub(crate) fn report(&self) -> Report {
        let of = self.took.unwrap_or(Target { number: 0, revision: 0 });
        let state = match self.honesty {
            Honesty::Honest if self.is_suspended => State::Suspended,
            Honesty::Honest if self.failed == Some(of.number) => State::Failed,
            Honesty::Honest if self.is_ready && self.runs == of.revision => State::Ready,
            Honesty::Honest => State::Changing,
            Honesty::SaysReady => State::Ready,
            Honesty::CriesWolf => State::Failed,
            Honesty::SaysOld => {
                return Report { of: Target { number: of.number.saturating_sub(1), ..of }, state: State::Ready };
            }
            Honesty::Invents => {
                let made_up = Target { number: of.number + 1, revision: of.revision.saturating_sub(1) };
                return Report { of: made_up, state: State::Ready };
            }
        };
        Report { of, state }
    }
}
