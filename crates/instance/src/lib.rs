//! What containers and virtual machines share as *instances*: a directory with records, a cgroup, an address, a keeper,
//! host ports; and from that the [`abide_reconcile::Backend`] of their kind. What a kind adds is a [`Runtime`].

#![forbid(unsafe_code)]

pub mod runtime;

pub use runtime::{Launch, Place, Runtime};
