//! The file systems of an instance, built by its first process in its own mount namespace.
//!
//! Everything is placed on descriptors that were resolved beneath the new root, and file systems come in readily mounted
//! (fsmount(2), open_tree(2)): no path that the image or another instance controls is ever given to the kernel to walk
//! from our root. Kernel file systems are put only where the image has no symbolic link in the way, and nothing of the
//! user's goes on or below them.

use crate::{
    job::{Base, File as NewFile, Mount, MountSource, Root, lower_option},
    message::{Doing, Failure},
    sys::{
        self,
        mount::{
            self, Links, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY, attach, make_device, make_file, make_folder, make_link,
            open_beneath, read_link, restrict,
        },
    },
};
use libc::{EEXIST, ELOOP, ENOENT, ENOTDIR, EPERM};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

const KERNELS: u64 = NO_SUID | NO_DEV | NO_EXEC;

/// Links that lead to nowhere but another link.
const LINKS_MAX: usize = 8;

/// File systems that show the kernel's state: proc, sysfs, cgroup (v1 and v2).
const SPECIAL: [u64; 4] = [0x9fa0, 0x6265_6572, 0x27_e0eb, 0x6367_7270];

/// Device nodes: name, major, minor.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// Builds the root and moves there.
pub(crate) fn enter(root: &Root) -> Result<(), Failure> {
    mount::make_private().doing(|| "make the mounts private".to_owned())?;
    let null = open_null()?;
    let base = mount_base(&root.base)?;
    for mount in &root.mounts.0 {
        mount_one(base.as_fd(), mount).doing(|| format!("mount {}", mount.target))?;
    }
    for path in &root.read_only.0 {
        make_read_only(base.as_fd(), path).doing(|| format!("make {path} read-only"))?;
    }
    let mut covers = Covers { null, nothing: None };
    for path in &root.masked.0 {
        covers.mask(base.as_fd(), path).doing(|| format!("mask {path}"))?;
    }
    if root.is_read_only {
        restrict(base.as_fd(), READ_ONLY, false).doing(|| "make the root read-only".to_owned())?;
    }
    mount::pivot(base.as_fd()).doing(|| "move to the new root".to_owned())
}

/// The host's `/dev/null`, taken before anything of the image is in sight, and checked (CVE-2025-31133).
fn open_null() -> Result<File, Failure> {
    let doing = || "open /dev/null".to_owned();
    let null = sys::null().doing(doing)?;
    match mount::status(null.as_fd()).doing(doing)? {
        (libc::S_IFCHR, 1, 3) => Ok(null),
        _ => Err(Failure { doing: doing(), errno: EPERM }),
    }
}

fn mount_base(base: &Base) -> Result<OwnedFd, Failure> {
    let doing = || format!("mount the layers at {}", base.at);
    let open = || -> io::Result<OwnedFd> { Ok(File::options().read(true).open(&base.at)?.into()) };
    match (&base.lowers.0[..], &base.upper) {
        ([], _) => {
            let empty = mount::new("tmpfs", &[("mode", "755")], NO_SUID | NO_DEV).doing(doing)?;
            attach(empty.as_fd(), open().doing(doing)?.as_fd()).doing(doing)?;
        }
        ([only], None) => {
            let layer = File::open(only).doing(doing)?;
            let layer = mount::copy(layer.as_fd()).doing(doing)?;
            restrict(layer.as_fd(), NO_DEV | READ_ONLY, false).doing(doing)?;
            attach(layer.as_fd(), open().doing(doing)?.as_fd()).doing(doing)?;
        }
        (lowers, upper) => {
            let (folder, mut options) = lower_option(lowers);
            std::env::set_current_dir(folder).doing(doing)?;
            if let Some(upper) = upper {
                options.push_str(&format!(",upperdir={},workdir={}", upper.upper, upper.work));
            }
            // Layers of images are shared, and were not made on this mount: nothing that depends on that.
            options.push_str(",index=off,metacopy=off,redirect_dir=off,xino=off");
            mount::overlay(&base.at, &options).doing(doing)?;
        }
    }
    open().doing(doing)
}

fn mount_one(root: BorrowedFd<'_>, mount: &Mount) -> io::Result<()> {
    let kernels = !matches!(mount.source, MountSource::Bind(_) | MountSource::Tmpfs { .. });
    let (made, is_folder) = make(&mount.source)?;
    let mut attributes = if mount.read_only { READ_ONLY } else { 0 };
    attributes |= if mount.no_exec { NO_EXEC } else { 0 };
    let links = if kernels { Links::None } else { Links::InRoot };
    let target = make_target(root, &mount.target, is_folder, links)?;
    if !kernels && SPECIAL.contains(&mount::file_system(target.as_fd())?) {
        return Err(io::Error::from_raw_os_error(EPERM));
    }
    if let MountSource::Bind(_) = mount.source {
        // Devices and set-user-ID programs come from images alone, never with data.
        restrict(made.as_fd(), attributes | NO_DEV | NO_SUID, true)?;
    } else if attributes != 0 {
        restrict(made.as_fd(), attributes, false)?;
    }
    attach(made.as_fd(), target.as_fd())?;
    match &mount.source {
        MountSource::Devices { shm_size } => add_to_devices(made.as_fd(), *shm_size),
        _ => Ok(()),
    }
}

/// What is to be mounted, and whether it is a folder.
fn make(source: &MountSource) -> io::Result<(OwnedFd, bool)> {
    let made = match source {
        MountSource::Bind(path) => {
            let host = File::open("/")?;
            let source = open_beneath(host.as_fd(), path, libc::O_PATH, Links::None)?;
            let is_folder = mount::status(source.as_fd())?.0 == libc::S_IFDIR;
            return Ok((mount::copy(source.as_fd())?, is_folder));
        }
        MountSource::Tmpfs { size, mode, uid, gid, files } => {
            let (size, mode) = (size.to_string(), format!("{mode:o}"));
            let (uid, gid) = (uid.to_string(), gid.to_string());
            let options = [("size", &*size), ("mode", &mode), ("uid", &uid), ("gid", &gid)];
            let made = mount::new("tmpfs", &options, NO_SUID | NO_DEV)?;
            files.0.iter().try_for_each(|file| write_file(made.as_fd(), file, &uid, &gid))?;
            made
        }
        MountSource::Proc => mount::new("proc", &[], KERNELS)?,
        MountSource::Sysfs => mount::new("sysfs", &[], KERNELS | READ_ONLY)?,
        MountSource::Devices { .. } => make_devices()?,
        MountSource::Mqueue => mount::new("mqueue", &[], KERNELS)?,
        MountSource::Cgroup => mount::new("cgroup2", &[], KERNELS | READ_ONLY)?,
    };
    Ok((made, true))
}

fn write_file(folder: BorrowedFd<'_>, file: &NewFile, uid: &str, gid: &str) -> io::Result<()> {
    let id = |text: &str| text.parse().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let mut made = File::from(make_file(folder, &file.name, 0o440)?);
    made.write_all(&file.content)?;
    sys::change_owner(made.as_fd(), id(uid)?, id(gid)?)
}

/// A `/dev` that owes nothing to the image.
fn make_devices() -> io::Result<OwnedFd> {
    let made = mount::new("tmpfs", &[("size", "64k"), ("mode", "755")], NO_SUID | NO_EXEC)?;
    DEVICES.iter().try_for_each(|(name, major, minor)| make_device(made.as_fd(), name, *major, *minor))?;
    LINKS.iter().try_for_each(|(name, to)| make_link(made.as_fd(), name, to))?;
    ["pts", "shm", "mqueue"].iter().try_for_each(|name| make_folder(made.as_fd(), name, 0o755))?;
    Ok(made)
}

fn add_to_devices(devices: BorrowedFd<'_>, shm_size: u64) -> io::Result<()> {
    let at = |name| open_beneath(devices, name, libc::O_PATH | libc::O_DIRECTORY, Links::None);
    let terminals = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    attach(mount::new("devpts", &terminals, NO_SUID | NO_EXEC)?.as_fd(), at("pts")?.as_fd())?;
    let shared = mount::new("tmpfs", &[("size", &shm_size.to_string()), ("mode", "1777")], KERNELS)?;
    attach(shared.as_fd(), at("shm")?.as_fd())
}

/// Where something is to be mounted: a folder or file beneath the root, made if it isn't there.
fn make_target(root: BorrowedFd<'_>, path: &str, is_folder: bool, links: Links) -> io::Result<OwnedFd> {
    match open_beneath(root, path, libc::O_PATH, links) {
        Err(error) if error.raw_os_error() == Some(ENOENT) => {}
        found => {
            let found = found?;
            let is_same = (mount::status(found.as_fd())?.0 == libc::S_IFDIR) == is_folder;
            return if is_same { Ok(found) } else { Err(io::Error::from_raw_os_error(ENOTDIR)) };
        }
    }
    if is_folder { make_folders(root, path) } else { make_empty_file(root, path.to_owned()) }
}

/// An empty file beneath a root. Where a symbolic link leads nowhere, as `/etc/resolv.conf` of many images, it is made where
/// that leads to.
fn make_empty_file(root: BorrowedFd<'_>, mut path: String) -> io::Result<OwnedFd> {
    for _ in 0..LINKS_MAX {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let parent = make_folders(root, folder)?;
        match make_file(parent.as_fd(), name, 0o644) {
            Err(error) if error.raw_os_error() == Some(EEXIST) => {}
            made => return made.and_then(|_| open_beneath(parent.as_fd(), name, libc::O_PATH, Links::None)),
        }
        let to = read_link(parent.as_fd(), name)?;
        path = if to.starts_with('/') { to } else { format!("{folder}/{to}") };
    }
    Err(io::Error::from_raw_os_error(ELOOP))
}

/// A folder beneath a root, with those above it as far as they are missing.
pub(crate) fn make_folders(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let open = |path: &str| open_beneath(root, path, libc::O_PATH | libc::O_DIRECTORY, Links::InRoot);
    let mut folder = open("")?;
    let mut so_far = String::new();
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        so_far = format!("{so_far}/{name}");
        folder = match open(&so_far) {
            Err(error) if error.raw_os_error() == Some(ENOENT) => {
                match make_folder(folder.as_fd(), name, 0o755) {
                    Err(error) if error.raw_os_error() != Some(EEXIST) => return Err(error),
                    _ => {}
                }
                // A symbolic link that leads nowhere was there before, and is not followed.
                open_beneath(folder.as_fd(), name, libc::O_PATH | libc::O_DIRECTORY, Links::None)?
            }
            other => other?,
        };
    }
    Ok(folder)
}

fn make_read_only(root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    let Some(found) = find(root, path)? else { return Ok(()) };
    let copy = mount::copy(found.as_fd())?;
    restrict(copy.as_fd(), READ_ONLY, true)?;
    attach(copy.as_fd(), found.as_fd())
}

/// What is put over paths that show nothing.
struct Covers {
    null: File,
    /// An empty folder: one file system for all, copied from where it was attached first.
    nothing: Option<OwnedFd>,
}

impl Covers {
    fn mask(&mut self, root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
        let Some(found) = find(root, path)? else { return Ok(()) };
        if mount::status(found.as_fd())?.0 != libc::S_IFDIR {
            return attach(mount::copy(self.null.as_fd())?.as_fd(), found.as_fd());
        }
        match &self.nothing {
            Some(nothing) => attach(mount::copy(nothing.as_fd())?.as_fd(), found.as_fd()),
            None => {
                let nothing = mount::new("tmpfs", &[("nr_inodes", "2"), ("mode", "555")], KERNELS | READ_ONLY)?;
                attach(nothing.as_fd(), found.as_fd())?;
                self.nothing = Some(nothing);
                Ok(())
            }
        }
    }
}

/// What is at a path, unless it isn't there.
fn find(root: BorrowedFd<'_>, path: &str) -> io::Result<Option<OwnedFd>> {
    match open_beneath(root, path, libc::O_PATH, Links::InRoot) {
        Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(None),
        other => other.map(Some),
    }
}

/// Writes lines `path=value` below the host's `/proc/sys`, where the namespaces of who writes are meant.
pub(crate) fn set_kernel(lines: &[String]) -> Result<(), Failure> {
    for line in lines {
        let doing = || format!("set the kernel's {line}");
        let Some((path, value)) = line.split_once('=') else { return Err(Failure { doing: doing(), errno: ENOENT }) };
        fs::write(format!("/proc/sys/{path}"), value).doing(doing)?;
    }
    Ok(())
}
