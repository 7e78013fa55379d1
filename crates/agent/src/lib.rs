//! The driver around the Reconciler: journal, probes, local API.

#![forbid(unsafe_code)]

pub mod api;
mod clock;
pub mod journal;

pub use clock::Clock;
