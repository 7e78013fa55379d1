//! Where the directories of units and instances are, and how they are called.
//!
//! ```text
//! run/units/<scope>_<kind>_<name>_<index>/     one a unit: `unit.json`
//!     └── <epoch>-<n>/                         one an instance: `instance.json`, and what its keeper writes
//! state/log/<scope>_<kind>_<name>_<index>/     <epoch>-<n>.log, and the older .1, .2
//! state/volumes/<scope>_<name>/                `meta.json`, and `data/` or `data/disk.raw`
//! ```
//!
//! Names have no `_`, so that folders can be read back; and no `:` or `,`, which mean something in the options of an overlay.

use abide_host::root::Paths;
use abide_reconcile::{InstanceId, Kind, Name, Scope, UnitId};
use std::path::PathBuf;

/// The name of a unit's folders.
pub fn unit_folder(unit: &UnitId) -> String {
    let UnitId { scope, kind, name, index } = unit;
    format!("{scope}_{kind}_{name}_{index}")
}

/// Which unit's the folder of this name is; `None` if it is none of ours.
pub(crate) fn unit_of(folder: &str) -> Option<UnitId> {
    let mut parts = folder.split('_');
    let (scope, kind, name, index) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let unit = UnitId { scope: Name::new(scope).ok()?, kind, name: Name::new(name).ok()?, index: index.parse().ok()? };
    (unit_folder(&unit) == folder).then_some(unit)
}

/// The name of an instance among all of a root: of its control group and its lease.
pub(crate) fn instance_name(unit: &UnitId, instance: InstanceId) -> String {
    format!("{}_{instance}", unit_folder(unit))
}

/// The directory of a unit, of this boot.
pub(crate) fn unit_directory(paths: &Paths, unit: &UnitId) -> PathBuf {
    paths.units().join(unit_folder(unit))
}

/// The directory of an instance, of this boot.
pub fn instance_directory(paths: &Paths, unit: &UnitId, instance: InstanceId) -> PathBuf {
    unit_directory(paths, unit).join(instance.to_string())
}

/// Where the logs of a unit's instances are: [`log_file`], and the older ones with `.1`, `.2` after their name.
pub fn log_directory(paths: &Paths, unit: &UnitId) -> PathBuf {
    paths.logs().join(unit_folder(unit))
}

/// The log of an instance.
pub fn log_file(paths: &Paths, unit: &UnitId, instance: InstanceId) -> PathBuf {
    log_directory(paths, unit).join(format!("{instance}.log"))
}

/// The name of a volume's folder.
pub(crate) fn volume_folder(scope: &Scope, name: &Name) -> String {
    format!("{scope}_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_back() {
        let name = |text| Name::new(text).unwrap();
        for kind in Kind::ALL {
            let unit = UnitId { scope: name("infra"), kind, name: name("web-1"), index: 3 };
            assert_eq!(unit_of(&unit_folder(&unit)), Some(unit));
        }
        for folder in ["", "a_Container_b", "a_container_b_0", "a_Container_b_00", "a_Container_b_0_c", "A_Volume_b_0"]
        {
            assert_eq!(unit_of(folder), None, "{folder}");
        }
    }
}
