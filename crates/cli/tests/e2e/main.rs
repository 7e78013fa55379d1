//! End to end, through the binary, as users have it: what the project promises, each on a root of its own.
//!
//! `ABIDE_BIN` names another binary to be tested: the tests run on the release as well as on what cargo just built.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod bad;
mod commands;
mod crash;
mod decisions;
mod disk;
mod documents;
mod examples;
mod guard;
mod heal;
mod hooks;
mod images;
mod input;
mod pod;
mod push;
mod reboot;
mod software;
mod sources;
mod ssh;
mod support;
mod terminal;

use abide_lab::Rig;

fn rig() -> Rig {
    Rig::new(env!("CARGO_BIN_EXE_abide"))
}

fn started() -> Rig {
    Rig::started(env!("CARGO_BIN_EXE_abide"))
}
