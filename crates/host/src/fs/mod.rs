//! Paths beneath a directory that is held open: whoever can change what lies below it can't lead us out of it.
//!
//! A [`Dir`] is opened once, by a path that only we can write; from then on everything is named relative to its descriptor
//! and resolved by the kernel (openat2(2)). There are two ways to resolve, and the caller says which:
//!
//! | | symbolic links | for |
//! |---|---|---|
//! | [`Resolve::Beneath`] | refused | what is ours, or must be as if it were |
//! | [`Resolve::InRoot`] | followed, `/` and `..` stop at the directory | the root file system of an image |
//!
//! Magic links (`/proc/*/fd`, `/proc/*/root`) are refused in both. What isn't a regular file is never read: a FIFO can't
//! hang us, a device can't be touched.

mod node;
mod remove;
mod write;

pub use node::{Seen, Sort};
pub use write::Sync;

use nix::{
    NixPath,
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{Mode, SFlag, fstat},
};
use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Component, Path, PathBuf},
};

/// How often `..` is resolved again: any mount or rename of the machine meanwhile makes the kernel give up with `EAGAIN`.
/// Who renames on and on doesn't hold us for ever.
const TRIES: u32 = 1000;

/// How links in a path are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Links are refused, and so is leaving the directory.
    Beneath,
    /// The directory is what `/` means: links are followed within it.
    InRoot,
}

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}", path.display())]
pub struct Error {
    /// What was being done, as "open".
    pub act: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

impl Error {
    /// Whether the thing isn't there.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// What an operation on files gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A directory that is held open.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// For messages, and for interfaces of the kernel that take nothing but a path.
    path: PathBuf,
}

impl Dir {
    /// Opens a directory by a path that nobody but us can change. Its last component is not followed if it is a link.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match nix::fcntl::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(errno) => Err(Error { act: "open", path: path.to_owned(), source: errno.into() }),
        }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in it.
    pub fn open_dir(&self, path: impl AsRef<Path>, resolve: Resolve) -> Result<Self> {
        let path = path.as_ref();
        let fd =
            self.resolve(path, resolve, OFlag::O_RDONLY | OFlag::O_DIRECTORY).map_err(self.failed("open", path))?;
        Ok(Self { fd, path: self.join(path) })
    }

    /// A regular file in it, to be read.
    pub fn open_file(&self, path: impl AsRef<Path>, resolve: Resolve) -> Result<File> {
        let path = path.as_ref();
        // Opening a FIFO would wait for its writer.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let open = || {
            let file = File::from(self.resolve(path, resolve, flags)?);
            if SFlag::from_bits_truncate(fstat(&file)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG {
                Ok(file)
            } else {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
            }
        };
        open().map_err(self.failed_io("open", path))
    }

    /// The content of a regular file of at most `bytes_max`.
    pub fn read(&self, path: impl AsRef<Path>, resolve: Resolve, bytes_max: u64) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let file = self.open_file(path, resolve)?;
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(self.failed_io("read", path))?;
        if bytes.len() as u64 > bytes_max {
            let source = io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {bytes_max} bytes"));
            return Err(Error { act: "read", path: self.join(path), source });
        }
        Ok(bytes)
    }

    /// Makes the directories of a path, those that are missing with this mode, and opens the last one. No link is followed.
    pub fn make_dirs(&self, path: impl AsRef<Path>, mode: u32) -> Result<Self> {
        let path = path.as_ref();
        let mut dir = Self { fd: self.fd.try_clone().map_err(self.failed_io("open", path))?, path: self.path.clone() };
        for component in path.components() {
            let Component::Normal(name) = component else {
                return Err(self.failed("make", path)(Errno::EINVAL));
            };
            match nix::sys::stat::mkdirat(&dir.fd, name, Mode::from_bits_truncate(mode)) {
                Ok(()) | Err(Errno::EEXIST) => dir = dir.open_dir(name, Resolve::Beneath)?,
                Err(errno) => return Err(dir.failed("make", Path::new(name))(errno)),
            }
        }
        Ok(dir)
    }

    /// The names in it, sorted, without `.` and `..`.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let list = || -> nix::Result<Vec<OsString>> {
            // A description of its own, because the position in the list belongs to the description.
            let fd = self.resolve(Path::new("."), Resolve::Beneath, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
            let mut names = Vec::new();
            for entry in nix::dir::Dir::from_fd(fd)?.iter() {
                let name = entry?.file_name().to_bytes().to_owned();
                if name != b"." && name != b".." {
                    names.push(OsString::from_vec(name));
                }
            }
            names.sort();
            Ok(names)
        };
        list().map_err(self.failed("list", Path::new("")))
    }

    /// Whether there is something of this name, whatever it is.
    pub fn has(&self, name: impl AsRef<Path>) -> Result<bool> {
        let name = name.as_ref();
        match nix::sys::stat::fstatat(&self.fd, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(self.failed("look at", name)(errno)),
        }
    }

    /// Renames within the directory, or into another of the same file system, where nothing of the new name may be.
    pub fn rename(&self, from: impl AsRef<Path>, to_dir: &Self, to: impl AsRef<Path>) -> Result<()> {
        let from = from.as_ref();
        rename_new(self, from, to_dir, to.as_ref()).map_err(self.failed("rename", from))
    }

    /// Makes durable which names are in it.
    pub fn sync(&self) -> Result<()> {
        nix::unistd::fsync(&self.fd).map_err(self.failed("sync", Path::new("")))
    }

    fn resolve(&self, path: &Path, resolve: Resolve, flags: OFlag) -> nix::Result<OwnedFd> {
        let resolve = match resolve {
            Resolve::Beneath => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
            Resolve::InRoot => ResolveFlag::RESOLVE_IN_ROOT,
        } | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        let mut again = 0..TRIES;
        loop {
            match openat2(&self.fd, path, how) {
                Err(Errno::EAGAIN) if again.next().is_some() => {}
                result => return result,
            }
        }
    }

    fn join(&self, path: &Path) -> PathBuf {
        // Joined as text: an absolute path in an image is still below the image.
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn failed<'a>(&'a self, act: &'static str, path: &'a Path) -> impl Fn(Errno) -> Error + 'a {
        move |errno| Error { act, path: self.join(path), source: errno.into() }
    }

    fn failed_io<'a>(&'a self, act: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
        move |source| Error { act, path: self.join(path), source }
    }
}

/// Renames unless the new name is taken (renameat2(2), which `nix` has for glibc only).
fn rename_new(from_dir: &Dir, from: &Path, to_dir: &Dir, to: &Path) -> nix::Result<()> {
    let result = from.with_nix_path(|from| {
        to.with_nix_path(|to| {
            let (from_fd, to_fd) = (from_dir.fd.as_raw_fd(), to_dir.fd.as_raw_fd());
            // SAFETY: both paths end with NUL, and they and the descriptors outlive the call, which changes no memory.
            unsafe {
                libc::syscall(libc::SYS_renameat2, from_fd, from.as_ptr(), to_fd, to.as_ptr(), libc::RENAME_NOREPLACE)
            }
        })
    })??;
    Errno::result(result).map(drop)
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
