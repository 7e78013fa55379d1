//! The machine's own groups, above all others.

use super::{
    Error,
    mounts::{mounted, mounts},
};
use std::{collections::BTreeMap, path::PathBuf};

/// The file `cgroup.procs` of each hierarchy's root, also of those that have no limits of ours. Who is written there is in the
/// group of nobody, and nobody's end is its own.
pub fn top() -> Result<Vec<PathBuf>, Error> {
    let tops = parse(&mounts()?);
    if tops.is_empty() { Err(Error::Hidden) } else { Ok(tops) }
}

pub(super) fn parse(mounts: &str) -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    for mount in mounted(mounts) {
        // What is mounted later hides what was there.
        found.insert(mount.point, matches!(mount.kind, "cgroup" | "cgroup2") && mount.root == "/");
    }
    let tops = found.into_iter().filter(|(_, is_top)| *is_top);
    tops.map(|(point, _)| point.join("cgroup.procs")).collect()
}
