//! Deliberate mistakes for the simulation to find, of the core or of what it is owed. Without the feature `mutants` none exists.

macro_rules! mutants {
    ($($name:ident),* $(,)?) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each is named after the rule that it breaks")]
        pub enum Mutant { None, $($name),* }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

mutants! {
    ForgetEpoch, ForgetBadMarks, ActivateUnproven, SwapWithoutGoodMark, UnknownIsEmpty, RefusedPrunes, GuardOff,
    GuardNotHolding, GuardForgetsAtRestart, AcceptNotAwaited, NoBackOff, BackOffForgotten, IgnoreNeeds, StopAnyOrder,
    StayingUserBlocks, IgnoreClaims, AlwaysSurge, ForgetDoubt, TrustStaleLooks, OlderWishWins, NoYield, NoLookDeadline,
    ReplaceLiveChanges, IgnoreFailing, TryWithoutPorts, LostInvalidation, ConfirmedJudged, ConfirmedConfirmsAll,
    BudgetOffByOne, BudgetInFlightOnly, AwayIsAvailable, SoakIgnored, NextWaveOpensEarly, StopIgnored, ForgetBadWave, ProveAlone,
    PauseIgnored, TakenBackAtOnce, StampIgnored, OldLeaderObeyed, OldNumbersTaken, MissingForgotten,
}

#[cfg(feature = "mutants")]
mod chosen {
    use super::Mutant;
    use std::sync::atomic::{AtomicU8, Ordering};

    static CHOSEN: AtomicU8 = AtomicU8::new(0);

    /// From now on the core makes this mistake.
    pub fn choose(mutant: Mutant) {
        CHOSEN.store(mutant as u8, Ordering::Relaxed);
    }

    /// Whether this mistake is to be made.
    pub fn is(mutant: Mutant) -> bool {
        CHOSEN.load(Ordering::Relaxed) == mutant as u8
    }
}

#[cfg(not(feature = "mutants"))]
mod chosen {
    /// Whether this mistake is to be made: none is.
    pub const fn is(_: super::Mutant) -> bool {
        false
    }
}

#[cfg(feature = "mutants")]
pub use chosen::choose;
pub use chosen::is;
