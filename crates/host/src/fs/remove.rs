use super::{Dir, Resolve, Result, rename_new};
use nix::{
    errno::Errno,
    unistd::{UnlinkatFlags, unlinkat},
};
use std::path::Path;

impl Dir {
    /// Removes what has this name, with all that is in it; nothing there is fine. No link is followed, and no file system
    /// that is mounted in there is touched: that is an error.
    ///
    /// Trees may be deeper than there are file descriptors or stack: directories of the second level are moved up to the
    /// first until none is left, so that two descriptors do.
    pub fn remove_all(&self, name: impl AsRef<Path>) -> Result<()> {
        let name = name.as_ref();
        if self.unlink(name)? {
            return Ok(());
        }
        let top = self.open_dir(name, Resolve::Beneath)?;
        let mut moved = 0_u64;
        loop {
            let names = top.names()?;
            if names.is_empty() {
                break;
            }
            for name in names {
                if !top.unlink(Path::new(&name))? {
                    top.flatten(Path::new(&name), &mut moved)?;
                }
            }
        }
        unlinkat(self, name, UnlinkatFlags::RemoveDir).map_err(self.failed("remove", name))
    }

    /// Removes a name; `false` if it is a directory with something in it.
    fn unlink(&self, name: &Path) -> Result<bool> {
        match unlinkat(self, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(true),
            Err(Errno::EISDIR | Errno::EPERM) => {}
            Err(errno) => return Err(self.failed("remove", name)(errno)),
        }
        match unlinkat(self, name, UnlinkatFlags::RemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOTEMPTY) => Ok(false),
            Err(errno) => Err(self.failed("remove", name)(errno)),
        }
    }

    /// Empties a directory, moving those in it up here, and removes it.
    fn flatten(&self, name: &Path, moved: &mut u64) -> Result<()> {
        let dir = self.open_dir(name, Resolve::Beneath)?;
        for entry in dir.names()? {
            if dir.unlink(Path::new(&entry))? {
                continue;
            }
            loop {
                *moved += 1;
                let to = format!("{moved}");
                match rename_new(&dir, Path::new(&entry), self, Path::new(&to)) {
                    Ok(()) => break,
                    Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(dir.failed("remove", Path::new(&entry))(errno)),
                }
            }
        }
        self.unlink(name).map(drop)
    }
}
