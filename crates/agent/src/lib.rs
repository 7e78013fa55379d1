//! The driver around the Reconciler: journal, probes, local API.
//!
//! | module | what it is |
//! |---|---|
//! | `agent`, `port` | what an agent is made of; what it needs of others |
//! | `driver` | the loop, which owns all that changes |
//! | [`journal`], `followed` | what must outlive the agent; what that adds up to, of each source |
//! | `listen`, `mailbox` | how a source is asked what is new; what one says that runs by itself |
//! | `probe`, `hints` | who is well; where somebody says "look there" |
//! | [`api`], `door`, `may`, `talk`, `asker` | what can be asked, by whom, and the way of a request |
//! | `news`, `telling` | what happened, for people; what a source's reporter was told |
//! | `hold`, `clock`, `files` | one agent a root; its two clocks; the files of repositories |

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
