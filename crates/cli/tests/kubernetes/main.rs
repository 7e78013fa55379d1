//! `abide operator` against a real API server, through the binary and kubectl, as users have them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod controller;
mod emptied;
mod life;
mod loss;
mod many;
mod moved;
mod node;
mod placement;
mod together;
