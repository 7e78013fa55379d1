//! A folder on disk, read like a commit's tree, and made a commit of its own.

use crate::{
    cache::{self, CacheError},
    snapshot::{Kind, Layout, Snapshot, SnapshotError},
};
use git2::{Index, IndexEntry, IndexTime, Oid, Repository, Signature, Time};
use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat},
    sys::stat::{Mode, SFlag, fstat, fstatat},
};
use std::{
    fs::File,
    io::Read,
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
    path::Path,
};

/// Bytes of a folder that is applied. It is kept in the history of what was applied, and packed in memory.
const FOLDER_BYTES_MAX: u64 = 256 << 20;

/// Why a folder can't become a commit.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It can't be read.
    #[error("reading {folder}: {why}")]
    Read {
        /// Which file or folder.
        folder: String,
        /// Why.
        why: String,
    },
    /// It holds more than what configuration has.
    #[error("{folder} holds more than {} MiB: apply a folder that holds nothing but the documents and their files", FOLDER_BYTES_MAX >> 20)]
    TooLarge {
        /// Which.
        folder: String,
    },
    /// Git's objects can't be written.
    #[error("writing the content of {folder} to {cache}: {source}")]
    Write {
        /// From where.
        folder: String,
        /// To where.
        cache: String,
        /// Why.
        source: git2::Error,
    },
    /// The cache can't be opened.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A folder as it lies on disk. It isn't kept from changing meanwhile; [`commit`] is for what must not.
pub fn of_folder(folder: &Path) -> Result<Snapshot, SnapshotError> {
    let opened = Folder::open(folder);
    let opened = opened
        .map_err(|why| SnapshotError::Folder { folder: folder.display().to_string(), why: why.desc().to_owned() })?;
    Snapshot::take(Box::new(opened), "")
}

/// Makes all of a folder but `.git` a commit in the cache of the source whose state is in `directory`. The commit's id
/// depends on the content alone.
pub fn commit(folder: &Path, directory: &Path) -> Result<Oid, CommitError> {
    crate::start();
    let _lock = cache::lock(directory)?;
    let store = cache::Store::open(directory, &[], cache::History::None)?;
    let shown = folder.display().to_string();
    let opened =
        Folder::open(folder).map_err(|why| CommitError::Read { folder: shown.clone(), why: why.desc().to_owned() })?;
    let write = |source| CommitError::Write { folder: shown.clone(), cache: directory.display().to_string(), source };
    let memory = Repository::open_bare(store.path()).map_err(write)?;
    let mut index = Index::new().map_err(write)?;
    let odb = memory.odb().map_err(write)?;
    // Everything goes into one pack, not into a file an object: 10,000 files would be 10,000 syncs.
    let pack = odb.add_new_mempack_backend(1000).map_err(write)?;
    let mut committing = Committing { folder: &opened, shown: &shown, odb: &odb, index: &mut index, bytes: 0 };
    committing.add("").map_err(|error| match error {
        AddError::Commit(error) => error,
        AddError::Git(source) => write(source),
    })?;
    let tree = index.write_tree_to(&memory).and_then(|tree| memory.find_tree(tree)).map_err(write)?;
    let who = Signature::new("abide", "abide@localhost", &Time::new(0, 0)).map_err(write)?;
    let id = memory.commit(None, &who, &who, "content of a folder\n", &tree, &[]).map_err(write)?;
    if !store.has(id) {
        let mut bytes = git2::Buf::new();
        pack.dump(&memory, &mut bytes).map_err(write)?;
        store.write_pack(&mut &bytes[..])?;
        store.check(id, &[])?;
    }
    store.finish()?;
    Ok(id)
}

struct Committing<'a> {
    folder: &'a Folder,
    shown: &'a str,
    odb: &'a git2::Odb<'a>,
    index: &'a mut Index,
    bytes: u64,
}

enum AddError {
    Commit(CommitError),
    Git(git2::Error),
}

impl From<git2::Error> for AddError {
    fn from(error: git2::Error) -> Self {
        Self::Git(error)
    }
}

impl Committing<'_> {
    fn add(&mut self, folder: &str) -> Result<(), AddError> {
        let bad = |path: &str, why: String| {
            AddError::Commit(CommitError::Read { folder: Path::new(self.shown).join(path).display().to_string(), why })
        };
        for (name, kind) in self.folder.list(folder).map_err(|why| bad(folder, why))? {
            if name == b".git" {
                continue;
            }
            let name = String::from_utf8(name).map_err(|name| {
                bad(folder, format!("{:?} is not UTF-8", name.into_bytes().escape_ascii().to_string()))
            })?;
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let left = FOLDER_BYTES_MAX.saturating_sub(self.bytes);
            let (mode, content) = match kind {
                Kind::Folder => {
                    self.add(&path)?;
                    continue;
                }
                Kind::File { bytes, .. } if bytes > left => {
                    return Err(AddError::Commit(CommitError::TooLarge { folder: self.shown.to_owned() }));
                }
                Kind::File { is_executable, .. } => {
                    let mode = if is_executable { 0o100_755 } else { 0o100_644 };
                    (mode, self.folder.read(&path, left).map_err(|why| bad(&path, why))?)
                }
                Kind::Link => (0o120_000, self.folder.target(&path).map_err(|why| bad(&path, why))?),
                Kind::Submodule | Kind::Other => {
                    return Err(bad(&path, "it is neither a file nor a folder".to_owned()));
                }
            };
            self.bytes += content.len() as u64;
            let id = self.odb.write(git2::ObjectType::Blob, &content)?;
            self.index.add(&entry(path, mode, id))?;
        }
        Ok(())
    }
}

/// An entry of an index that was never compared with a disk.
fn entry(path: String, mode: u32, id: Oid) -> IndexEntry {
    let never = IndexTime::new(0, 0);
    IndexEntry {
        ctime: never,
        mtime: never,
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.into_bytes(),
    }
}

/// A folder that is held by a descriptor: everything is opened beneath it and through no link, whatever is swapped
/// meanwhile.
struct Folder(OwnedFd);

impl Folder {
    fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(nix::fcntl::open(path, flags, Mode::empty())?))
    }

    fn beneath(&self, path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(&self.0, if path.is_empty() { "." } else { path }, how)
    }

    /// Opens what holds `path`, and gives its last name.
    fn parent<'a>(&self, path: &'a str) -> Result<(OwnedFd, &'a str), Errno> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.beneath(folder, OFlag::O_PATH | OFlag::O_DIRECTORY)?, name))
    }

    /// Where a link points.
    fn target(&self, path: &str) -> Result<Vec<u8>, String> {
        let link = self.parent(path).and_then(|(folder, name)| readlinkat(&folder, name));
        link.map(OsStringExt::into_vec).map_err(|error| error.desc().to_owned())
    }
}

impl Layout for Folder {
    fn list(&self, folder: &str) -> Result<Vec<(Vec<u8>, Kind)>, String> {
        let list = || -> Result<Vec<(Vec<u8>, Kind)>, Errno> {
            let mut dir = Dir::from_fd(self.beneath(folder, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)?;
            let mut names: Vec<Vec<u8>> = Vec::new();
            for entry in dir.iter() {
                names.push(entry?.file_name().to_bytes().to_vec());
            }
            names.retain(|name| name != b"." && name != b"..");
            names.sort();
            let here = self.beneath(folder, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
            names.into_iter().map(|name| kind(&here, name.as_slice()).map(|kind| (name, kind))).collect()
        };
        list().map_err(|error| error.desc().to_owned())
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, String> {
        match self.parent(path).and_then(|(folder, name)| kind(&folder, name.as_bytes())) {
            Ok(kind) => Ok(Some(kind)),
            // As in a commit, there is nothing of a longer name than files may have.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG) => Ok(None),
            Err(error) => Err(error.desc().to_owned()),
        }
    }

    fn link(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        self.target(path).map(Some)
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, String> {
        // Opening a pipe would wait for its other end.
        let file = self.beneath(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).and_then(|file| {
            match fstat(&file)?.st_mode & SFlag::S_IFMT.bits() {
                mode if mode == SFlag::S_IFREG.bits() => Ok(file),
                _ => Err(Errno::EINVAL),
            }
        });
        let file = File::from(file.map_err(|error| error.desc().to_owned())?);
        let mut bytes = Vec::new();
        // It may have grown since it was listed.
        file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > bytes_max { Err(format!("it has more than {bytes_max} bytes")) } else { Ok(bytes) }
    }
}

fn kind(folder: &OwnedFd, name: &[u8]) -> Result<Kind, Errno> {
    let stat = fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => {
            Kind::File { bytes: stat.st_size.try_into().unwrap_or(0), is_executable: stat.st_mode & 0o100 != 0 }
        }
        SFlag::S_IFDIR => Kind::Folder,
        SFlag::S_IFLNK => Kind::Link,
        _ => Kind::Other,
    })
}
