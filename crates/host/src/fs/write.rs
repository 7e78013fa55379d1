use super::{Dir, Result};
use nix::{
    fcntl::{OFlag, renameat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};
use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// Whether what was written must be there after a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It must: the file and its name are synced.
    Durable,
    /// It is gone with this boot anyway.
    ThisBoot,
}

impl Dir {
    /// Puts a file of this name and mode there, in one step: who reads sees the old content or the new one.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8], mode: u32, sync: Sync) -> Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = name.as_ref();
        // Dotted, so that lists of the directory can leave out what a crash left behind.
        let draft = format!(".{}.{}.draft", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let written = self.create(&draft, mode).and_then(|mut file| {
            file.write_all(bytes).map_err(self.failed_io("write", name))?;
            if sync == Sync::Durable {
                file.sync_all().map_err(self.failed_io("sync", name))?;
            }
            renameat(self, draft.as_str(), self, name).map_err(self.failed("replace", name))
        });
        if let Err(error) = written {
            // The first error tells more than one of cleaning up would.
            let _ = unlinkat(self, draft.as_str(), UnlinkatFlags::NoRemoveDir);
            return Err(error);
        }
        if sync == Sync::Durable { self.sync() } else { Ok(()) }
    }

    /// A new, empty file of exactly this mode, whatever the umask. It is an error if something of this name is there.
    pub fn create(&self, name: impl AsRef<Path>, mode: u32) -> Result<File> {
        let name = name.as_ref();
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let make = || -> nix::Result<File> {
            let fd = nix::fcntl::openat(self, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
            nix::sys::stat::fchmod(&fd, Mode::from_bits_truncate(mode))?;
            Ok(File::from(fd))
        };
        make().map_err(self.failed("create", name))
    }
}
