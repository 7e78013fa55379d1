//! The layer that a container writes to: the upper directory of its overlay.
//!
//! It is the instance's and goes with it, but it isn't in the instance's directory: that one is in memory, usually, and
//! what a container writes can be large. What a reboot left behind is swept away before anything starts.

use abide_host::{
    fs::{self, Dir, Resolve},
    overlay,
};
use std::path::{Path, PathBuf};

/// Why there is no layer to write to.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A folder of it.
    #[error("cannot keep what containers write")]
    File(#[from] fs::Error),
    /// What it is on.
    #[error("cannot keep what containers write")]
    Overlay(#[from] overlay::Error),
}

/// The layers of all containers: a folder for each unit, in that one for each instance, named as their directories.
#[derive(Debug)]
pub(crate) struct Layers {
    dir: Dir,
}

/// The two folders that an overlay needs besides the image's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) upper: PathBuf,
    pub(crate) work: PathBuf,
}

impl Layers {
    /// Those in this folder, which is made if it is missing.
    pub(crate) fn open(parent: &Path, name: &str) -> Result<Self, LayerError> {
        let dir = Dir::open(parent)?.make_dirs(name, 0o700)?;
        overlay::check_path(dir.path())?;
        overlay::check_upper(dir.path())?;
        Ok(Self { dir })
    }

    /// An empty layer for an instance.
    pub(crate) fn make(&self, instance: &Path) -> Result<Layer, LayerError> {
        let folder = self.dir.make_dirs(name_of(instance), 0o700)?;
        // The mode of the upper directory is the mode of the container's `/`.
        let upper = folder.make_dirs("upper", 0o755)?;
        folder.set_mode("upper", 0o755)?;
        let work = folder.make_dirs("work", 0o700)?;
        Ok(Layer { upper: upper.path().to_owned(), work: work.path().to_owned() })
    }

    /// Removes the layer of an instance, and the unit's folder with the last one. Idempotent.
    pub(crate) fn remove(&self, instance: &Path) -> Result<(), LayerError> {
        let name = name_of(instance);
        let (Some(unit), Some(instance)) = (name.parent(), name.file_name()) else { return Ok(()) };
        if !self.dir.has(unit)? {
            return Ok(());
        }
        let folder = self.dir.open_dir(unit, Resolve::Beneath)?;
        folder.remove_all(instance)?;
        if folder.names()?.is_empty() {
            self.dir.remove_all(unit)?;
        }
        Ok(())
    }

    /// Removes the layers of instances whose directory below `instances` is gone.
    pub(crate) fn sweep(&self, instances: &Path) -> Result<(), LayerError> {
        for unit in self.dir.names()? {
            for instance in self.dir.open_dir(&unit, Resolve::Beneath)?.names()? {
                let place = instances.join(&unit).join(instance);
                if !place.exists() {
                    self.remove(&place)?;
                }
            }
        }
        Ok(())
    }
}

/// UNIT/INSTANCE, the last two parts of the path of an instance's directory.
fn name_of(instance: &Path) -> &Path {
    let units = instance.parent().and_then(Path::parent);
    units.and_then(|units| instance.strip_prefix(units).ok()).unwrap_or(instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_come_and_go_with_their_instances() {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers::open(folder.path(), "layers").unwrap();
        let run = folder.path().join("run");
        let [one, two, gone] = ["web/1-1", "web/1-2", "db/1-3"].map(|name| run.join(name));
        for place in [&one, &two, &gone] {
            let layer = layers.make(place).unwrap();
            std::fs::write(layer.upper.join("written"), "").unwrap();
        }
        for place in [&one, &two] {
            std::fs::create_dir_all(place).unwrap();
        }
        layers.sweep(&run).unwrap();
        assert!(folder.path().join("layers/web/1-1/upper/written").exists());
        assert!(!folder.path().join("layers/db").exists());
        for place in [&one, &one, &two, &gone] {
            layers.remove(place).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path().join("layers")).unwrap().count(), 0);
    }
}
