//! The VMM as a process, with the bare-metal guest of `crates/guest` in it.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod boot;
mod devices;
mod power;
mod rig;
mod runtime;
