//! What is written beside a volume's data. Every released form stays readable.

use super::VolumeError;
use crate::form::Form;
use abide_host::fs::{Dir, Resolve};
use abide_reconcile::{InstanceId, Owner, Unit, UnitSpec, spec::kind::VolumeSpec};
use serde::{Deserialize, Serialize};
use std::{io::ErrorKind, path::Path};

pub(super) const FILE: &str = "meta.json";

/// Of [`Meta`].
const FORM: Form = Form { version: 1, remedy: "restore it, or move the folder away to begin with an empty volume" };
/// A unit's document has at most 1 MiB.
const BYTES_MAX: u64 = 4 << 20;

/// A volume, as it was wanted last.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    v: u32,
    pub(super) unit: Unit,
    pub(super) keeping: Keeping,
}

/// On whose behalf the data is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Keeping {
    /// Units may use it.
    InUse { owner: Owner, instance: InstanceId },
    /// Nobody may use it, but its owner has not let go of it.
    AtRest { owner: Owner },
    /// Its document went.
    Orphaned,
}

impl Meta {
    pub(super) fn new(unit: Unit, keeping: Keeping) -> Self {
        Self { v: FORM.version, unit, keeping }
    }

    pub(super) fn spec(&self) -> VolumeSpec {
        spec_of(&self.unit)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a unit has only keys and values that JSON has")
    }
}

impl Keeping {
    pub(super) fn owner(&self) -> Option<&Owner> {
        match self {
            Self::InUse { owner, .. } | Self::AtRest { owner } => Some(owner),
            Self::Orphaned => None,
        }
    }
}

/// Of any other kind of unit, a spec that asks for nothing.
pub(super) fn spec_of(unit: &Unit) -> VolumeSpec {
    match &unit.spec {
        UnitSpec::Volume(spec) => (**spec).clone(),
        UnitSpec::Container(_) | UnitSpec::VirtualMachine(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => {
            VolumeSpec::default()
        }
    }
}

/// What is written of the volume in this folder, if anything.
pub(super) fn read(volumes: &Dir, folder: &str) -> Result<Option<Meta>, VolumeError> {
    let path = Path::new(folder).join(FILE);
    let bytes = match volumes.read(&path, Resolve::Beneath, BYTES_MAX) {
        Err(error) if error.is_missing() => return Ok(None),
        // Somebody's file beside the volumes.
        Err(error) if error.source.kind() == ErrorKind::NotADirectory => return Ok(None),
        bytes => bytes?,
    };
    Ok(Some(FORM.read(&bytes, volumes.path().join(path))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FormError;
    use abide_reconcile::spec::kind::VolumeForm;

    #[test]
    fn the_first_form_is_read_for_good() {
        let fixtures = Dir::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")).unwrap();
        for (folder, keeping) in [("volume-v1-in-use", "InUse"), ("volume-v1-orphaned", "Orphaned")] {
            let meta = read(&fixtures, folder).unwrap().unwrap();
            assert!(format!("{:?}", meta.keeping).starts_with(keeping), "{meta:?}");
            assert_eq!(meta.spec().form, VolumeForm::Disk);
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open(folder.path()).unwrap();
        let write = |text: &str| {
            std::fs::create_dir_all(folder.path().join("a")).unwrap();
            std::fs::write(folder.path().join("a/meta.json"), text).unwrap();
        };
        assert!(read(&dir, "a").unwrap().is_none());
        write("{\"v\": 2, \"new\": true}");
        assert!(matches!(read(&dir, "a"), Err(VolumeError::Form(FormError::Later { v: 2, .. }))));
        write("{\"v\": 1}");
        assert!(matches!(read(&dir, "a"), Err(VolumeError::Form(FormError::Damaged { .. }))));
    }
}
