//! What containers and virtual machines share as *instances*: a directory with records, a cgroup, an address, a keeper,
//! host ports; and from that the [`abide_reconcile::Backend`] of their kind. What a kind adds is a [`Runtime`]. And the
//! volumes that both of them use.

#![forbid(unsafe_code)]

mod condition;
pub mod fault;
mod fence;
mod form;
mod ground;
mod instances;
mod network;
pub mod place;
mod reading;
mod record;
pub mod runtime;
mod volume;

pub use form::FormError;
pub use ground::{Ground, GroundError, Inspected};
pub use instances::Instances;
pub use network::NetworkError;
pub use place::{instance_directory, log_directory, log_file, unit_folder};
pub use reading::{Instance, read_instances};
pub use record::RecordError;
pub use runtime::{Launch, Link, Place, Runtime};
pub use volume::{VolumeData, VolumeError, Volumes};
