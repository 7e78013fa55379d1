//! Volumes: data that outlives what uses it, as units of their own.
//!
//! ```text
//!            Start                    Stop                   Forget: Keep
//!  nothing ─────────► in use ─────────────────► at rest ─────────────────► orphaned ──► Start: in use, with its data
//!                                                  │ Forget: Delete
//!                                                  ▼
//!                                               nothing
//! ```
//!
//! A volume in use is seen as one instance that runs and is active, also after a reboot. `meta.json` says whose the data is
//! and is durable before there is any, so that data is never without an owner or a mark that it has none.

mod backend;
mod meta;

use crate::{fence::Fences, form::FormError, place::volume_folder};
use abide_host::fs::{self, Dir, Resolve, Sync};
use abide_reconcile::{
    Name, Scope,
    spec::kind::{VolumeForm, VolumeSpec},
};
use meta::{Keeping, Meta};
use std::{fs::File, io, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

/// Below the root's state.
const FOLDER: &str = "volumes";
/// In a volume's folder.
const DATA: &str = "data";
/// In that of a disk.
const DISK: &str = "disk.raw";

/// Where the data of a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeData {
    /// A folder, for containers.
    Directory(PathBuf),
    /// A raw, sparse file, for virtual machines.
    Disk(PathBuf),
}

/// What can go wrong with volumes.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// A file of one.
    #[error("cannot use the records of volumes")]
    Files(#[from] fs::Error),
    /// What is written about one.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The data itself.
    #[error("cannot {act} {}", path.display())]
    Data {
        /// As "grow".
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// All volumes of a root.
#[derive(Debug)]
pub struct Volumes {
    dir: Dir,
    fences: Fences,
}

impl Volumes {
    /// Those in the root's state.
    pub fn open(state: &Dir, epoch: u64) -> Result<Self, VolumeError> {
        Ok(Self { dir: state.make_dirs(FOLDER, 0o700)?, fences: Fences::new(epoch) })
    }

    /// Where the data of a volume is that is in use; nothing if there is no such volume (yet, or any more).
    pub fn data(&self, scope: &Scope, name: &Name) -> Result<Option<VolumeData>, VolumeError> {
        let folder = volume_folder(scope, name);
        let meta = meta::read(&self.dir, &folder)?;
        let meta = meta.filter(|meta| matches!(meta.keeping, Keeping::InUse { .. }));
        Ok(meta.map(|meta| self.place(&folder, meta.spec().form)))
    }

    /// Volumes whose document went, and whose data was kept.
    pub fn orphaned(&self) -> Result<Vec<(Scope, Name)>, VolumeError> {
        let metas = self.all()?.into_iter().filter(|meta| meta.keeping == Keeping::Orphaned);
        Ok(metas.map(|meta| (meta.unit.id.scope, meta.unit.id.name)).collect())
    }

    fn all(&self) -> Result<Vec<Meta>, VolumeError> {
        let mut all = Vec::new();
        for folder in self.dir.names()? {
            if let Some(folder) = folder.to_str() {
                all.extend(meta::read(&self.dir, folder)?);
            }
        }
        Ok(all)
    }

    fn place(&self, folder: &str, form: VolumeForm) -> VolumeData {
        let data = self.dir.path().join(folder).join(DATA);
        match form {
            VolumeForm::Directory => VolumeData::Directory(data),
            VolumeForm::Disk => VolumeData::Disk(data.join(DISK)),
        }
    }

    /// Makes the data that isn't there, and lets a disk grow.
    fn make_data(&self, folder: &str, spec: &VolumeSpec) -> Result<(), VolumeError> {
        let dir = self.dir.open_dir(folder, Resolve::Beneath)?;
        let data = dir.make_dirs(DATA, 0o755)?;
        dir.sync()?;
        if let (VolumeForm::Disk, Some(size)) = (spec.form, spec.size) {
            grow(&data, size.0)?;
        }
        Ok(())
    }

    /// What a disk has already; `None` if there is none.
    fn disk_bytes(&self, folder: &str) -> Result<Option<u64>, VolumeError> {
        match self.dir.open_dir(format!("{folder}/{DATA}"), Resolve::Beneath) {
            Ok(data) => Ok(data.look(DISK)?.map(|disk| disk.size)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&self, folder: &str, meta: &Meta) -> Result<(), VolumeError> {
        let dir = self.dir.make_dirs(folder, 0o700)?;
        self.dir.sync()?;
        Ok(dir.write(meta::FILE, &meta.to_bytes(), 0o600, Sync::Durable)?)
    }
}

/// A sparse file takes no room before it is written to.
fn grow(data: &Dir, bytes: u64) -> Result<(), VolumeError> {
    let path = data.path().join(DISK);
    let open = || -> io::Result<()> {
        // By path: nobody but us can reach the folder of a disk.
        let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        if file.metadata()?.len() < bytes {
            file.set_len(bytes)?;
        }
        file.sync_all()
    };
    open().map_err(|source| VolumeError::Data { act: "make a disk of", path: path.clone(), source })?;
    Ok(data.sync()?)
}
