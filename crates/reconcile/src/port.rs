//! The two seams: where wishes come from ([`Source`]), and who acts ([`Backend`]). Sources never see backends, backends
//! never see sources.
//!
//! Both block: the driver gives each call a thread for as long as it lasts, and bounds how many there are.

use crate::{
    id::Ticket,
    order::{Fault, Look, Step},
    seen::Found,
    want::Wish,
};
use abide_spec::{Digest, UnitId};
use std::{collections::BTreeMap, sync::Arc};

/// What is there, and who acts on it. A backend tries once and says what happened.
pub trait Backend: Send + Sync {
    /// What there is of the units looked at. Units without anything are left out.
    fn observe(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault>;

    /// Carries out an order. Steps of one unit come one at a time.
    fn run(&self, order: &Order, attend: &dyn Attend) -> Result<(), Fault>;
}

/// An order, as a backend gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub ticket: Ticket,
    /// To which unit.
    pub unit: UnitId,
    /// What.
    pub step: Step,
    /// The [`Found::stamp`] of what it was decided on. What may be another thing by now is not to be done.
    pub stamp: u64,
}

/// Who waits for a long call: it hears of progress, and may lose interest.
pub trait Attend: Sync {
    /// The call is alive; shown to people.
    fn progress(&self, progress: Progress);

    /// Whether to give up at the next good moment, with [`Fault::Cancelled`].
    fn is_cancelled(&self) -> bool;

    /// A source that can tell begins to look: what it finds is how things stand after all that was asked so far.
    fn looks(&self) {}

    /// And there was nothing new.
    fn found_nothing(&self) {}
}

/// How far a long call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as "pulling layer 2 of 5".
    pub what: Arc<str>,
    /// So many bytes are done.
    pub done: u64,
    /// Of so many, if that is known.
    pub total: Option<u64>,
}

/// Where wishes come from.
pub trait Source: Send {
    /// Waits until there is something new to say, or until `attend` loses interest ([`Fault::Cancelled`]). Failing to
    /// reach the source is a [`Fault::Again`]: it changes nothing, and is shown.
    fn next(&mut self, attend: &dyn Attend) -> Result<Revision, Fault>;
}

/// What a source says, and which commit says it.
#[derive(Clone, Debug)]
pub struct Revision {
    /// The commit's id in hexadecimal; empty where there is none (a branch that was deleted). Where more than the commit
    /// makes the wish, what tells that apart follows a `+`.
    pub commit: String,
    /// The first line of its message.
    pub summary: String,
    /// What it says. [`Wish::Refused`] carries the diagnostics as text.
    pub wish: Wish,
    /// The repository's files that its units name, to be kept in the store of files before the wish is accepted.
    pub files: BTreeMap<Digest, Arc<[u8]>>,
}
