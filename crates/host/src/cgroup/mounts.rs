//! What is mounted, as far as hierarchies of control groups are concerned (proc_pid_mountinfo(5)).

use super::{Error, read};
use std::path::Path;

/// A mount, hierarchy or not.
pub(super) struct Mounted<'a> {
    /// What of it is mounted: a folder in it.
    pub(super) root: &'a str,
    pub(super) point: &'a Path,
    pub(super) kind: &'a str,
    /// Of the file system, separated by commas.
    pub(super) options: &'a str,
}

/// The text that [`mounted`] reads.
pub(super) fn mounts() -> Result<String, Error> {
    read(Path::new("/proc/self/mountinfo"))
}

/// All mounts, in the order of mounting. Nobody's hierarchy has a space in its path.
pub(super) fn mounted(text: &str) -> impl Iterator<Item = Mounted<'_>> {
    text.lines().filter_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let (mut mount, mut system) = (mount.split(' ').skip(3), system.split(' '));
        let (root, point) = (mount.next()?, Path::new(mount.next()?));
        Some(Mounted { root, point, kind: system.next()?, options: system.nth(1)? })
    })
}
