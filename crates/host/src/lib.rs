//! The one door to the kernel: cgroups, namespaces, mounts, links, nftables, keepers

pub mod child;
pub mod fs;
