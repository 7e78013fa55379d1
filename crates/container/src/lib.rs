//! Containers: the runtime behind instances of kind Container.
//!
//! ```text
//! prepare  image ──pull, unpack──► layers ──look into them──► who runs, where mounts go        (`lookup`)
//!
//! launch   image, spec ──► first process: program, user, rights                                (`process`, `user`, …)
//!          DIR/{network,config-maps,secrets}, a layer to write to                              (`files`, `layer`)
//!          all of it ──► one complete job for the keeper                                       (`job`, `root`)
//!
//! clear    mounts, then files and layer; what a reboot left is swept away in `Containers::new`
//! ```
//!
//! Nothing is decided by the keeper and nothing is executed by us: a [`abide_host::keeper::Job`] says all. What a container
//! may do unless told otherwise is stricter than Docker: fewer capabilities, no new privileges, and kernel interfaces that
//! have helped others out of containers are masked, read-only or refused.
//!
//! Images are hostile. They are looked into by descriptor, of their config only known fields count, and each of those is
//! checked where it is used.

#![forbid(unsafe_code)]

mod capability;
mod containers;
mod fault;
mod files;
mod job;
mod layer;
mod lookup;
mod network;
mod process;
mod root;
mod seccomp;
mod signal;
mod used;
mod user;

pub use containers::{Containers, ContainersError, PruneError};

#[cfg(test)]
mod testing;
