//! What a directory holds besides files of ours: the links, owners, modes, times and attributes of other people's trees.
//!
//! Everything here takes one name in an open directory, never a path, and follows no link: who works so can't be led
//! elsewhere by what is already there.

use super::{Dir, Result};
use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::{
        stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags},
        time::TimeSpec,
    },
    unistd::{Gid, LinkatFlags, Uid},
};
use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::{
        fd::AsRawFd as _,
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Component, Path},
    time::Duration,
};

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// What hides a name of the layers below in an overlay: a character device 0:0.
    Whiteout,
    /// A FIFO, a socket, a device.
    Other,
}

/// What is known of a name without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub sort: Sort,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes, of a file.
    pub size: u64,
    /// When the content changed, since 1970.
    pub modified: Duration,
}

impl Dir {
    /// What has this name, if anything.
    pub fn look(&self, name: impl AsRef<Path>) -> Result<Option<Seen>> {
        let name = name.as_ref();
        let stat = match nix::sys::stat::fstatat(self, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("look at", name)(errno)),
        };
        let sort = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Sort::File,
            SFlag::S_IFDIR => Sort::Dir,
            SFlag::S_IFLNK => Sort::Link,
            SFlag::S_IFCHR if stat.st_rdev == 0 => Sort::Whiteout,
            _ => Sort::Other,
        };
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        let modified = Duration::new(unsigned(stat.st_mtime), u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
        let (mode, uid, gid) = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid);
        Ok(Some(Seen { sort, mode, uid, gid, size: unsigned(stat.st_size), modified }))
    }

    /// A new directory.
    pub fn make_dir(&self, name: impl AsRef<Path>, mode: u32) -> Result<()> {
        let name = name.as_ref();
        self.on_name("make", name, || nix::sys::stat::mkdirat(self, name, Mode::from_bits_truncate(mode)))
    }

    /// A new symbolic link. What it says is not looked at.
    pub fn make_link(&self, name: impl AsRef<Path>, target: &OsStr) -> Result<()> {
        let name = name.as_ref();
        self.on_name("link", name, || nix::unistd::symlinkat(target, self, name))
    }

    /// What a symbolic link says.
    pub fn read_link(&self, name: impl AsRef<Path>) -> Result<OsString> {
        let name = name.as_ref();
        nix::fcntl::readlinkat(self, name).map_err(self.failed("read", name))
    }

    /// Another name, in `to_dir`, of what is called `from` here, which may be a symbolic link itself.
    pub fn make_hard_link(&self, from: impl AsRef<Path>, to_dir: &Self, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        self.check_name("link", from)?;
        to_dir.on_name("link", to, || nix::unistd::linkat(self, from, to_dir, to, LinkatFlags::empty()))
    }

    /// Hides this name of the layers below.
    pub fn make_whiteout(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        self.on_name("hide", name, || nix::sys::stat::mknodat(self, name, SFlag::S_IFCHR, Mode::empty(), 0))
    }

    /// A new FIFO.
    pub fn make_fifo(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        self.on_name("make", name, || nix::sys::stat::mknodat(self, name, SFlag::S_IFIFO, Mode::S_IRUSR, 0))
    }

    /// Changes owner and group, which takes setuid, setgid and capabilities away from a file.
    pub fn set_owner(&self, name: impl AsRef<Path>, uid: u32, gid: u32) -> Result<()> {
        let name = name.as_ref();
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        self.on_name("own", name, || {
            nix::unistd::fchownat(self, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
        })
    }

    /// Changes the permission bits of what is no symbolic link.
    pub fn set_mode(&self, name: impl AsRef<Path>, mode: u32) -> Result<()> {
        let name = name.as_ref();
        let mode = Mode::from_bits_truncate(mode);
        self.on_name("set the mode of", name, || {
            nix::sys::stat::fchmodat(self, name, mode, FchmodatFlags::NoFollowSymlink)
        })
    }

    /// Changes when it was last read and changed: seconds and nanoseconds since 1970.
    pub fn set_modified(&self, name: impl AsRef<Path>, seconds: i64, nanoseconds: u32) -> Result<()> {
        let name = name.as_ref();
        let time = TimeSpec::new(seconds, i64::from(nanoseconds));
        self.on_name("set the time of", name, || {
            nix::sys::stat::utimensat(self, name, &time, &time, UtimensatFlags::NoFollowSymlink)
        })
    }

    /// Sets an extended attribute (xattr(7)).
    pub fn set_attribute(&self, name: impl AsRef<Path>, key: &OsStr, value: &[u8]) -> Result<()> {
        let name = name.as_ref();
        let set = || {
            let (path, key) = (self.own_path(name)?, CString::new(key.as_bytes())?);
            // SAFETY: both texts end with NUL, the value is as long as said; all outlive the call, which only reads them.
            let result = unsafe { libc::lsetxattr(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
            Ok(Errno::result(result).map(drop)?)
        };
        self.check_name("set an attribute of", name)?;
        set().map_err(self.failed_io("set an attribute of", name))
    }

    /// An extended attribute; none if it has no such, or the file system has none at all.
    pub fn attribute(&self, name: impl AsRef<Path>, key: &OsStr) -> Result<Option<Vec<u8>>> {
        let name = name.as_ref();
        let get = || -> io::Result<Option<Vec<u8>>> {
            let (path, key) = (self.own_path(name)?, CString::new(key.as_bytes())?);
            // The largest value that Linux allows (XATTR_SIZE_MAX).
            let mut value = vec![0_u8; 64 << 10];
            // SAFETY: both texts end with NUL; the call writes no more than the length it is given, which is the buffer's.
            let result =
                unsafe { libc::lgetxattr(path.as_ptr(), key.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
            match Errno::result(result) {
                Ok(length) => value.truncate(usize::try_from(length).unwrap_or(0)),
                Err(Errno::ENODATA | Errno::EOPNOTSUPP) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
            Ok(Some(value))
        };
        get().map_err(self.failed_io("read an attribute of", name))
    }

    /// The names of its extended attributes.
    pub fn attributes(&self, name: impl AsRef<Path>) -> Result<Vec<OsString>> {
        let name = name.as_ref();
        let list = || -> io::Result<Vec<OsString>> {
            let path = self.own_path(name)?;
            // The longest list that Linux allows (XATTR_LIST_MAX).
            let mut keys = vec![0_u8; 64 << 10];
            // SAFETY: the text ends with NUL; the call writes no more than the length it is given, which is the buffer's.
            let result = unsafe { libc::llistxattr(path.as_ptr(), keys.as_mut_ptr().cast(), keys.len()) };
            match Errno::result(result) {
                Ok(length) => keys.truncate(usize::try_from(length).unwrap_or(0)),
                Err(Errno::EOPNOTSUPP) => return Ok(Vec::new()),
                Err(errno) => return Err(errno.into()),
            }
            let keys = keys.split(|byte| *byte == 0).filter(|key| !key.is_empty());
            Ok(keys.map(|key| OsString::from_vec(key.to_vec())).collect())
        };
        list().map_err(self.failed_io("list the attributes of", name))
    }

    /// Makes durable everything that was written to this file system.
    pub fn sync_file_system(&self) -> Result<()> {
        // SAFETY: the descriptor is open, and the call touches no memory.
        let result = unsafe { libc::syncfs(self.fd.as_raw_fd()) };
        Errno::result(result).map(drop).map_err(self.failed("sync", Path::new("")))
    }

    /// The kernel has no calls for attributes of a name in a directory; this path is one, as it begins at the descriptor.
    fn own_path(&self, name: &Path) -> io::Result<CString> {
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.as_os_str().as_bytes());
        Ok(CString::new(path)?)
    }

    fn on_name(&self, act: &'static str, name: &Path, call: impl Fn() -> nix::Result<()>) -> Result<()> {
        self.check_name(act, name)?;
        call().map_err(self.failed(act, name))
    }

    fn check_name(&self, act: &'static str, name: &Path) -> Result<()> {
        let mut parts = name.components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(only)), None) if only == name.as_os_str() => Ok(()),
            _ => Err(self.failed(act, name)(Errno::EINVAL)),
        }
    }
}
