//! Mounts as the agent needs them: to see what is left of an instance, to take it away, and to keep secrets off disks. All
//! other mounting is done by keepers, in the namespace of their instance.

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};
use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// What can go wrong with mounts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel doesn't tell what is mounted.
    #[error("cannot read the mounts of this process")]
    List(#[source] io::Error),
    /// It can't be mounted.
    #[error("cannot mount a file system in memory at {}", path.display())]
    Mount {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It stays mounted.
    #[error("cannot unmount {}", path.display())]
    Unmount {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What is mounted at a directory and below it, in the order of mounting.
pub fn below(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let text = fs::read("/proc/self/mountinfo").map_err(Error::List)?;
    Ok(points(&text).filter(|point| point.starts_with(path)).collect())
}

/// Mounts an empty file system in memory of at most `bytes` over a folder, without swap where the kernel can.
pub fn tmpfs(path: &Path, bytes: u64, mode: u32) -> Result<(), Error> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mount = |options: String| mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(options.as_str()));
    let options = format!("size={bytes},mode={mode:o}");
    // `noswap` came with 6.4.
    mount(format!("{options},noswap"))
        .or_else(|_| mount(options))
        .map_err(|errno| Error::Mount { path: path.to_owned(), source: errno.into() })
}

/// Unmounts all at a directory and below it. Who still uses a mount keeps it until it ends.
pub fn unmount_all(path: &Path) -> Result<(), Error> {
    for point in below(path)?.into_iter().rev() {
        match umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Gone with the one it was mounted on.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => return Err(Error::Unmount { path: point, source: errno.into() }),
        }
    }
    Ok(())
}

/// The mount points of a `mountinfo` (proc_pid_mountinfo(5)).
fn points(text: &[u8]) -> impl Iterator<Item = PathBuf> {
    text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescape)
}

/// Space, tab, line feed and backslash are written as a backslash and three octal digits.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let code = after.first_chunk::<3>().and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match code.filter(|_| *first == b'\\') {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped() {
        let text = b"1 2 0:1 / /a\\040b\\134c\\011 rw - tmpfs x rw\n3 1 0:1 / /d\\0 rw - tmpfs x rw\n";
        assert_eq!(points(text).collect::<Vec<_>>(), [Path::new("/a b\\c\t"), Path::new("/d\\0")]);
    }

    #[test]
    fn all_below_is_unmounted_and_nothing_beside() {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        let [one, beside] = ["one", "one-beside"].map(|name| folder.path().join(name));
        let nested = one.join("nested");
        for path in [&one, &beside, &one, &nested] {
            fs::create_dir_all(path).unwrap();
            tmpfs(path, 1 << 16, 0o711).unwrap();
        }
        assert_eq!(below(folder.path()).unwrap().len(), 4);
        unmount_all(&one).unwrap();
        assert_eq!(below(folder.path()).unwrap(), [beside]);
        unmount_all(folder.path()).unwrap();
    }
}
