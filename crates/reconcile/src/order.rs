//! What goes in and out: events, commands, and the steps they carry.

use crate::{
    id::{InstanceId, SourceId, Ticket},
    seen::{Observed, Owner},
    want::{Claim, Want, Wish},
};
use abide_spec::{UnitId, kind::Reclaim};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One thing to do to one unit. A backend does steps of one unit in the order of their tickets, drops a step older than
/// one it has done, and drops every step of an epoch that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Pull, unpack, check: slow, harmless, cancellable, and quick where it was done before.
    Prepare {
        /// For which version.
        want: Arc<Want>,
    },
    /// Start a candidate whose [`InstanceId`] is this order's ticket.
    Start {
        /// The version.
        want: Arc<Want>,
        /// Recorded beside it.
        owner: Owner,
        /// How many of this version exited in a row before it.
        attempt: u32,
    },
    /// Move the unit's host ports to `instance` in one transaction; who had them retires.
    Activate {
        /// To which.
        instance: InstanceId,
    },
    /// Change a running instance without a restart.
    Update {
        /// Which.
        instance: InstanceId,
        /// To what.
        to: Arc<Want>,
    },
    /// Kill it, so that it exits and leaves its tombstone: its liveness probe says so.
    Kill {
        /// Which.
        instance: InstanceId,
    },
    /// Stop the instance if it runs, and clear away what is left of it.
    Stop {
        /// Which.
        instance: InstanceId,
    },
    /// Remember this durably.
    Mark(Verdict),
    /// Write another owner beside what there is.
    Adopt(Owner),
    /// The unit is gone for good: its verdicts, its owner and, if told so, its data.
    Forget {
        /// What becomes of the data.
        reclaim: Reclaim,
    },
    /// Nothing but the promise that no older order of this unit can land any more.
    Fence,
}

impl Step {
    /// What runs when this has landed and did not run before.
    pub(crate) fn brings(&self) -> Option<&Arc<Want>> {
        match self {
            Self::Start { want, .. } | Self::Update { to: want, .. } => Some(want),
            _ => None,
        }
    }

    /// Claims that are taken when this lands.
    pub(crate) fn takes(&self) -> impl Iterator<Item = &Claim> {
        self.brings().into_iter().flat_map(|want| &want.claims).filter(|claim| !claim.is_movable())
    }
}

/// What is remembered of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It proved itself.
    Good(Arc<Want>),
    /// It failed, and there is one to go back to.
    Bad(Arc<Want>),
    /// It ran to its end as it should.
    Completed(Arc<Want>),
    /// A person wants bad and completed versions tried again.
    Retry,
}

/// What the core asks of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look there, and answer with [`Event::Seen`] or [`Event::Blind`].
    Observe {
        /// Of the look.
        ticket: Ticket,
        /// Where.
        what: Look,
    },
    /// Carry this out, and answer with [`Event::Done`].
    Run {
        /// Of the order.
        ticket: Ticket,
        /// To which unit.
        unit: UnitId,
        /// What.
        step: Step,
        /// The [`crate::Found::stamp`] of the unit as it was seen when this was decided.
        stamp: u64,
    },
    /// Write durably that this wish is in force and that these removals passed the guard, and answer with
    /// [`Event::Accepted`]. No step of the wish is ordered before. Those of a source are written in the order of their
    /// tickets.
    Accept {
        /// Of the order.
        ticket: Ticket,
        /// Whose wish.
        source: SourceId,
        /// What is to be written.
        accepted: Accepted,
    },
    /// Stop caring for this order. It may still land.
    Cancel(Ticket),
}

/// A wish that is in force, and what passed the guard under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Which wish.
    pub generation: u64,
    /// How much the source owned when it came into force, but for what was confirmed to go: what shares are shares of.
    pub owned_before: usize,
    /// All removals that passed so far, with the reclaim that was judged.
    pub removals: BTreeMap<UnitId, Reclaim>,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// At everything.
    All,
    /// At these.
    Units(BTreeSet<UnitId>),
}

/// What the driver tells the core. Everything that can wake it is on this list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What an earlier run of the agent wrote for [`Command::Accept`]; told before the source's first wish. A wish of the
    /// same generation is in force at once, and its removals are not judged anew.
    Restored {
        /// Which source.
        source: SourceId,
        /// What was written.
        accepted: Accepted,
    },
    /// What a source says now.
    Wish {
        /// Which source.
        source: SourceId,
        /// Only grows within a source, and orders its wishes.
        generation: u64,
        /// What it says.
        wish: Wish,
    },
    /// A person wants the unit tried again: no back-off, no bad marks.
    Retry(UnitId),
    /// Something happened to these units: look there.
    Changed(BTreeSet<UnitId>),
    /// A look came back.
    Seen {
        /// Which.
        ticket: Ticket,
        /// With what.
        world: Observed,
    },
    /// A look failed.
    Blind(Ticket),
    /// The order is slow but alive.
    Progress(Ticket),
    /// An order ended.
    Done {
        /// Which.
        ticket: Ticket,
        /// Of which unit.
        unit: UnitId,
        /// How.
        result: Result<(), Fault>,
    },
    /// An acceptance was written, or could not be.
    Accepted {
        /// Which.
        ticket: Ticket,
        /// How it ended.
        result: Result<(), Fault>,
    },
}

/// Why an order failed. Only the Reconciler tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may work another time.
    #[error("{0}")]
    Again(Arc<str>),
    /// No use in trying again before the unit changes.
    #[error("{0}")]
    Never(Arc<str>),
    /// What was prepared is not there (any more).
    #[error("not prepared")]
    Unprepared,
    /// It was told to.
    #[error("cancelled")]
    Cancelled,
}
