//! Mounts by descriptor: nothing that a container can change has a path in here (fsopen(2), open_tree(2), openat2(2)).

use super::{check, owned, text};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

// linux/mount.h and linux/openat2.h; the C library has not all of them.
const FSOPEN_CLOEXEC: u32 = 1;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;
const FSMOUNT_CLOEXEC: u32 = 1;
const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_CLOEXEC: u32 = libc::O_CLOEXEC as u32;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const AT_RECURSIVE: u32 = 0x8000;
const AT_EMPTY_PATH: u32 = libc::AT_EMPTY_PATH as u32;

/// Can't be written.
pub(crate) const READ_ONLY: u64 = 0x01;
/// Set-user-ID programs gain nothing.
pub(crate) const NO_SUID: u64 = 0x02;
/// Device nodes don't work.
pub(crate) const NO_DEV: u64 = 0x04;
/// Programs can't be executed.
pub(crate) const NO_EXEC: u64 = 0x08;

/// How a path is resolved beneath a root: symbolic links stay in there, or are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Followed as if the root were `/`.
    InRoot,
    /// Refused.
    None,
}

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
const RESOLVE_IN_ROOT: u64 = 0x10;

/// How often `..` is resolved again: any mount or rename of the machine meanwhile makes the kernel give up with `EAGAIN`.
/// Who renames on and on doesn't hold us for ever.
const TRIES: u32 = 1000;

/// Opens a path beneath a root.
pub(crate) fn open_beneath(root: BorrowedFd<'_>, path: &str, flags: i32, links: Links) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct How {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let path = text(if path.is_empty() { "." } else { path })?;
    let links = if links == Links::None { RESOLVE_NO_SYMLINKS } else { 0 };
    let resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | links;
    let how = How { flags: (flags | libc::O_CLOEXEC) as u64, mode: 0, resolve };
    let mut again = 0..TRIES;
    loop {
        // SAFETY: reads a text that ends with NUL, and a struct of the size given.
        let opened = owned(unsafe {
            libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<How>())
        });
        match opened {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && again.next().is_some() => {}
            opened => return opened,
        }
    }
}

/// A new file system: named, its options, and how it is mounted. It is nowhere to be seen until it is [`attach`]ed.
pub(crate) fn new(kind: &str, options: &[(&str, &str)], attributes: u64) -> io::Result<OwnedFd> {
    let name = text(kind)?;
    // SAFETY: reads a text that ends with NUL.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), FSOPEN_CLOEXEC) })?;
    let set = |command: u32, key: Option<&CStr>, value: Option<&CStr>| {
        let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: reads texts that end with NUL, or null where the command takes none.
        check(unsafe {
            libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, pointer(key), pointer(value), 0)
        })
    };
    for (key, value) in options {
        let (key, value) = (text(key)?, text(value)?);
        match value.is_empty() {
            true => set(FSCONFIG_SET_FLAG, Some(&key), None)?,
            false => set(FSCONFIG_SET_STRING, Some(&key), Some(&value))?,
        };
    }
    set(FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: takes integers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

/// Another view of what is at this place, with everything mounted below it.
pub(crate) fn copy(of: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    // SAFETY: reads an empty text.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, of.as_raw_fd(), c"".as_ptr(), flags) })
}

/// Adds attributes to a mount; with `below`, to all that is mounted below it, too.
pub(crate) fn restrict(mount: BorrowedFd<'_>, attributes: u64, below: bool) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let change = Attributes { set: attributes, clear: 0, propagation: 0, user_namespace: 0 };
    let flags = AT_EMPTY_PATH | if below { AT_RECURSIVE } else { 0 };
    // SAFETY: reads an empty text, and a struct of the size given.
    check(unsafe {
        let size = size_of::<Attributes>();
        libc::syscall(libc::SYS_mount_setattr, mount.as_raw_fd(), c"".as_ptr(), flags, &raw const change, size)
    })
    .map(drop)
}

/// Puts a new file system, or a copy, over what is at `target`.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let (from, to) = (mount.as_raw_fd(), target.as_raw_fd());
    // SAFETY: reads empty texts.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) }).map(drop)
}

/// Mounts layers over each other. This is the one file system whose options can be longer than fsconfig(2) takes.
pub(crate) fn overlay(at: &str, options: &str) -> io::Result<()> {
    let (at, options) = (text(at)?, text(options)?);
    let kind = c"overlay".as_ptr();
    // SAFETY: reads texts that end with NUL.
    check(unsafe { libc::mount(kind, at.as_ptr(), kind, libc::MS_NODEV, options.as_ptr().cast()) }.into()).map(drop)
}

/// Nothing mounted from here on is seen by the host, and the other way round.
pub(crate) fn make_private() -> io::Result<()> {
    let null = std::ptr::null();
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: reads a text that ends with NUL; the rest is not used with these flags.
    check(unsafe { libc::mount(null, c"/".as_ptr(), null, flags, null.cast()) }.into()).map(drop)
}

/// Makes `root` the root, and the old one is gone (pivot_root(2), "pivot_root(".", ".")").
pub(crate) fn pivot(root: BorrowedFd<'_>) -> io::Result<()> {
    let here = c".".as_ptr();
    // SAFETY: reads texts that end with NUL.
    unsafe {
        check(libc::fchdir(root.as_raw_fd()).into())?;
        check(libc::syscall(libc::SYS_pivot_root, here, here))?;
        check(libc::umount2(here, libc::MNT_DETACH).into())?;
        check(libc::chdir(c"/".as_ptr()).into()).map(drop)
    }
}

/// Goes to a folder that is open.
pub(crate) fn change_directory(to: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes an integer.
    check(unsafe { libc::fchdir(to.as_raw_fd()) }.into()).map(drop)
}

/// A new folder in one that is open.
pub(crate) fn make_folder(parent: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<()> {
    let name = text(name)?;
    // SAFETY: reads a text that ends with NUL.
    check(unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), mode) }.into()).map(drop)
}

/// A new file in a folder that is open, to be written.
pub(crate) fn make_file(parent: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<OwnedFd> {
    let name = text(name)?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: reads a text that ends with NUL.
    owned(unsafe { libc::openat(parent.as_raw_fd(), name.as_ptr(), flags, mode) }.into())
}

/// A new symbolic link in a folder that is open.
pub(crate) fn make_link(parent: BorrowedFd<'_>, name: &str, to: &str) -> io::Result<()> {
    let (name, to) = (text(name)?, text(to)?);
    // SAFETY: reads texts that end with NUL.
    check(unsafe { libc::symlinkat(to.as_ptr(), parent.as_raw_fd(), name.as_ptr()) }.into()).map(drop)
}

/// What a symbolic link in a folder that is open says.
pub(crate) fn read_link(parent: BorrowedFd<'_>, name: &str) -> io::Result<String> {
    let name = text(name)?;
    let mut bytes = vec![0; libc::PATH_MAX as usize];
    // SAFETY: reads a text that ends with NUL, and writes no more than the buffer holds.
    let length = check(unsafe {
        libc::readlinkat(parent.as_raw_fd(), name.as_ptr(), bytes.as_mut_ptr().cast(), bytes.len()) as libc::c_long
    })?;
    bytes.truncate(length as usize);
    String::from_utf8(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EILSEQ))
}

/// A new character device in a folder that is open, for all to use.
pub(crate) fn make_device(parent: BorrowedFd<'_>, name: &str, major: u32, minor: u32) -> io::Result<()> {
    let name = text(name)?;
    let device = libc::makedev(major, minor);
    // SAFETY: reads texts that end with NUL. The mask of who made the keeper doesn't matter: the mode is set after.
    unsafe {
        check(libc::mknodat(parent.as_raw_fd(), name.as_ptr(), libc::S_IFCHR | 0o666, device).into())?;
        check(libc::fchmodat(parent.as_raw_fd(), name.as_ptr(), 0o666, 0).into()).map(drop)
    }
}

/// What is at a place: the file's type and, of a device, its numbers.
pub(crate) fn status(fd: BorrowedFd<'_>) -> io::Result<(libc::mode_t, u32, u32)> {
    // SAFETY: all zeros is a valid stat, which the kernel overwrites.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes the struct.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut found) }.into())?;
    Ok((found.st_mode & libc::S_IFMT, libc::major(found.st_rdev), libc::minor(found.st_rdev)))
}

/// The magic number of the file system that a place is on (statfs(2)).
pub(crate) fn file_system(fd: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: all zeros is a valid statfs, which the kernel overwrites.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes the struct.
    check(unsafe { libc::fstatfs(fd.as_raw_fd(), &raw mut found) }.into())?;
    Ok(found.f_type as u64)
}
