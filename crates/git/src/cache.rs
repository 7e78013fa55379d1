//! A source's own bare repository, `repo.git` in its state directory: the objects of the commits it had, and nothing else.
//!
//! No reference is ever written, so no lock of Git's can be in the way and nothing is collected; which commits count is in
//! the agent's journal. One process writes at a time (a `flock`, which dies with its holder): packs, and the list of
//! commits without history (`shallow`), both by rename. What is damaged or in too many packs is made anew beside the old
//! one, along with the commits to keep, and swapped in by rename. Readers need no lock.

use git2::{Odb, OdbLookupFlags, OdbPackwriter, Oid, PackBuilder, Repository, RepositoryInitOptions};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// How much of a commit's history a cache has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum History {
    /// None: the commit alone, with all that it needs.
    #[default]
    None,
    /// All of it, each commit with all that it needs, and the tags that are objects: for who hands it on.
    Whole,
}

const CURRENT: &str = "repo.git";
const NEXT: &str = "repo.git.new";
const PREVIOUS: &str = "repo.git.old";

/// Packs before a cache is made anew. 1,000 were measured to open as quickly as one.
const PACKS_MAX: usize = 500;

/// Why the cache can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Somebody else writes to it.
    #[error("{0} is being written by another process: it ends by its deadline, try again then")]
    Busy(PathBuf),
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
    /// Git's objects.
    #[error("the objects in {path}: {}", why.message())]
    Objects {
        /// Where.
        path: PathBuf,
        /// What is wrong with them. All that it has to say is said here, so it is no cause.
        why: git2::Error,
    },
    /// A pack that was received is no good: why, which is no cause either.
    #[error("what came is no good: {}", .0.message())]
    Pack(git2::Error),
    /// A pack could not be received.
    #[error("receiving a pack: {0}")]
    Receive(#[from] io::Error),
    /// The commit is not all there.
    #[error("commit {commit} is not complete: {missing} is missing")]
    Incomplete {
        /// Which.
        commit: Oid,
        /// An object that it names.
        missing: Oid,
    },
}

impl From<git2::Error> for CacheError {
    fn from(why: git2::Error) -> Self {
        Self::Pack(why)
    }
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |source| CacheError::Disk { what, path: path.to_owned(), source }
}

/// Opens the cache below `directory` for reading.
pub fn open(directory: &Path) -> Result<Repository, CacheError> {
    crate::start();
    let path = directory.join(CURRENT);
    // Between the two renames of a swap there is only the previous one.
    let opened = Repository::open_bare(&path).or_else(|_| Repository::open_bare(directory.join(PREVIOUS)));
    opened.map_err(|why| CacheError::Objects { path, why })
}

/// Whether a commit is in the cache below `directory`.
pub(crate) fn has(directory: &Path, commit: &str) -> bool {
    let id = Oid::from_str(commit);
    id.is_ok_and(|id| open(directory).is_ok_and(|repository| repository.find_commit(id).is_ok()))
}

/// The right to write to the cache below `directory`, until dropped.
///
/// Dropping unlocks it rather than only closes the file: a process that another thread is just starting has all files open
/// as well, until it executes its program.
pub(crate) fn lock(directory: &Path) -> Result<Flock<File>, CacheError> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(disk("creating", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => CacheError::Busy(directory.join(CURRENT)),
        error => disk("locking", &path)(error.into()),
    })
}

/// The cache, by who holds its lock.
pub(crate) struct Store {
    directory: PathBuf,
    repository: Repository,
    /// Packs that were there already.
    packs: BTreeSet<PathBuf>,
    history: History,
    is_new: bool,
}

impl Store {
    /// Opens the cache, or makes it anew with the commits `keep` where it is missing, damaged or in too many packs.
    pub(crate) fn open(directory: &Path, keep: &[Oid], history: History) -> Result<Self, CacheError> {
        let current = directory.join(CURRENT);
        let previous = directory.join(PREVIOUS);
        if !current.exists() && previous.exists() {
            fs::rename(&previous, &current).map_err(disk("renaming", &previous))?;
        }
        sweep(&current);
        match (Repository::open_bare(&current), packs(&current)) {
            (Ok(repository), Ok(packs)) if packs.len() < PACKS_MAX => {
                Ok(Self { directory: directory.to_owned(), repository, packs, history, is_new: false })
            }
            _ => Self::anew(directory, keep, history),
        }
    }

    /// Makes an empty cache, and copies the commits `keep` from the present one as far as they are there.
    pub(crate) fn anew(directory: &Path, keep: &[Oid], history: History) -> Result<Self, CacheError> {
        let path = directory.join(NEXT);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(disk("removing", &path))?;
        }
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false).no_reinit(true);
        let objects = |why| CacheError::Objects { path: path.clone(), why };
        let repository = Repository::init_opts(&path, &options).map_err(objects)?;
        let store = Self { directory: directory.to_owned(), repository, packs: BTreeSet::new(), history, is_new: true };
        if let Ok(current) = Repository::open_bare(directory.join(CURRENT)) {
            for id in keep {
                // One that is damaged is what the new cache is made for.
                let copied = pack(&current, *id, &[], history).and_then(|pack| store.receive(|to| send(pack, to)));
                if copied.is_ok() {
                    store.check(*id, &[])?;
                }
            }
        }
        Ok(store)
    }

    /// What was stored so far.
    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Where it is now.
    pub(crate) fn path(&self) -> &Path {
        self.repository.path()
    }

    /// Whether the commit is there, with all it needs.
    pub(crate) fn has(&self, commit: Oid) -> bool {
        is_complete(&self.repository, commit)
    }

    /// Stores the pack that `send` writes. Deltas against objects that are here are completed.
    pub(crate) fn receive<E: From<git2::Error>>(
        &self,
        send: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let odb = self.repository.odb()?;
        let mut pack = odb.packwriter()?;
        send(&mut Explained(&mut pack))?;
        pack.commit()?;
        Ok(())
    }

    /// Stores the pack that `from` reads.
    pub(crate) fn write_pack(&self, from: &mut dyn Read) -> Result<(), CacheError> {
        self.receive(|pack| io::copy(from, pack).map(|_| ()).map_err(CacheError::Receive))
    }

    /// Checks that a commit is complete, with its history or noting that this is not here. What `known` have was checked.
    pub(crate) fn check(&self, commit: Oid, known: &[Oid]) -> Result<(), CacheError> {
        let path = self.path().to_owned();
        let objects = |why| CacheError::Objects { path: path.clone(), why };
        let commits = match self.history {
            History::None => vec![commit],
            History::Whole => walk(&self.repository, commit, known).map_err(objects)?,
        };
        let mut seen = HashSet::new();
        for commit in commits {
            if let Some(missing) = missing(&self.repository, commit, &mut seen).map_err(objects)? {
                return Err(CacheError::Incomplete { commit, missing });
            }
        }
        if self.history == History::Whole {
            return Ok(());
        }
        let list = path.join("shallow");
        let line = format!("{commit}\n");
        let mut text = fs::read_to_string(&list).unwrap_or_default();
        if !text.contains(&line) {
            text += &line;
            let new = path.join("shallow.new");
            let written = File::create(&new).and_then(|mut file| file.write_all(text.as_bytes()).and(file.sync_all()));
            written.and_then(|()| fs::rename(&new, &list)).map_err(disk("writing", &list))?;
        }
        Ok(())
    }

    /// Makes what was stored durable, and swaps a new cache in.
    pub(crate) fn finish(self) -> Result<(), CacheError> {
        let path = self.path().to_owned();
        let synced = if self.is_new { sync_all(&path) } else { self.sync_new_packs() };
        synced.map_err(disk("syncing", &path))?;
        let (next, current, previous) =
            (self.directory.join(NEXT), self.directory.join(CURRENT), self.directory.join(PREVIOUS));
        if self.is_new {
            if current.exists() {
                if previous.exists() {
                    fs::remove_dir_all(&previous).map_err(disk("removing", &previous))?;
                }
                fs::rename(&current, &previous).map_err(disk("renaming", &current))?;
            }
            fs::rename(&next, &current).map_err(disk("renaming", &next))?;
            sync(&self.directory).map_err(disk("syncing", &self.directory))?;
        }
        if previous.exists() {
            fs::remove_dir_all(&previous).map_err(disk("removing", &previous))?;
        }
        Ok(())
    }

    fn sync_new_packs(&self) -> io::Result<()> {
        let new = packs(self.path())?;
        for pack in new.difference(&self.packs) {
            sync(pack)?;
            sync(&pack.with_extension("idx"))?;
        }
        sync(&self.path().join("objects/pack"))?;
        sync(self.path())
    }
}

/// A pack's writer that says why it fails; git2's own doesn't.
struct Explained<'a, 'odb>(&'a mut OdbPackwriter<'odb>);

impl Write for Explained<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|_| io::Error::other(git2::Error::last_error(-1).message().to_owned()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Removes what a writer left behind that was killed: we hold the lock, so nobody needs it.
fn sweep(path: &Path) {
    for folder in ["", "objects", "objects/pack"] {
        for entry in fs::read_dir(path.join(folder)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".lock") || name.starts_with("pack_git2_") || name == "shallow.new" {
                // What can't be removed now is in nobody's way, and is tried again next time.
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

fn packs(path: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut packs = BTreeSet::new();
    for entry in fs::read_dir(path.join("objects/pack"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            packs.insert(path);
        }
    }
    Ok(packs)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_all(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { sync_all(&entry.path())? } else { sync(&entry.path())? }
    }
    sync(path)
}

fn is_complete(repository: &Repository, commit: Oid) -> bool {
    matches!(missing(repository, commit, &mut HashSet::new()), Ok(None))
}

/// A commit and those that it descends from, but for what `known` are or descend from, as far as they are there.
fn walk(repository: &Repository, commit: Oid, known: &[Oid]) -> Result<Vec<Oid>, git2::Error> {
    let mut walk = repository.revwalk()?;
    walk.push(commit)?;
    for id in known.iter().filter(|id| **id != commit && repository.find_commit(**id).is_ok()) {
        walk.hide(*id)?;
    }
    walk.collect()
}

/// The first object that a commit needs and that is not there. Fails if one that is needed to know can't be read. What is
/// in `seen` is there.
fn missing(repository: &Repository, commit: Oid, seen: &mut HashSet<Oid>) -> Result<Option<Oid>, git2::Error> {
    let odb = repository.odb()?;
    let mut missing = None;
    visit(repository, repository.find_commit(commit)?.tree_id(), seen, &mut |id, is_tree| {
        if !is_tree && missing.is_none() && !is_there(&odb, id) {
            missing = Some(id);
        }
        Ok(())
    })?;
    Ok(missing)
}

fn is_there(odb: &Odb<'_>, id: Oid) -> bool {
    odb.exists_ext(id, OdbLookupFlags::NO_REFRESH) || odb.exists(id)
}

/// Shows every tree and blob of a tree that is not in `seen`, once each, however often it is named.
fn visit(
    repository: &Repository,
    tree: Oid,
    seen: &mut HashSet<Oid>,
    show: &mut dyn FnMut(Oid, bool) -> Result<(), git2::Error>,
) -> Result<(), git2::Error> {
    let mut trees = vec![tree];
    while let Some(id) = trees.pop() {
        if !seen.insert(id) {
            continue;
        }
        show(id, true)?;
        for entry in &repository.find_tree(id)? {
            match entry.kind() {
                Some(git2::ObjectType::Tree) => trees.push(entry.id()),
                Some(git2::ObjectType::Blob) if seen.insert(entry.id()) => show(entry.id(), false)?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// The pack of a commit, without what the commits `have` have. Fails if anything of it is missing.
pub(crate) fn pack<'a>(
    from: &'a Repository,
    commit: Oid,
    have: &[Oid],
    history: History,
) -> Result<PackBuilder<'a>, git2::Error> {
    let mut pack = from.packbuilder()?;
    let mut seen = HashSet::new();
    // If one of these is damaged here, more is sent than needed.
    for had in have.iter().filter_map(|have| from.find_commit(*have).ok()) {
        drop(visit(from, had.tree_id(), &mut seen, &mut |_, _| Ok(())));
    }
    let commits = match history {
        History::None => vec![commit],
        History::Whole => walk(from, commit, have)?,
    };
    for commit in commits {
        pack.insert_object(commit, None)?;
        visit(from, from.find_commit(commit)?.tree_id(), &mut seen, &mut |id, _| pack.insert_object(id, None))?;
    }
    Ok(pack)
}

/// Writes a pack.
pub(crate) fn send(mut pack: PackBuilder<'_>, to: &mut dyn Write) -> Result<(), git2::Error> {
    let mut failed = None;
    let sent = pack.foreach(|bytes| {
        failed = to.write_all(bytes).err();
        failed.is_none()
    });
    match failed {
        Some(error) => Err(git2::Error::from_str(&format!("sending a pack: {error}"))),
        None => sent,
    }
}
