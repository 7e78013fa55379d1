//! Images on disk, by digest.
//!
//! | in the folder | what |
//! |---|---|
//! | `blobs/sha256/DIGEST` | manifests and configs, byte by byte |
//! | `layers/CHAIN/fs` | a layer unpacked, to be stacked by overlayfs; `CHAIN` is short, as overlayfs takes few long paths |
//! | `layers/CHAIN/id` | the whole chain id |
//! | `records/KEY.json` | which manifest a name means; everything else is read from the blobs by today's code |
//! | `tmp/` | what is being made; a rename puts it into its place after all of it is on disk |
//! | `lock` | held shared by who has the store open, exclusively by who removes from it |
//!
//! So whatever has its final name is whole, and what a crash left is in `tmp`.

use crate::error::StoreError;
use abide_host::fs::{Dir, Resolve, Sync};
use abide_spec::Digest;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

const FORMAT: u32 = 1;
const RECORD_BYTES_MAX: u64 = 64 << 10;
const BLOB_BYTES_MAX: u64 = 8 << 20;

/// The folder.
#[derive(Debug)]
pub(crate) struct Store {
    blobs: Dir,
    layers: Dir,
    records: Dir,
    tmp: Dir,
    lock: File,
}

/// What a name means.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    /// The name, for people.
    pub(crate) key: String,
    pub(crate) manifest: Digest,
    /// How the files on this machine looked that it was read from.
    pub(crate) fingerprint: String,
}

/// A folder for what is being made, gone when dropped.
pub(crate) struct Scratch<'a> {
    tmp: &'a Dir,
    name: String,
    pub(crate) dir: Dir,
}

impl Store {
    /// Opens the store, which is made if it is missing. What a crash left behind is removed, unless somebody else has the
    /// store open.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
        let dir = Dir::open(parent)?.make_dirs(name, 0o700)?;
        if !dir.has("lock")? {
            match dir.create("lock", 0o600) {
                Err(error) if error.source.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        let store = Self {
            lock: dir.open_file("lock", Resolve::Beneath)?,
            blobs: dir.make_dirs("blobs/sha256", 0o700)?,
            layers: dir.make_dirs("layers", 0o700)?,
            records: dir.make_dirs("records", 0o700)?,
            tmp: dir.make_dirs("tmp", 0o700)?,
        };
        if store.try_lock_alone()? {
            store.sweep()?;
        }
        store.lock.lock_shared().map_err(StoreError::Lock)?;
        Ok(store)
    }

    fn try_lock_alone(&self) -> Result<bool, StoreError> {
        match self.lock.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(StoreError::Lock(error)),
        }
    }

    fn sweep(&self) -> Result<(), StoreError> {
        for name in self.tmp.names()? {
            self.tmp.remove_all(name)?;
        }
        for dir in [&self.blobs, &self.records] {
            for name in dir.names()? {
                if name.as_encoded_bytes().starts_with(b".") {
                    dir.remove_all(name)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn scratch(&self) -> Result<Scratch<'_>, StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = self.tmp.make_dirs(&name, 0o700)?;
        Ok(Scratch { tmp: &self.tmp, name, dir })
    }

    /// A manifest or config; none if it isn't there, or not whole.
    pub(crate) fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        match self.blobs.read(digest.to_string(), Resolve::Beneath, BLOB_BYTES_MAX) {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(Some(bytes)),
            Ok(_) => Ok(None),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        self.blobs.write(digest.to_string(), bytes, 0o600, Sync::Durable)?;
        Ok(digest)
    }

    pub(crate) fn record(&self, key: &str) -> Result<Option<Record>, StoreError> {
        match self.records.read(record_name(key), Resolve::Beneath, RECORD_BYTES_MAX) {
            Ok(bytes) => {
                let record: Option<Record> = serde_json::from_slice(&bytes).ok();
                Ok(record.filter(|record| record.format == FORMAT && record.key == key))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn put_record(&self, key: &str, manifest: Digest, fingerprint: &str) -> Result<(), StoreError> {
        let (key, fingerprint) = (key.to_owned(), fingerprint.to_owned());
        let name = record_name(&key);
        let record = Record { format: FORMAT, key, manifest, fingerprint };
        let bytes = serde_json::to_vec(&record).expect("a record has only what JSON has");
        Ok(self.records.write(name, &bytes, 0o600, Sync::Durable)?)
    }

    /// The folder of a layer, if it is there.
    pub(crate) fn layer(&self, chain: Digest) -> Result<Option<PathBuf>, StoreError> {
        let name = layer_name(chain);
        let id = match self.layers.read(format!("{name}/id"), Resolve::Beneath, 64) {
            Ok(id) => id,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if id != chain.to_string().as_bytes() {
            return Err(StoreError::Collision(name));
        }
        Ok(Some(self.layers.path().join(name).join("fs")))
    }

    /// Puts what was unpacked into `fs` of a folder into its place, once it is on disk.
    pub(crate) fn put_layer(&self, scratch: &Scratch<'_>, folder: &str, chain: Digest) -> Result<(), StoreError> {
        let dir = scratch.dir.open_dir(folder, Resolve::Beneath)?;
        dir.write("id", chain.to_string().as_bytes(), 0o600, Sync::ThisBoot)?;
        dir.sync_file_system()?;
        match scratch.dir.rename(folder, &self.layers, layer_name(chain)) {
            // Another process was faster; the same layer it is.
            Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            result => Ok(result.and_then(|()| self.layers.sync())?),
        }
    }

    pub(crate) fn open_layer(&self, chain: Digest) -> Result<Dir, StoreError> {
        Ok(self.layers.open_dir(format!("{}/fs", layer_name(chain)), Resolve::Beneath)?)
    }

    /// All names and what they mean. One that can't be read means nothing.
    pub(crate) fn records(&self) -> Result<Vec<(PathBuf, Option<Record>)>, StoreError> {
        let names = self.records.names()?;
        let read = |name: &PathBuf| {
            let bytes = self.records.read(name, Resolve::Beneath, RECORD_BYTES_MAX).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        Ok(names.into_iter().map(PathBuf::from).map(|name| (name.clone(), read(&name))).collect())
    }

    /// Removes all but what is to be kept; `None` if another process has the store open. Nobody in this process may be
    /// preparing anything. Names go first, so that a crash leaves no name without its image.
    pub(crate) fn retain(
        &self,
        records: &[PathBuf],
        blobs: &BTreeSet<Digest>,
        chains: &BTreeSet<Digest>,
    ) -> Result<Option<usize>, StoreError> {
        if !self.try_lock_alone()? {
            // Trying may have given up the shared lock.
            self.lock.lock_shared().map_err(StoreError::Lock)?;
            return Ok(None);
        }
        let removed = self.remove_others(records, blobs, chains);
        self.lock.lock_shared().map_err(StoreError::Lock)?;
        removed.map(Some)
    }

    fn remove_others(
        &self,
        records: &[PathBuf],
        blobs: &BTreeSet<Digest>,
        chains: &BTreeSet<Digest>,
    ) -> Result<usize, StoreError> {
        let blobs: BTreeSet<String> = blobs.iter().map(Digest::to_string).collect();
        let layers: BTreeSet<String> = chains.iter().map(|chain| layer_name(*chain)).collect();
        let is_kept = |names: &BTreeSet<String>, name: &Path| name.to_str().is_some_and(|name| names.contains(name));
        let mut removed = 0;
        for name in self.records.names()?.iter().map(Path::new).filter(|name| !records.iter().any(|kept| kept == name))
        {
            self.records.remove_all(name)?;
        }
        self.records.sync()?;
        for name in self.blobs.names()?.iter().map(Path::new).filter(|name| !is_kept(&blobs, name)) {
            self.blobs.remove_all(name)?;
        }
        let scratch = self.scratch()?;
        for name in self.layers.names()?.iter().map(Path::new).filter(|name| !is_kept(&layers, name)) {
            // Half a layer must not have the name of a whole one.
            self.layers.rename(name, &scratch.dir, name)?;
            scratch.dir.remove_all(name)?;
            removed += 1;
        }
        Ok(removed)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What stays is swept away when the store is opened next.
        let _ = self.tmp.remove_all(&self.name);
    }
}

fn record_name(key: &str) -> String {
    format!("{}.json", Digest::of(key.as_bytes()))
}

fn layer_name(chain: Digest) -> String {
    let mut name = chain.to_string();
    name.truncate(16);
    name
}
