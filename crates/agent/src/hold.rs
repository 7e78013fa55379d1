//! One agent a root, and how often it was started.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The right to be the agent of a state directory, for as long as it is held; the kernel ends it with the process.
#[derive(Debug)]
pub struct Hold {
    epoch: u64,
    /// None of who only looks.
    _lock: Option<File>,
}

/// Why this process can't be the agent of a state directory.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// There is one.
    #[error("another agent holds {}: stop it first, or choose another `--root`", .0.display())]
    Held(PathBuf),
    /// The disk said no.
    #[error("could not take hold of the state directory: {what} {path}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A counter that isn't one must not be guessed at: orders from before would be taken for today's.
    #[error("{} holds {text:?}, which is no count of starts: write a number there that is larger than in any name below `run/units`", path.display())]
    Counter {
        /// The counter's file.
        path: PathBuf,
        /// What is in it.
        text: String,
    },
}

impl Hold {
    /// Takes hold of `state`, a directory that exists, and counts this start, durably.
    pub fn take(state: &Path) -> Result<Self, HoldError> {
        let path = state.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(failed("opening", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HoldError::Held(state.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed("locking", &path)(source)),
        }
        let epoch = count(state)? + 1;
        let path = state.join("epoch");
        write_durably(&path, format!("{epoch}\n").as_bytes()).map_err(failed("writing", &path))?;
        Ok(Self { epoch, _lock: Some(lock) })
    }

    /// The same, counted at least so far, durably: for who orders in a world that others with other directories order in, and
    /// has a number from there.
    pub fn at_least(mut self, state: &Path, epoch: u64) -> Result<Self, HoldError> {
        if self.epoch < epoch {
            let path = state.join("epoch");
            write_durably(&path, format!("{epoch}\n").as_bytes()).map_err(failed("writing", &path))?;
            self.epoch = epoch;
        }
        Ok(self)
    }

    /// The same, counted as `term` says, which grows from one start to the next whatever directory it has: for who orders
    /// only by leave of others that count.
    #[must_use]
    pub fn of_term(self, term: u64) -> Self {
        Self { epoch: term, ..self }
    }

    /// For [`crate::Mode::LookOnly`]: holds nothing, counts nothing, and writes nothing.
    pub fn look(state: &Path) -> Result<Self, HoldError> {
        Ok(Self { epoch: count(state)? + 1, _lock: None })
    }

    /// Which start of an agent this is: larger than any before.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// Puts a file in place whole, synced with its name.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// How often an agent was started here.
fn count(state: &Path) -> Result<u64, HoldError> {
    let path = state.join("epoch");
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| HoldError::Counter { path, text }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(failed("reading", &path)(error)),
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HoldError + use<> {
    let path = path.to_owned();
    move |source| HoldError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_larger_epoch_and_there_is_one_agent() {
        let folder = tempfile::tempdir().unwrap();
        let first = Hold::take(folder.path()).unwrap();
        assert!(matches!(Hold::take(folder.path()), Err(HoldError::Held(_))));
        let before = first.epoch();
        drop(first);
        assert_eq!(Hold::look(folder.path()).unwrap().epoch(), before + 1, "looking counts nothing");
        assert_eq!(Hold::take(folder.path()).unwrap().epoch(), before + 1);
    }

    #[test]
    fn it_counts_at_least_as_far_as_others() {
        let folder = tempfile::tempdir().unwrap();
        let hold = Hold::take(folder.path()).unwrap().at_least(folder.path(), 7).unwrap();
        assert_eq!(hold.epoch(), 7);
        assert_eq!(hold.at_least(folder.path(), 3).unwrap().epoch(), 7);
        assert_eq!(Hold::take(folder.path()).unwrap().epoch(), 8);
    }

    #[test]
    fn a_counter_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("epoch"), "").unwrap();
        assert!(matches!(Hold::take(folder.path()), Err(HoldError::Counter { .. })));
    }
}
