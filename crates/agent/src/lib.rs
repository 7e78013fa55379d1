//! The driver around the Reconciler: journal, probes, local API.

#![forbid(unsafe_code)]

mod agent;
pub mod api;
mod asker;
mod clock;
mod door;
mod driver;
mod files;
mod followed;
mod hints;
mod hold;
pub mod journal;
mod listen;
mod mailbox;
mod may;
mod news;
mod port;
mod probe;
mod talk;
mod telling;

pub use agent::{Agent, Mode, Parts, Paths, StartError, Sweep, runtime};
pub use asker::Asker;
pub use clock::Clock;
pub use door::{ListenError, listen};
pub use files::KeepError;
pub use hints::Hints;
pub use hold::{Hold, HoldError};
pub use mailbox::Mailbox;
pub use port::{
    Details, Happened, Inspector, Opened, Opening, Reporter, SourceFactory, SourceReport, SourceState, UnitReport,
};
