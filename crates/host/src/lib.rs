//! The one door to the kernel.
//!
//! | module | what it is about |
//! |---|---|
//! | [`root`] | where everything of one agent is, and how its kernel objects are called |
//! | [`fs`], [`mount`], [`overlay`] | paths that nobody can lead astray; mounts; layers |
//! | [`cgroup`], [`process`], [`keeper`] | control groups; processes that can't be mistaken; what parents instances |
//! | [`net`] | the bridge, links, published ports, addresses |
//! | [`child`] | processes that meet what others send |
//! | [`terminal`], [`time`], [`memory`] | terminals; clocks; what this process takes of the memory |

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
