//! Where the output of instances goes. The logs of a unit's newest instances stay when they are cleared away: whoever asks
//! why it crashed wants those of before.

use crate::place::{log_file, unit_folder};
use abide_host::{
    fs::{self, Dir},
    keeper::Log,
    root::Paths,
};
use abide_reconcile::{InstanceId, UnitId};
use std::collections::BTreeSet;

/// Below the root's state.
const FOLDER: &str = "log";
/// Of a file, before it is rotated.
const BYTES_MAX: u64 = 10 << 20;
/// Of an instance: the newest, `.1` and `.2`.
const FILES_MAX: u32 = 3;
/// How many instances of a unit have logs.
const INSTANCES_MAX: usize = 5;

/// Makes place for the log of an instance, at the cost of the oldest.
pub(super) fn make(state: &Dir, paths: &Paths, unit: &UnitId, instance: InstanceId) -> Result<Log, fs::Error> {
    let logs = state.make_dirs(folder(unit), 0o700)?;
    let names = logs.names()?;
    let known = names.iter().filter_map(|name| Some((instance_of(name.to_str()?)?, name)));
    let others: BTreeSet<_> = known.clone().map(|(of, _)| of).filter(|of| *of != instance).collect();
    let kept: BTreeSet<_> = others.into_iter().rev().take(INSTANCES_MAX - 1).collect();
    for (of, name) in known {
        if of != instance && !kept.contains(&of) {
            logs.remove_all(name)?;
        }
    }
    let path = log_file(paths, unit, instance).to_string_lossy().into_owned();
    Ok(Log { path, bytes_max: BYTES_MAX, files_max: FILES_MAX })
}

/// Removes all logs of a unit.
pub(super) fn remove(state: &Dir, unit: &UnitId) -> Result<(), fs::Error> {
    match state.open_dir(FOLDER, fs::Resolve::Beneath) {
        Err(error) if error.is_missing() => Ok(()),
        logs => logs?.remove_all(unit_folder(unit)),
    }
}

fn folder(unit: &UnitId) -> String {
    format!("{FOLDER}/{}", unit_folder(unit))
}

/// Whose log it is, as `3-17.log.1`.
fn instance_of(name: &str) -> Option<InstanceId> {
    name.split_once(".log")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_reconcile::{Kind, Name, Ticket};

    #[test]
    fn the_newest_stay() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::of(Some(folder.path())).make().unwrap();
        let state = Dir::open(&paths.state).unwrap();
        let name = |text| Name::new(text).unwrap();
        let unit = UnitId { scope: name("s"), kind: Kind::Container, name: name("a"), index: 0 };
        for n in 1..=12 {
            let log = make(&state, &paths, &unit, Ticket { epoch: 1, n }).unwrap();
            std::fs::write(&log.path, "x").unwrap();
            std::fs::write(format!("{}.1", log.path), "x").unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(paths.logs().join(unit_folder(&unit)))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 10);
        assert_eq!((names[0].as_str(), names[1].as_str()), ("1-10.log", "1-10.log.1"));
        assert_eq!(names.last().map(String::as_str), Some("1-9.log.1"));
        remove(&state, &unit).unwrap();
        remove(&state, &unit).unwrap();
        assert!(!paths.logs().join(unit_folder(&unit)).exists());
    }
}
