//! What containers and virtual machines share as *instances*: a directory with records, a cgroup, an address, a keeper,
//! host ports; and from that the [`abide_reconcile::Backend`] of their kind. What a kind adds is a [`Runtime`]. And the
//! volumes that both of them use.

#![forbid(unsafe_code)]

mod fault;
mod fence;
pub mod place;
pub mod runtime;
mod volume;

pub use place::{instance_directory, log_directory, log_file, unit_folder};
pub use runtime::{Launch, Link, Place, Runtime};
pub use volume::{VolumeData, VolumeError, Volumes};
