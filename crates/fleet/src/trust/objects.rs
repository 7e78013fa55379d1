//! The objects that a machine has, in a bare repository of its own: what it runs, it can read again without any hub.
//!
//! What comes is checked before it is kept ([`object`](super::object)), so everything here is well-formed and has the name
//! that it is asked for by. It is written as packs, each synced before anything relies on it. No reference is ever written:
//! which commits count is in [`State`](super::State).

mod pack;

use super::object::{self, BadObject, Commit, Tag, Tree};
use crate::protocol::{Frame, ObjectId, ObjectKind};
use git2::{ErrorCode, ObjectType, Oid, Repository, RepositoryInitOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
};

const CURRENT: &str = "repo.git";
const NEXT: &str = "repo.git.new";
const PREVIOUS: &str = "repo.git.old";

/// Bytes in memory before a pack is made of them.
const PENDING_BYTES_MAX: usize = 16 << 20;

/// Beside the packs, how many bytes of it are needed: as many as there were when the rest was forgotten last.
const NEEDED: &str = "needed";

/// Bytes of objects that may be of no use; or as many as those that are.
pub const UNNEEDED_BYTES_MAX: u64 = 512 << 20;

/// Packs before they are made few again.
pub const PACKS_MAX: usize = 100;

/// Why a machine's own objects can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The disk.
    #[error("{what} {path}: {source}")]
    Disk {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Git's library.
    #[error("{what} the objects in {path}: {}", source.message())]
    Git {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: git2::Error,
    },
}

/// Of what there is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Bytes: some of it has to be forgotten.
    Bytes,
    /// Packs: one does for all.
    Packs,
}

/// A machine's objects. One process has them open.
pub struct Objects {
    directory: PathBuf,
    repository: Repository,
    /// What is not in a pack yet.
    pending: BTreeMap<ObjectId, Frame>,
    pending_bytes: usize,
    /// What is pending stays so.
    is_held: bool,
}

impl Objects {
    /// Opens, or makes, the repository below `directory`.
    pub fn open(directory: &Path) -> Result<Self, ObjectsError> {
        abide_git::start();
        let (current, previous) = (directory.join(CURRENT), directory.join(PREVIOUS));
        // Between the two renames of a swap there is only the previous one.
        if !current.exists() && previous.exists() {
            fs::rename(&previous, &current).map_err(disk("renaming", &previous))?;
        }
        for left in [directory.join(NEXT), previous] {
            if left.exists() {
                fs::remove_dir_all(&left).map_err(disk("removing", &left))?;
            }
        }
        let repository = match Repository::open_bare(&current) {
            Ok(repository) => repository,
            Err(error) if error.code() == ErrorCode::NotFound => make(&current)?,
            // All of it can be had again, and nothing else is in there.
            Err(_) => {
                fs::remove_dir_all(&current).map_err(disk("removing", &current))?;
                make(&current)?
            }
        };
        sweep(&current);
        Ok(Self {
            directory: directory.to_owned(),
            repository,
            pending: BTreeMap::new(),
            pending_bytes: 0,
            is_held: false,
        })
    }

    /// Opens the repository below `directory` to read it, while somebody else may write to it: nothing is tidied up.
    pub(super) fn to_read(directory: &Path) -> Result<Self, ObjectsError> {
        abide_git::start();
        let [current, previous] = [CURRENT, PREVIOUS].map(|name| directory.join(name));
        // Between the two renames of a swap there is only the previous one.
        let repository = Repository::open_bare(&current).or_else(|_| Repository::open_bare(&previous));
        let mut objects = Self::of(repository.map_err(git("opening", &current))?);
        objects.directory = directory.to_owned();
        Ok(objects)
    }

    /// What another repository has, to be read and not added to.
    pub(super) fn of(repository: Repository) -> Self {
        let directory = repository.path().parent().unwrap_or(repository.path()).to_owned();
        Self { directory, repository, pending: BTreeMap::new(), pending_bytes: 0, is_held: false }
    }

    /// Where the repository is, once what is pending was written.
    pub fn path(&self) -> PathBuf {
        self.directory.join(CURRENT)
    }

    /// The repository once more, for somebody else.
    pub(super) fn repository(&self) -> Result<Repository, ObjectsError> {
        let path = self.repository.path();
        Repository::open_bare(path).map_err(git("opening", path))
    }

    /// Checks an object and keeps it; its name is what its content says.
    pub fn put(&mut self, frame: Frame) -> Result<ObjectId, PutError> {
        let id = object::name(&frame)?;
        match frame.kind {
            ObjectKind::Commit => drop(Commit::parse(&frame.content)?),
            ObjectKind::Tree => drop(Tree::parse(&frame.content)?),
            ObjectKind::Tag => drop(Tag::parse(&frame.content)?),
            ObjectKind::Blob => {}
        }
        if self.read(id).is_none() {
            if self.has(id) {
                self.mend()?;
            }
            self.pending_bytes += frame.content.len();
            self.pending.insert(id, frame);
        }
        if self.pending_bytes > PENDING_BYTES_MAX && !self.is_held {
            self.flush()?;
        }
        Ok(id)
    }

    /// From now on what is put stays in memory. Whoever puts it sees to it that it isn't too much.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    /// What is in memory may be written.
    pub(super) fn release(&mut self) {
        self.is_held = false;
    }

    /// What is in memory is not needed.
    pub(super) fn discard(&mut self) {
        (self.pending, self.pending_bytes, self.is_held) = (BTreeMap::new(), 0, false);
    }

    /// What is in memory.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Frame> {
        self.pending.values()
    }

    /// Whether the object is here.
    pub fn has(&self, id: ObjectId) -> bool {
        self.pending.contains_key(&id) || self.repository.odb().is_ok_and(|odb| odb.exists(oid(id)))
    }

    /// The object, if it is here. One that is damaged isn't: it can be had again.
    pub fn read(&self, id: ObjectId) -> Option<Frame> {
        if let Some(frame) = self.pending.get(&id) {
            return Some(frame.clone());
        }
        let odb = self.repository.odb().ok()?;
        let object = odb.read(oid(id)).ok()?;
        let kind = match object.kind() {
            ObjectType::Commit => ObjectKind::Commit,
            ObjectType::Tree => ObjectKind::Tree,
            ObjectType::Blob => ObjectKind::Blob,
            ObjectType::Tag => ObjectKind::Tag,
            ObjectType::Any => return None,
        };
        Some(Frame { kind, content: object.data().to_vec() })
    }

    /// Writes what is pending, so that it survives a power cut.
    pub fn flush(&mut self) -> Result<(), ObjectsError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let path = self.path();
        let before = packs(&path)?;
        write(&self.repository, &path, self.pending.values())?;
        for new in packs(&path)?.difference(&before) {
            sync(new)?;
            sync(&new.with_extension("idx"))?;
        }
        sync(&path.join("objects/pack"))?;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }

    /// Whether there is more than has to be, with `room` for what isn't needed.
    pub fn is_full(&self, room: u64) -> Result<Option<Full>, ObjectsError> {
        let (path, mut bytes) = (self.path(), 0);
        let packs = packs(&path)?;
        for pack in &packs {
            bytes += fs::metadata(pack).map_err(disk("reading", pack))?.len();
        }
        let needed = fs::read_to_string(path.join(NEEDED)).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(if bytes.saturating_sub(needed) > room.max(needed) {
            Some(Full::Bytes)
        } else {
            (packs.len() > PACKS_MAX).then_some(Full::Packs)
        })
    }

    /// How many packs there are.
    pub fn packs(&self) -> Result<usize, ObjectsError> {
        Ok(packs(&self.path())?.len())
    }

    /// Makes the packs few. What is damaged is left out.
    pub(super) fn pack(&mut self) -> Result<(), ObjectsError> {
        self.mend()
    }

    /// Leaves out what is damaged: it would be in the way of what comes in its place.
    fn mend(&mut self) -> Result<(), ObjectsError> {
        let mut keep: BTreeSet<ObjectId> = self.pending.keys().copied().collect();
        let odb = self.repository.odb().map_err(git("opening", &self.path()))?;
        // What can't even be listed is left out as well.
        let listed = odb.foreach(|id| {
            keep.extend(id.as_bytes().try_into().map(ObjectId));
            true
        });
        drop((listed, odb));
        let needed = fs::read_to_string(self.path().join(NEEDED)).unwrap_or_default();
        self.become_only(&keep, |_| Ok(needed))
    }

    /// Forgets all but `keep`.
    pub fn retain(&mut self, keep: &BTreeSet<ObjectId>) -> Result<(), ObjectsError> {
        let bytes = |packs: BTreeSet<PathBuf>| {
            let bytes = packs.iter().map(|pack| fs::metadata(pack).map(|pack| pack.len()));
            bytes.sum::<io::Result<u64>>().map(|bytes| bytes.to_string())
        };
        self.become_only(keep, bytes)
    }

    /// Makes the repository anew beside the old one, which it takes the place of. `needed` is what is noted of its packs.
    fn become_only(
        &mut self,
        keep: &BTreeSet<ObjectId>,
        needed: impl FnOnce(BTreeSet<PathBuf>) -> io::Result<String>,
    ) -> Result<(), ObjectsError> {
        let [current, next, previous] = [CURRENT, NEXT, PREVIOUS].map(|name| self.directory.join(name));
        if let Err(error) = self.copy(keep, &next, needed) {
            // A part of it is of no use, and may be what fills the disk.
            if next.is_dir() {
                drop(fs::remove_dir_all(&next));
            } else {
                drop(fs::remove_file(&next));
            }
            return Err(error);
        }
        fs::rename(&current, &previous).map_err(disk("renaming", &current))?;
        fs::rename(&next, &current).map_err(disk("renaming", &next))?;
        sync(&self.directory)?;
        self.repository = Repository::open_bare(&current).map_err(git("opening", &current))?;
        (self.pending, self.pending_bytes) = (BTreeMap::new(), 0);
        fs::remove_dir_all(&previous).map_err(disk("removing", &previous))
    }

    /// Makes a repository of these objects, all of it on the disk.
    fn copy(
        &self,
        keep: &BTreeSet<ObjectId>,
        next: &Path,
        needed: impl FnOnce(BTreeSet<PathBuf>) -> io::Result<String>,
    ) -> Result<(), ObjectsError> {
        let repository = make(next)?;
        let (mut some, mut bytes) = (Vec::new(), 0);
        for frame in keep.iter().filter_map(|id| self.read(*id)) {
            bytes += frame.content.len();
            some.push(frame);
            if bytes > PENDING_BYTES_MAX {
                write(&repository, next, mem::take(&mut some).iter())?;
                bytes = 0;
            }
        }
        write(&repository, next, some.iter())?;
        let noted = needed(packs(next)?).and_then(|needed| fs::write(next.join(NEEDED), needed));
        noted.map_err(disk("counting", next))?;
        sync_all(next)
    }
}

/// Why an object isn't kept.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It is none that this machine reads.
    #[error(transparent)]
    Bad(#[from] BadObject),
    /// It can't be written.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
}

/// As Git's library has it.
pub(super) fn oid(id: ObjectId) -> Oid {
    Oid::from_bytes(&id.0).expect("20 bytes are an id")
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ObjectsError {
    move |source| ObjectsError::Disk { what, path: path.to_owned(), source }
}

fn git(what: &'static str, path: &Path) -> impl Fn(git2::Error) -> ObjectsError {
    move |source| ObjectsError::Git { what, path: path.to_owned(), source }
}

fn make(path: &Path) -> Result<Repository, ObjectsError> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).no_reinit(true);
    let repository = Repository::init_opts(path, &options).map_err(git("making a repository for", path))?;
    sync_all(path)?;
    if let Some(above) = path.parent() {
        sync(above)?;
    }
    Ok(repository)
}

/// Adds a pack of these objects.
fn write<'a>(
    repository: &Repository,
    path: &Path,
    frames: impl ExactSizeIterator<Item = &'a Frame>,
) -> Result<(), ObjectsError> {
    if frames.len() == 0 {
        return Ok(());
    }
    let pack = pack::of(frames).map_err(disk("packing objects for", path))?;
    let odb = repository.odb().map_err(git("opening", path))?;
    let mut writer = odb.packwriter().map_err(git("writing", path))?;
    writer.write_all(&pack).map_err(disk("writing a pack to", path))?;
    writer.commit().map(drop).map_err(git("writing", path))
}

/// Removes what a writer left behind that was killed.
fn sweep(path: &Path) {
    for entry in fs::read_dir(path.join("objects/pack")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("pack_git2_") {
            // What can't be removed now is in nobody's way, and is tried again next time.
            drop(fs::remove_file(entry.path()));
        }
    }
}

fn packs(path: &Path) -> Result<BTreeSet<PathBuf>, ObjectsError> {
    let folder = path.join("objects/pack");
    let entries = fs::read_dir(&folder).map_err(disk("reading", &folder))?;
    let packs = entries.flatten().map(|entry| entry.path());
    Ok(packs.filter(|path| path.extension().is_some_and(|extension| extension == "pack")).collect())
}

fn sync(path: &Path) -> Result<(), ObjectsError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(disk("syncing", path))
}

fn sync_all(path: &Path) -> Result<(), ObjectsError> {
    for entry in fs::read_dir(path).map_err(disk("reading", path))?.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder { sync_all(&entry.path())? } else { sync(&entry.path())? }
    }
    sync(path)
}

#[cfg(test)]
mod tests;
