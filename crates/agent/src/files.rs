//! The store of the repositories' files: `files/<sha256>`, each there wholly or not at all.
//!
//! What a wish names is in the store before the wish is handed to the core, so before it is accepted. Files that nothing
//! names any more are swept, but only old ones: a young one may belong to a wish that is on its way.

use crate::hold::write_durably;
use abide_reconcile::{
    Digest, Unit,
    spec::{FileRef, Listing},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// Files that are younger are never swept.
const SWEEP_AGE: Duration = Duration::from_secs(3600);

/// Why the store could not take a file.
#[derive(Debug, thiserror::Error)]
#[error("could not keep a file of the repository at {}: {source}", path.display())]
pub struct KeepError {
    path: PathBuf,
    source: io::Error,
}

/// The store. Who writes and who sweeps take turns.
#[derive(Debug)]
pub(crate) struct FileStore {
    folder: PathBuf,
    turn: Mutex<()>,
}

impl FileStore {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), turn: Mutex::new(()) }
    }

    /// Keeps these files, durably.
    pub(crate) fn keep(&self, files: &BTreeMap<Digest, Arc<[u8]>>) -> Result<(), KeepError> {
        if files.is_empty() {
            return Ok(());
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, bytes) in files {
            let path = self.folder.join(digest.to_string());
            let kept = fs::create_dir_all(&self.folder).and_then(|()| keep(&path, bytes));
            kept.map_err(|source| KeepError { path, source })?;
        }
        Ok(())
    }

    /// Removes old files that none of these units names, and what a crash left half written.
    pub(crate) fn sweep(&self, units: &[Arc<Unit>], now: SystemTime) -> io::Result<usize> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut named: BTreeSet<String> = BTreeSet::new();
        for FileRef { digest, .. } in units.iter().flat_map(|unit| unit.files.values()) {
            if named.insert(digest.to_string()) {
                named.extend(self.listed(*digest));
            }
        }
        let mut swept = 0;
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let is_named = entry.file_name().to_str().is_some_and(|name| named.contains(name));
            let modified = entry.metadata()?.modified()?;
            let is_old = now.duration_since(modified).is_ok_and(|age| age >= SWEEP_AGE);
            if !is_named && is_old {
                fs::remove_file(entry.path())?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// If the file is a folder's listing, what is listed. A file of a repository that happens to read like one only keeps
    /// more than is needed.
    fn listed(&self, digest: Digest) -> Vec<String> {
        let listing = File::open(self.folder.join(digest.to_string())).ok();
        let listing: Option<Listing> = listing.and_then(|file| serde_json::from_reader(io::BufReader::new(file)).ok());
        listing.into_iter().flat_map(BTreeMap::into_values).map(|file| file.digest.to_string()).collect()
    }
}

/// A file that is there has the content that its name says; using it again makes it young.
fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match File::options().write(true).open(path) {
        Ok(file) if file.metadata()?.len() == bytes.len() as u64 => file.set_modified(SystemTime::now()),
        _ => write_durably(path, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_reconcile::{Kind, Name, UnitId, UnitSpec, spec::ListedFile};

    fn unit(files: &[&[u8]]) -> Arc<Unit> {
        let files = files.iter().map(|bytes| {
            let file = FileRef { digest: Digest::of(bytes), size: bytes.len() as u64 };
            (file.digest.to_string(), file)
        });
        let name = Name::new("x").unwrap();
        Arc::new(Unit {
            id: UnitId { scope: name.clone(), kind: Kind::Volume, name, index: 0 },
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec: UnitSpec::Volume(Arc::new(serde_json::from_str("{}").unwrap())),
            config_maps: BTreeMap::new(),
            secrets: BTreeMap::new(),
            files: files.collect(),
            insecure_registries: Vec::new(),
        })
    }

    fn named(bytes: &[u8]) -> (Digest, Arc<[u8]>) {
        (Digest::of(bytes), bytes.into())
    }

    #[test]
    fn what_is_named_stays_and_what_is_young_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(&folder.path().join("files"));
        let entry = ListedFile { digest: Digest::of(b"inner"), size: 5, executable: false };
        let listing = serde_json::to_vec(&Listing::from([("a/b".to_owned(), entry)])).unwrap();
        let all = [&b"kernel"[..], b"inner", b"old", &listing].into_iter().map(named).collect();
        store.keep(&all).unwrap();
        let units = [unit(&[b"kernel", &listing])];
        let now = SystemTime::now();
        assert_eq!(store.sweep(&units, now).unwrap(), 0);
        let later = now + SWEEP_AGE * 2;
        assert_eq!(store.sweep(&units, later).unwrap(), 1);
        assert!(!store.folder.join(Digest::of(b"old").to_string()).exists());
        assert_eq!(store.sweep(&units, later).unwrap(), 0);
        store.keep(&all).unwrap();
        assert_eq!(fs::read(store.folder.join(Digest::of(b"old").to_string())).unwrap(), b"old");
    }

    #[test]
    fn a_file_that_was_cut_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path());
        let path = folder.path().join(Digest::of(b"kernel").to_string());
        fs::write(&path, "ker").unwrap();
        store.keep(&[named(b"kernel")].into()).unwrap();
        assert_eq!(fs::read(path).unwrap(), b"kernel");
    }
}
