//! What goes in and out: events, commands, and the steps they carry.

use crate::{
    id::{InstanceId, SourceId, Ticket},
    seen::{Observed, Owner},
    want::{Want, Wish},
};
use abide_spec::{Digest, UnitId, kind::Reclaim};
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

/// What is remembered of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It proved itself.
    Good(Arc<Want>),
    /// It failed, and there is one to go back to.
    Bad(Arc<Want>),
    /// It ran to its end as it should.
    Completed(Digest),
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
    },
    /// Write durably that this wish is in force and that these removals passed the guard, and answer with
    /// [`Event::Accepted`]. No step of the wish is ordered before.
    Accept {
        /// Of the order.
        ticket: Ticket,
        /// Whose wish.
        source: SourceId,
        /// Which.
        generation: u64,
        /// All that passed so far.
        removals: BTreeMap<UnitId, Reclaim>,
    },
    /// Stop caring for this order. It may still land.
    Cancel(Ticket),
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
    /// What a source says now.
    Wish {
        /// Which source.
        source: SourceId,
        /// Only grows within a source, and orders its wishes.
        generation: u64,
        /// What it says.
        wish: Wish,
    },
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
