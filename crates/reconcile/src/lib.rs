//! The pure heart of abide: what should change next, when, and why not.
//!
//! No I/O, no clock, no randomness, no tasks: time is an argument, the driver is somewhere else.
//!
//! | module | question it answers |
//! |---|---|
//! | [`id`], [`want`], [`seen`], [`order`] | what goes in and out |
//! | [`port`] | the two seams: where wishes come from, and who acts |

pub mod id;
pub mod order;
pub mod port;
pub mod seen;
pub mod want;

pub use abide_spec as spec;
pub use abide_spec::{Digest, Kind, Name, Scope, Unit, UnitId, UnitSpec, kind::Reclaim};
pub use id::{InstanceId, SourceId, Ticket, Time};
pub use order::{Command, Event, Fault, Look, Step, Verdict};
pub use port::{Attend, Backend, Order, Progress, Revision, Source};
pub use seen::{Found, Observed, Owner, Permit, Phase, Record, Role, Seen};
pub use want::{Claim, Complete, Want, Wish};
