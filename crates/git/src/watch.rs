//! Waiting for a repository to change. On this machine: told by the kernel at once, which is a hint; a cheap look at a few
//! files' times every few seconds, which tells when to ask; and a real question every minute, which is the truth.

use crate::cache::History;
use abide_reconcile::{Attend, Fault};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

/// How often the files of a local repository are looked at.
const GLANCE: Duration = Duration::from_secs(5);

/// How often a local repository is asked whatever its files look like: a symbolic reference may have changed elsewhere.
const ASK: Duration = Duration::from_secs(60);

/// How soon a lost interest is noticed at the latest: who loses it wakes the source, as a rule. An idle agent sleeps.
const ATTENTION: Duration = Duration::from_secs(5);

/// Ends a source's waiting, from any thread: something was pushed, or somebody can't wait.
#[derive(Clone, Debug)]
pub struct Waker {
    hints: Sender<Hint>,
    looks: Arc<Looks>,
}

impl Waker {
    /// Makes the source look now.
    pub fn wake(&self) {
        // A source that is gone needs no waking.
        drop(self.hints.send(Hint::Look));
    }

    /// The same, and waits for so long at most until a look that began after this was called is over, and whoever asks the
    /// source has taken what came of it, and asks for more. Whether that is so.
    pub fn look(&self, at_most: Duration) -> bool {
        let begun = self.looks.counts.lock().unwrap_or_else(PoisonError::into_inner).begun;
        self.wake();
        let counts = self.looks.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.looks.over.wait_timeout_while(counts, at_most, |counts| counts.over <= begun);
        waited.unwrap_or_else(PoisonError::into_inner).0.over > begun
    }
}

/// Looks at a repository.
#[derive(Debug, Default)]
struct Looks {
    counts: Mutex<Counts>,
    over: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    /// How many there were.
    begun: u64,
    /// How many of them are over.
    over: u64,
}

/// Why to look.
#[derive(Debug)]
enum Hint {
    /// Somebody says so.
    Look,
    /// The kernel saw something in the repository's folder.
    Stirred,
}

/// What is waited for.
pub(crate) struct Watch {
    hints: Receiver<Hint>,
    sender: Sender<Hint>,
    looks: Arc<Looks>,
    place: Place,
}

enum Place {
    Remote { interval: Duration },
    Local(Local),
}

struct Local {
    files: Vec<PathBuf>,
    folder: PathBuf,
    /// What the files looked like when they were last asked about.
    signature: Vec<Option<(u64, u64, i64, i64)>>,
    /// Watches as long as it lives. None where the kernel can't, or while the repository isn't there.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Waits for a remote one by interval alone.
    pub(crate) fn remote(interval: Duration) -> Self {
        let (sender, hints) = channel();
        Self { hints, sender, looks: Arc::default(), place: Place::Remote { interval } }
    }

    /// Waits for `branch` of the repository at `path`, and for its tags where they count.
    pub(crate) fn local(path: &Path, branch: &str, history: History) -> Self {
        let (sender, hints) = channel();
        let inner = path.join(".git");
        let folder = if inner.is_dir() { inner } else { path.to_owned() };
        let files = ["HEAD", "packed-refs"].into_iter().map(|name| folder.join(name));
        let tags = (history == History::Whole).then(|| folder.join("refs/tags"));
        let files = files.chain([folder.join("refs/heads").join(branch)]).chain(tags).collect();
        let place = Place::Local(Local { files, folder, signature: Vec::new(), watcher: None });
        Self { hints, sender, looks: Arc::default(), place }
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker { hints: self.sender.clone(), looks: Arc::clone(&self.looks) }
    }

    /// To be called before each look, so that what changes during the look is seen after it.
    pub(crate) fn begin(&mut self) {
        if let Place::Local(local) = &mut self.place {
            if local.watcher.is_none() {
                local.watcher = watch(&local.folder, self.sender.clone());
            }
            local.signature = signature(&local.files);
        }
        while self.hints.try_recv().is_ok() {}
        self.looks.counts.lock().unwrap_or_else(PoisonError::into_inner).begun += 1;
    }

    /// Waits until it is time to look. `is_failed`: the last look was, so the next doesn't wait for a change.
    pub(crate) fn wait(&mut self, is_failed: bool, attend: &dyn Attend) -> Result<(), Fault> {
        let mut counts = self.looks.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.over = counts.begun;
        drop(counts);
        self.looks.over.notify_all();
        let start = Instant::now();
        let (mut glance, ask) = match &self.place {
            Place::Remote { interval } => (start + *interval, start + *interval),
            Place::Local(_) if is_failed => (start + GLANCE, start + GLANCE),
            Place::Local(_) => (start + GLANCE, start + ASK),
        };
        loop {
            if attend.is_cancelled() {
                return Err(Fault::Cancelled);
            }
            let now = Instant::now();
            if now >= ask {
                return Ok(());
            }
            if now >= glance {
                glance = now + GLANCE;
                if self.is_changed() {
                    return Ok(());
                }
            }
            match self.hints.recv_timeout(ATTENTION.min(glance - now)) {
                Ok(Hint::Look) if !attend.is_cancelled() => return Ok(()),
                Ok(Hint::Look) => return Err(Fault::Cancelled),
                Ok(Hint::Stirred) if self.is_changed() => return Ok(()),
                Ok(Hint::Stirred) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Fault::Cancelled),
            }
        }
    }

    fn is_changed(&self) -> bool {
        match &self.place {
            Place::Remote { .. } => false,
            Place::Local(local) => signature(&local.files) != local.signature,
        }
    }
}

/// Inode, size and time of change of each file. Git replaces files by rename, so each change is another inode or time.
fn signature(files: &[PathBuf]) -> Vec<Option<(u64, u64, i64, i64)>> {
    let of = |file: &PathBuf| fs::symlink_metadata(file).ok();
    files.iter().map(|file| of(file).map(|meta| (meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()))).collect()
}

fn watch(folder: &Path, hints: Sender<Hint>) -> Option<RecommendedWatcher> {
    let stir = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            drop(hints.send(Hint::Stirred));
        }
    };
    let settings = notify::Config::default().with_follow_symlinks(false);
    let mut watcher = RecommendedWatcher::new(stir, settings).ok()?;
    watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    watcher.watch(&folder.join("refs"), RecursiveMode::Recursive).ok()?;
    Some(watcher)
}
