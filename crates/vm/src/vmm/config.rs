//! What a VMM is told: a file, complete, in its instance's directory.

use crate::machine::{self, Disk, NetCard};
use abide_host::fs::{Dir, Resolve};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, TryLockError},
    io::{self, Read as _},
    os::fd::{AsRawFd as _, BorrowedFd},
    path::{Path, PathBuf},
};

/// Of the file. A VMM is executed by the agent that wrote it, so no other is ever met.
pub const FORMAT: u32 = 1;

/// More than any such file has.
const BYTES_MAX: u64 = 64 << 10;

/// `struct virtio_net_hdr` of version 1.
const HEADER: libc::c_int = 12;
/// `_IOW('T', 216, int)`.
const TUNSETVNETHDRSZ: libc::Ioctl = 0x4004_54d8;

/// A machine, by paths and numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// [`FORMAT`].
    pub format: u32,
    /// Bytes.
    pub memory: u64,
    /// How many.
    pub vcpus: u8,
    /// The kernel.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Disks, in order.
    pub disks: Vec<DiskConfig>,
    /// The network card.
    pub net: Option<NetConfig>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskConfig {
    /// Its raw content.
    pub path: PathBuf,
    /// Whether the guest can't write it.
    pub read_only: bool,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetConfig {
    /// The number of the descriptor of a tap device with `IFF_NO_PI | IFF_VNET_HDR`: who executes us opened it, as it is in
    /// another network namespace.
    pub tap: i32,
    /// The guest's hardware address.
    pub mac: [u8; 6],
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not there, not readable, too long.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was being done, as "open".
        act: &'static str,
        /// With what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Not what this version writes.
    #[error("the configuration is malformed")]
    Malformed(#[from] serde_json::Error),
    /// Of another version.
    #[error("the configuration has format {0}, and only {FORMAT} is known")]
    Format(u32),
    /// A boot file.
    #[error(transparent)]
    BootFile(#[from] abide_host::fs::Error),
    /// A boot file that is reached by a symbolic link.
    #[error("{} is, or lies behind, a symbolic link, which is not followed: name the file itself", .0.display())]
    Link(PathBuf),
    /// A boot file whose place depends on where one is.
    #[error("{} does not begin with `/`", .0.display())]
    Relative(PathBuf),
    /// Another machine's.
    #[error("the disk {} is in use by another virtual machine", .0.display())]
    InUse(PathBuf),
    /// No tap device there.
    #[error("descriptor {0} is no tap device")]
    Tap(i32, #[source] io::Error),
}

impl Config {
    /// Reads it from its file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |act| move |source| ConfigError::File { act, path: path.to_owned(), source };
        let mut text = String::new();
        let file = File::open(path).map_err(failed("open"))?;
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(failed("read"))?;
        let config: Self = serde_json::from_str(&text)?;
        if config.format == FORMAT { Ok(config) } else { Err(ConfigError::Format(config.format)) }
    }

    /// Opens all it names.
    pub fn open(&self) -> Result<machine::Config, ConfigError> {
        Ok(machine::Config {
            memory: self.memory,
            vcpus: self.vcpus,
            kernel: open_boot_file(&self.kernel)?,
            initrd: self.initrd.as_deref().map(open_boot_file).transpose()?,
            cmdline: self.cmdline.clone(),
            disks: self.disks.iter().map(DiskConfig::open).collect::<Result<_, _>>()?,
            net: self.net.as_ref().map(NetConfig::take).transpose()?,
            entropy: open(Path::new("/dev/urandom"), OFlag::O_RDONLY)?,
        })
    }
}

/// What a path of the host names may be changed by somebody else, who must not lead us to a file that they can't read: the
/// guest would be shown it.
fn open_boot_file(path: &Path) -> Result<File, ConfigError> {
    let beneath = path.strip_prefix("/").map_err(|_| ConfigError::Relative(path.to_owned()))?;
    let opened = Dir::open(Path::new("/")).and_then(|root| root.open_file(beneath, Resolve::Beneath));
    opened.map_err(|error| match error.source.raw_os_error() {
        Some(libc::ELOOP) => ConfigError::Link(path.to_owned()),
        _ => ConfigError::BootFile(error),
    })
}

fn open(path: &Path, access: OFlag) -> Result<File, ConfigError> {
    let opened = nix::fcntl::open(path, access | OFlag::O_CLOEXEC | OFlag::O_NOCTTY, nix::sys::stat::Mode::empty());
    opened.map(File::from).map_err(|errno| ConfigError::File {
        act: "open",
        path: path.to_owned(),
        source: errno.into(),
    })
}

impl DiskConfig {
    /// Nothing writes what another machine has: a file system that two write is lost.
    fn open(&self) -> Result<Disk, ConfigError> {
        let file = open(&self.path, if self.read_only { OFlag::O_RDONLY } else { OFlag::O_RDWR })?;
        let locked = if self.read_only { file.try_lock_shared() } else { file.try_lock() };
        match locked {
            Ok(()) => Ok(Disk { file, read_only: self.read_only }),
            Err(TryLockError::WouldBlock) => Err(ConfigError::InUse(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(ConfigError::File { act: "lock", path: self.path.clone(), source }),
        }
    }
}

impl NetConfig {
    fn take(&self) -> Result<NetCard, ConfigError> {
        let made = || -> io::Result<File> {
            if self.tap <= libc::STDERR_FILENO {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            // SAFETY: nothing is dropped here; if the number is no descriptor, copying it fails.
            let given = unsafe { BorrowedFd::borrow_raw(self.tap) };
            let tap = File::from(given.try_clone_to_owned()?);
            // SAFETY: the request reads one integer, which lives as long as the call.
            if unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETVNETHDRSZ, &HEADER) } != 0 {
                return Err(io::Error::last_os_error());
            }
            let flags = OFlag::from_bits_retain(fcntl(&tap, FcntlArg::F_GETFL)?);
            fcntl(&tap, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
            Ok(tap)
        };
        Ok(NetCard { tap: made().map_err(|error| ConfigError::Tap(self.tap, error))?, mac: self.mac })
    }
}
