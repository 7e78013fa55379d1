//! Overlay file systems: which folders can be part of one, and what layers look like one over the other.

use crate::fs::{self, Dir};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::chdir,
};
use std::{
    io,
    path::{Path, PathBuf},
    thread,
};

/// What can go wrong with overlays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options of a mount have no way to quote.
    #[error("{} can't be part of an overlay: its path has a comma, a colon or a backslash; choose another root", .0.display())]
    Path(PathBuf),
    /// The kernel doesn't stack them so.
    #[error("{} is on an overlay file system, where containers can't have a layer of their own: put the state on another file system", .0.display())]
    Stacked(PathBuf),
    /// A layer that can't be opened.
    #[error("cannot look into the layers of an image")]
    Open(#[source] fs::Error),
    /// The layers don't go together.
    #[error("cannot lay {layers} layers of an image over each other at {}", at.display())]
    Mount {
        /// How many.
        layers: usize,
        /// Where.
        at: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Checks that a path can stand in the options of an overlay.
pub fn check_path(path: &Path) -> Result<(), Error> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.iter().any(|byte| b",:\\".contains(byte)) { Err(Error::Path(path.to_owned())) } else { Ok(()) }
}

/// Checks that a folder can hold the upper directory of an overlay.
pub fn check_upper(path: &Path) -> Result<(), Error> {
    match nix::sys::statfs::statfs(path) {
        Ok(found) if found.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC => {
            Err(Error::Stacked(path.to_owned()))
        }
        _ => Ok(()),
    }
}

/// What layers look like over each other, the top one first, to be read. Nothing is left mounted: the view lasts as long
/// as the directory is open. `at` is an empty folder.
pub fn view(layers: &[PathBuf], at: &Path) -> Result<Dir, Error> {
    if let [layer] = layers {
        return Dir::open(layer).map_err(Error::Open);
    }
    layers.iter().try_for_each(|layer| check_path(layer))?;
    // In a thread with mounts of its own, which end with it; what is open stays.
    let opened = thread::scope(|scope| scope.spawn(|| mount_and_open(layers, at)).join());
    opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn mount_and_open(layers: &[PathBuf], at: &Path) -> Result<Dir, Error> {
    let paths: Vec<_> = layers.iter().map(|layer| layer.to_string_lossy().into_owned()).collect();
    let (folder, lower) = abide_keeper::job::lower_option(&paths);
    let options = format!("{lower},index=off,metacopy=off,redirect_dir=off,xino=off");
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>))
        .and_then(|()| chdir(folder.as_str()))
        .and_then(|()| mount(Some("overlay"), at, Some("overlay"), flags, Some(options.as_str())))
        .map_err(|errno| Error::Mount { layers: layers.len(), at: at.to_owned(), source: errno.into() })?;
    Dir::open(at).map_err(Error::Open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fs::{Resolve, Sync},
        mount,
    };

    #[test]
    fn options_are_not_broken_by_paths() {
        assert!(check_path(Path::new("/a b")).is_ok());
        for path in ["/a,upperdir=/etc", "/a:/etc", "/a\\"] {
            assert!(check_path(Path::new(path)).is_err());
        }
    }

    #[test]
    fn layers_are_seen_as_one_and_nothing_stays_mounted() {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open(folder.path()).unwrap();
        dir.make_dirs("at", 0o700).unwrap();
        for (layer, name) in [("top", "new"), ("bottom", "old"), ("bottom", "both"), ("top", "both")] {
            dir.make_dirs(layer, 0o700).unwrap().write(name, layer.as_bytes(), 0o600, Sync::ThisBoot).unwrap();
        }
        let layers = ["top", "bottom"].map(|layer| folder.path().join(layer));
        let seen = view(&layers, &folder.path().join("at")).unwrap();
        for (name, content) in [("new", "top"), ("old", "bottom"), ("both", "top")] {
            assert_eq!(seen.read(name, Resolve::InRoot, 99).unwrap(), content.as_bytes(), "{name}");
        }
        assert!(mount::below(folder.path()).unwrap().is_empty());
        assert!(view(&layers[1..], folder.path()).unwrap().has("old").unwrap());
    }
}
