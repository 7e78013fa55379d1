//! What a machine believes, and what it doesn't: fleets in memory, honest hubs, and hubs that lie in every way.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod honest;
mod lies;
mod real;
mod walk;
mod world;
