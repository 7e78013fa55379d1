//! A layer as a directory: what its archive says, in the form that overlayfs reads.
//!
//! The archive is hostile. Each entry is made by its name in a directory that was opened beneath the layer's root without
//! following any link, so an entry can't reach what an earlier one points to. A leading `/` means the layer's root; `..`
//! is refused. The rest of the rules:
//!
//! | in the archive | in the directory |
//! |---|---|
//! | `.wh.NAME` | a whiteout: a character device 0:0 called `NAME` |
//! | `.wh..wh..opq` | `trusted.overlay.opaque` on the directory that it is in |
//! | a directory that is not in the archive, but something in it is | made, with owner and mode of the one in the layers below |
//! | a hard link to what only a layer below has | a copy |
//! | device nodes | nothing: `/dev` is the runtime's, and no node of an image is to be usable |
//! | attributes | `user.*`, POSIX ACLs and `security.capability`; all others could mean something to the kernel or to us |
//!
//! An entry that comes twice is there as it came last. Whatever is bounded is in [`Limits`].

mod lower;
mod path;

use crate::tar::{Archive, Entry, Kind, TarError};
use abide_host::fs::{self, Dir, Resolve, Seen, Sort};
use lower::Found;
pub(crate) use lower::{Lower, OPAQUE};
use path::Name;
use std::{
    ffi::{OsStr, OsString},
    io::{self, Read, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    rc::Rc,
};

/// What an image may be: beyond that it isn't unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all files of an image.
    pub bytes_max: u64,
    /// Files, directories and links of an image.
    pub entries_max: u64,
    /// Layers of an image.
    pub layers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // The largest public images are a few times smaller; overlayfs takes 500 layers, Docker makes 127.
        Self { bytes_max: 64 << 30, entries_max: 2_000_000, layers_max: 128 }
    }
}

/// Why a layer can't be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Its archive.
    #[error("its archive is broken")]
    Archive(#[from] TarError),
    /// An entry that no honest image has.
    #[error("its entry {path:?} is refused: {why}")]
    Refused {
        /// As written.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A file system that doesn't want it, or is full.
    #[error("its entry {path:?} can't be made")]
    Make {
        /// As written.
        path: String,
        /// What failed.
        source: fs::Error,
    },
    /// It is a bomb, or for another machine.
    #[error("the image has more than {0}")]
    TooBig(String),
}

/// What is left of the [`Limits`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    limits: Limits,
    bytes: u64,
    entries: u64,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, bytes: limits.bytes_max, entries: limits.entries_max }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), UnpackError> {
        let (Some(bytes), Some(entries)) = (self.bytes.checked_sub(bytes), self.entries.checked_sub(1)) else {
            let Limits { bytes_max, entries_max, .. } = self.limits;
            return Err(UnpackError::TooBig(format!("{bytes_max} bytes in {entries_max} files")));
        };
        (self.bytes, self.entries) = (bytes, entries);
        Ok(())
    }
}

/// Unpacks an archive into the directory called `root` in `parent`, which is new and empty.
pub(crate) fn unpack(
    archive: &mut Archive<impl Read>,
    parent: &Dir,
    root: &str,
    lower: &Lower,
    budget: &mut Budget,
) -> Result<(), UnpackError> {
    let top = parent.open_dir(root, Resolve::Beneath).map_err(made("/"))?;
    let mut unpacker = Unpacker { top, lower, budget, last: None, times: Vec::new(), buffer: vec![0; 128 << 10] };
    while let Some(entry) = archive.next()? {
        let path = Name::parse(&entry.path).map_err(refused(&entry))?;
        match path {
            Name::Root if entry.kind == Kind::Dir => {
                set_all(parent, OsStr::new(root), &entry).map_err(failed(&entry))?;
                unpacker.times.push((Vec::new(), entry.modified));
            }
            Name::Root => return Err(refused(&entry)("it is the root, and no directory")),
            Name::Ignored => {}
            Name::Opaque { parent } => unpacker.make_opaque(&entry, &parent)?,
            Name::Whiteout { parent, name } => unpacker.hide(&entry, &parent, &name)?,
            Name::Plain { parent, name } => unpacker.make(archive, &entry, &parent, &name)?,
        }
    }
    unpacker.set_times(parent, root)
}

struct Unpacker<'a> {
    top: Dir,
    lower: &'a Lower,
    budget: &'a mut Budget,
    /// The directory of the last entry: the next one is in it, usually.
    last: Option<(Vec<OsString>, Rc<Dir>)>,
    /// Of directories, set at the end, as each entry in them changes them.
    times: Vec<(Vec<OsString>, (i64, u32))>,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn make(
        &mut self,
        archive: &mut Archive<impl Read>,
        entry: &Entry,
        parent: &[OsString],
        name: &OsStr,
    ) -> Result<(), UnpackError> {
        self.budget.spend(entry.size)?;
        match entry.kind {
            Kind::CharDevice { major: 0, minor: 0 } => {
                return Err(refused(entry)("it is a whiteout of overlayfs; in an archive they are called `.wh.NAME`"));
            }
            Kind::CharDevice { .. } | Kind::BlockDevice => return Ok(()),
            Kind::Hardlink => return self.hard_link(entry, parent, name),
            Kind::File | Kind::Dir | Kind::Symlink | Kind::Fifo => {}
        }
        let dir = self.directory(entry, parent)?;
        let was = self.clear(entry, &dir, name, entry.kind == Kind::Dir)?;
        let make = || match entry.kind {
            Kind::Dir if was.is_some_and(|was| was.sort == Sort::Dir) => Ok(None),
            Kind::Dir => dir.make_dir(name, 0o700).map(|()| None),
            Kind::Symlink => dir.make_link(name, OsStr::from_bytes(&entry.target)).map(|()| None),
            Kind::Fifo => dir.make_fifo(name).map(|()| None),
            _ => dir.create(name, 0o600).map(Some),
        };
        if let Some(mut file) = make().map_err(failed(entry))? {
            self.copy(archive, &mut file, entry)?;
        }
        if entry.kind == Kind::Dir && was.is_some_and(|was| was.sort == Sort::Whiteout) {
            dir.set_attribute(name, OsStr::new(OPAQUE), b"y").map_err(failed(entry))?;
        }
        set_all(&dir, name, entry).map_err(failed(entry))?;
        if entry.kind == Kind::Dir {
            self.times.push(([parent, &[name.to_owned()]].concat(), entry.modified));
        } else {
            dir.set_modified(name, entry.modified.0, entry.modified.1).map_err(failed(entry))?;
        }
        Ok(())
    }

    fn copy(&mut self, from: &mut impl Read, to: &mut std::fs::File, entry: &Entry) -> Result<(), UnpackError> {
        loop {
            let read = match from.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(TarError::Read(error).into()),
            };
            to.write_all(&self.buffer[..read]).map_err(|source| {
                failed(entry)(fs::Error { act: "write", path: PathBuf::from(OsStr::from_bytes(&entry.path)), source })
            })?;
        }
    }

    /// Makes way for something new, and tells what was there: a directory stays where another one comes.
    fn clear(&mut self, entry: &Entry, dir: &Dir, name: &OsStr, is_dir: bool) -> Result<Option<Seen>, UnpackError> {
        let was = dir.look(name).map_err(failed(entry))?;
        match was {
            None => {}
            Some(was) if was.sort == Sort::Dir && is_dir => {}
            Some(_) => {
                dir.remove_all(name).map_err(failed(entry))?;
                // It may have been in there.
                self.last = None;
            }
        }
        Ok(was)
    }

    /// Another name of a file. What the entry says about the file besides is what the file's own entry said.
    fn hard_link(&mut self, entry: &Entry, parent: &[OsString], name: &OsStr) -> Result<(), UnpackError> {
        let no_target = || refused(entry)("it is a hard link to what isn't there, or can't be linked to");
        let Ok(Name::Plain { parent: from_parent, name: from }) = Name::parse(&entry.target) else {
            return Err(no_target());
        };
        if from_parent == parent && from == name {
            return Err(no_target());
        }
        let dir = self.directory(entry, parent)?;
        self.clear(entry, &dir, name, false)?;
        if let Ok(own) = self.top.open_dir(joined(&from_parent), Resolve::Beneath)
            && let Some(seen) = own.look(&from).map_err(failed(entry))?
        {
            return match seen.sort {
                Sort::Dir | Sort::Whiteout => Err(no_target()),
                _ => own.make_hard_link(&from, &dir, name).map_err(failed(entry)),
            };
        }
        let found = self.lower.find(&from_parent, &from).map_err(failed(entry))?.ok_or_else(no_target)?;
        if matches!(found.seen.sort, Sort::Dir | Sort::Other) {
            return Err(no_target());
        }
        self.budget.spend(found.seen.size)?;
        found.copy_to(&dir, name).map_err(failed(entry))
    }

    fn hide(&mut self, entry: &Entry, parent: &[OsString], name: &OsStr) -> Result<(), UnpackError> {
        self.budget.spend(0)?;
        let dir = self.directory(entry, parent)?;
        // It hides what is below, never what is in this layer.
        match dir.look(name).map_err(failed(entry))?.map(|seen| seen.sort) {
            None => dir.make_whiteout(name).map_err(failed(entry))?,
            Some(Sort::Dir) => dir.set_attribute(name, OsStr::new(OPAQUE), b"y").map_err(failed(entry))?,
            Some(_) => {}
        }
        Ok(())
    }

    fn make_opaque(&mut self, entry: &Entry, path: &[OsString]) -> Result<(), UnpackError> {
        // The root hides all of the image so far; an attribute on it would do so in no kernel.
        let Some((name, parent)) = path.split_last() else {
            return Err(refused(entry)("a layer can't hide all of the image below it"));
        };
        self.directory(entry, path)?;
        let dir = self.directory(entry, parent)?;
        dir.set_attribute(name, OsStr::new(OPAQUE), b"y").map_err(failed(entry))
    }

    /// Opens a directory of the layer. What is missing on the way there is made as it is in the layers below.
    fn directory(&mut self, entry: &Entry, path: &[OsString]) -> Result<Rc<Dir>, UnpackError> {
        if let Some((_, dir)) = self.last.as_ref().filter(|(last, _)| last == path) {
            return Ok(Rc::clone(dir));
        }
        let dir = match self.top.open_dir(joined(path), Resolve::Beneath) {
            Ok(dir) => dir,
            Err(_) => self.make_directory(entry, path)?,
        };
        let dir = Rc::new(dir);
        self.last = Some((path.to_vec(), Rc::clone(&dir)));
        Ok(dir)
    }

    fn make_directory(&mut self, entry: &Entry, path: &[OsString]) -> Result<Dir, UnpackError> {
        let mut dir = self.top.open_dir(".", Resolve::Beneath).map_err(failed(entry))?;
        for (depth, name) in path.iter().enumerate() {
            match dir.look(name).map_err(failed(entry))?.map(|seen| seen.sort) {
                Some(Sort::Dir) => {}
                None => self.make_missing(entry, &dir, &path[..depth], name)?,
                Some(Sort::Whiteout) => {
                    dir.remove_all(name).map_err(failed(entry))?;
                    self.budget.spend(0)?;
                    let make = dir.make_dir(name, 0o755);
                    make.and_then(|()| dir.set_attribute(name, OsStr::new(OPAQUE), b"y")).map_err(failed(entry))?;
                }
                Some(_) => return Err(refused(entry)("what it is in is no directory")),
            }
            dir = dir.open_dir(name, Resolve::Beneath).map_err(failed(entry))?;
        }
        Ok(dir)
    }

    fn make_missing(&mut self, entry: &Entry, dir: &Dir, path: &[OsString], name: &OsStr) -> Result<(), UnpackError> {
        self.budget.spend(0)?;
        dir.make_dir(name, 0o755).map_err(failed(entry))?;
        let found = self.lower.find(path, name).map_err(failed(entry))?;
        match found.filter(|found| found.seen.sort == Sort::Dir) {
            // Its name alone says 0755 whatever the umask.
            None => dir.set_mode(name, 0o755).map_err(failed(entry)),
            Some(Found { seen, .. }) => {
                let modified = i64::try_from(seen.modified.as_secs()).unwrap_or(0);
                self.times.push(([path, &[name.to_owned()]].concat(), (modified, seen.modified.subsec_nanos())));
                let set = dir.set_owner(name, seen.uid, seen.gid);
                set.and_then(|()| dir.set_mode(name, seen.mode)).map_err(failed(entry))
            }
        }
    }

    fn set_times(self, top_parent: &Dir, root: &str) -> Result<(), UnpackError> {
        for (path, (seconds, nanoseconds)) in self.times {
            let Some((name, parent)) = path.split_last() else {
                top_parent.set_modified(root, seconds, nanoseconds).map_err(made("/"))?;
                continue;
            };
            // It may have been replaced by something else since.
            if let Ok(dir) = self.top.open_dir(joined(parent), Resolve::Beneath)
                && dir.has(name).map_err(made("/"))?
            {
                dir.set_modified(name, seconds, nanoseconds).map_err(made("/"))?;
            }
        }
        Ok(())
    }
}

/// Owner, attributes and mode, in the order in which none takes another away.
fn set_all(dir: &Dir, name: &OsStr, entry: &Entry) -> fs::Result<()> {
    dir.set_owner(name, entry.uid, entry.gid)?;
    if entry.kind == Kind::Symlink {
        return Ok(());
    }
    for (key, value) in entry.attributes.iter().filter(|(key, _)| is_kept(key)) {
        match dir.set_attribute(name, key, value) {
            // A file system without them has nothing to protect with them.
            Err(error) if error.source.kind() == io::ErrorKind::Unsupported => {}
            result => result?,
        }
    }
    dir.set_mode(name, entry.mode)
}

/// Whether an extended attribute is the image's own affair. `user.overlay.*` is overlayfs' own.
fn is_kept(key: &OsStr) -> bool {
    let key = key.as_bytes();
    matches!(key, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
        || key.starts_with(b"user.") && !key.starts_with(b"user.overlay.")
}

/// A path from the root, which is `.` itself.
fn joined(path: &[OsString]) -> PathBuf {
    if path.is_empty() { PathBuf::from(".") } else { path.iter().collect() }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(200).collect()
}

fn refused(entry: &Entry) -> impl Fn(&'static str) -> UnpackError + use<'_> {
    |why| UnpackError::Refused { path: shown(&entry.path), why }
}

fn failed(entry: &Entry) -> impl Fn(fs::Error) -> UnpackError + use<'_> {
    |source| UnpackError::Make { path: shown(&entry.path), source }
}

fn made(path: &'static str) -> impl Fn(fs::Error) -> UnpackError {
    move |source| UnpackError::Make { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
