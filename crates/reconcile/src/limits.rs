//! The few numbers that are policy.

use crate::{id::Time, want::Want};

/// How much at once, how long, how often.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Orders under way at once, not counting [`crate::Step::Prepare`].
    pub orders_max: usize,
    /// Preparations under way at once.
    pub prepares_max: usize,
    /// An order or a look without sign of life for this long is given up.
    pub silence_max: Time,
    /// The first wait after a failed order, and after the second exit in a row.
    pub retry_min: Time,
    /// What waits double up to.
    pub retry_max: Time,
    /// How often the whole world is looked at though nothing happened.
    pub resync: Time,
    /// Who ran for this long before an exit is in no crash loop.
    pub steady: Time,
    /// Ready for this long is proof that a version is good, where all that is known of it is that it runs.
    pub proof: Time,
    /// The same where a readiness probe says that it serves.
    pub proof_probed: Time,
    /// A new version may exit so often, with something to go back to, before it is bad.
    pub tries_max: u32,
    /// More removals than this, and more than the share, need a permit.
    pub removals_max: usize,
    /// The share, of what the source owns, in percent.
    pub removals_percent_max: usize,
}

impl Default for Limits {
    /// For one machine. A unit's own start period bounds how long it may take to become ready.
    fn default() -> Self {
        Self {
            orders_max: 8,
            prepares_max: 3,
            silence_max: Time::from_secs(60),
            retry_min: Time::from_secs(1),
            retry_max: Time::from_secs(60),
            resync: Time::from_secs(60),
            steady: Time::from_secs(10),
            proof: Time::from_secs(3),
            proof_probed: Time::from_secs(1),
            tries_max: 3,
            removals_max: 3,
            removals_percent_max: 20,
        }
    }
}

impl Limits {
    /// For how long a version has to be ready before it counts as good.
    pub fn proof_of(&self, want: &Want) -> Time {
        if want.is_probed() { self.proof_probed } else { self.proof }
    }

    /// The wait after so many failures in a row.
    pub(crate) fn back_off(&self, failures: u32) -> Time {
        let doubled = 2_u32.saturating_pow(failures.clamp(1, 16) - 1);
        self.retry_min.saturating_mul(doubled).min(self.retry_max)
    }

    /// The wait after so many exits in a row. The first is forgiven: a crash in a year should cost milliseconds.
    pub(crate) fn restart_wait(&self, exits: u32) -> Time {
        if exits <= 1 { Time::ZERO } else { self.back_off(exits - 1) }
    }
}
