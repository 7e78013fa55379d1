//! The machine's own groups, above all others.

use super::{Error, read};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The file `cgroup.procs` of each hierarchy's root, also of those that have no limits of ours. Who is written there is in the
/// group of nobody, and nobody's end is its own.
pub fn top() -> Result<Vec<PathBuf>, Error> {
    let tops = parse(&read(Path::new("/proc/self/mountinfo"))?);
    if tops.is_empty() { Err(Error::Hidden) } else { Ok(tops) }
}

pub(super) fn parse(mounts: &str) -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for line in mounts.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let mut mount = mount.split(' ').skip(3);
        let (Some(root), Some(point)) = (mount.next(), mount.next()) else { continue };
        let is_hierarchy = matches!(kind.split(' ').next(), Some("cgroup" | "cgroup2"));
        // What is mounted later hides what was there.
        found.insert(point, is_hierarchy && root == "/");
    }
    let tops = found.into_iter().filter(|(_, is_top)| *is_top);
    tops.map(|(point, _)| Path::new(point).join("cgroup.procs")).collect()
}
