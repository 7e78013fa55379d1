//! The one door to the kernel: cgroups, namespaces, mounts, links, nftables, keepers

pub mod cgroup;
pub mod child;
pub mod fs;
pub mod keeper;
pub mod memory;
pub mod mount;
pub mod net;
pub mod overlay;
pub mod process;
pub mod root;
pub mod terminal;
pub mod time;
