//! The whole agent over a world that is faked: instances and repositories are in memory, the journal, the store of files,
//! the sockets and the loop are real.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod crash;
mod disk;
mod doors;
mod oneshot;
mod push;
mod recorder;
mod reports;
mod repository;
mod rig;
mod scopes;
mod sources;
mod world;
