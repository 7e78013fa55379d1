//! The pure heart of abide: what should change next, when, and why not.
//!
//! [`Reconciler`] has four verbs: `handle(now, Event)`, `poll(now) -> Option<Command>`, `wake_at(now)` and `plan()`.
//! Nothing here performs I/O, reads a clock, draws a random number or spawns a task.
//!
//! | module | question it answers |
//! |---|---|
//! | [`id`], [`want`], [`seen`], [`order`], [`plan`] | what goes in and out |
//! | [`port`] | the two seams: where wishes come from, and who acts |
//! | `entry` | what is known of one unit |
//! | `board` | whom does a change concern |
//! | `source`, [`guard`] | which wish is in force, and may it remove that much |
//! | `decide`, `running`, `handover`, `turn` | what comes next for one unit: all policy |
//! | [`group`], `member`, `wave`, `places`, `rollout`, `grouping` | may it change now, among others that do |
//! | `agenda`, `look`, `flights`, `reconciler` | what is under way, and when to look and try again |
//! | [`mod@preview`], [`status`], [`progress`], `cause` | what people ask: what would a wish change, how do things stand, and why |
//! | `limits`, [`mutant`] | the few numbers that are policy; deliberate mistakes for the simulation to find |

#![forbid(unsafe_code)]

mod agenda;
mod board;
mod cause;
mod decide;
mod entry;
mod flights;
pub mod group;
mod grouping;
pub mod guard;
mod handover;
pub mod id;
mod limits;
mod look;
mod member;
pub mod mutant;
pub mod order;
mod places;
pub mod plan;
pub mod port;
pub mod preview;
pub mod progress;
mod reconciler;
mod rollout;
mod running;
pub mod seen;
mod source;
pub mod status;
mod turn;
pub mod want;
mod wave;

pub use abide_spec as spec;
pub use abide_spec::{Digest, Kind, Name, Scope, Unit, UnitId, UnitSpec, kind::Reclaim};
pub use cause::with_causes;
pub use group::{Away, Group, GroupId, Wave};
pub use guard::{Held, Reason};
pub use id::{InstanceId, PlanId, SourceId, Ticket, Time};
pub use limits::Limits;
pub use mutant::Mutant;
pub use order::{Accepted, Command, Event, Fault, Look, Step, Verdict};
pub use plan::{Next, Plan, Why};
pub use port::{Attend, Backend, Order, Progress, Revision, Source};
pub use preview::{Preview, preview};
pub use progress::{GroupState, GroupStatus, WaveStatus};
pub use reconciler::Reconciler;
pub use seen::{Found, Observed, Owner, Permit, Phase, Record, Role, Seen};
pub use status::{Outcome, Status};
pub use want::{Claim, Complete, Want, Wish};
