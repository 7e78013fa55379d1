//! Keepers: how they are started, and what they are asked.
//!
//! A keeper is a small program of its own that is embedded in this one. It is executed out of a sealed file in memory, so
//! that an upgrade doesn't touch those that run and nothing in an instance can write to it (CVE-2019-5736).

mod client;
mod spawn;

pub use abide_keeper::{
    job::{Base, File, Identity, Job, Log, Mount, MountSource, OpenFiles, Program, Root, Upper},
    message::{Exec, Failure, Forward, Window},
    record::{Exit, Life, Process},
    wire::List,
};
pub use client::{AskError, Client, Ended, Running, Streams};
pub use spawn::{Created, Keepers, Origin, SpawnError};

#[cfg(test)]
mod tests;
