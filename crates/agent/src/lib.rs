//! The driver around the Reconciler: journal, probes, local API.

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the loop that uses the parts is not among them so far")]

pub mod api;
mod clock;
mod files;
mod hints;
mod hold;
pub mod journal;
mod port;
mod probe;

pub use clock::Clock;
pub use files::KeepError;
pub use hints::Hints;
pub use hold::{Hold, HoldError};
pub use port::{Details, Inspector, Opened, Opening, SourceFactory};
