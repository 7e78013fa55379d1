//! The fleet's repository, followed with all of its history by every process of a hub: who leads decides by its newest
//! commit, and all of them hand out its objects.

use super::bell::Bell;
use crate::{admin::rollout::Looked, server::Repository as Followed};
use abide_git::{
    GitSource, Oid, Repository, Settings, SnapshotError, Tags, Waker,
    cache::{self, History},
    describe,
    location::BadLocation,
    source::Reading,
};
use abide_reconcile::{Attend, Complete, Fault, Progress, Revision, Source, Wish};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Somebody waits for a look. A repository that is away is found out sooner, as a rule.
const PATIENCE: Duration = Duration::from_secs(45);

/// Where the branch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The commit's id in hexadecimal; empty if there is no such branch.
    pub commit: String,
    /// The first line of its message.
    pub summary: String,
    /// Why there is none.
    pub absent: Option<Arc<str>>,
    /// The tags that are objects, of all commits.
    pub tags: Arc<Tags>,
}

/// What is known of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Where the branch was when it was asked for last.
    pub tip: Option<Tip>,
    /// Why it can't be asked just now.
    pub trouble: Option<Arc<str>>,
}

/// Follows until it is dropped.
pub struct Follower {
    directory: PathBuf,
    state: Arc<State>,
    waker: Waker,
}

struct State {
    directory: PathBuf,
    sight: Mutex<Sight>,
    is_over: AtomicBool,
}

/// Why a repository can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// As it was written.
    #[error(transparent)]
    Location(#[from] BadLocation),
    /// By this process.
    #[error("could not start the thread that follows the fleet's repository")]
    Thread(#[from] io::Error),
}

impl Follower {
    /// Begins to follow, and rings when there is news.
    pub fn start(settings: Settings, bell: Arc<Bell>) -> Result<Self, FollowError> {
        let directory = settings.directory.clone();
        let settings = Settings { history: History::Whole, reading: Some(Arc::new(Tips)), ..settings };
        let mut source = GitSource::new(settings)?;
        let (state, waker) = (Arc::new(State::new(&directory)), source.waker());
        let told = Arc::clone(&state);
        thread::Builder::new().name("fleet's repository".to_owned()).spawn(move || {
            while !told.is_cancelled() {
                let said = source.next(&*told);
                if told.note(said) {
                    bell.ring();
                }
            }
        })?;
        Ok(Self { directory, state, waker })
    }

    /// What is known of the repository.
    pub fn sight(&self) -> Sight {
        self.state.sight.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The folder with the cache, for [`abide_git::cache::open`].
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Followed for Follower {
    fn wake(&self) {
        self.waker.wake();
    }

    fn look(&self) -> Looked {
        let is_over = self.waker.look(PATIENCE);
        let Sight { tip, trouble } = self.sight();
        let late = || format!("the repository gave no answer within {} s", PATIENCE.as_secs());
        Looked {
            commit: tip.map(|tip| tip.commit).unwrap_or_default(),
            trouble: trouble.map(|trouble| trouble.to_string()).or((!is_over).then(late)).unwrap_or_default(),
            is_passed: false,
        }
    }

    fn comes_after(&self, commit: &str, earlier: &str) -> bool {
        // What isn't known here may come yet.
        let Ok(cache) = cache::open(&self.directory) else { return false };
        let is_id = !earlier.is_empty() && earlier.bytes().all(|byte| byte.is_ascii_hexdigit());
        let earlier = is_id.then(|| cache.find_commit_by_prefix(earlier).ok()).flatten();
        let (Some(earlier), Ok(commit)) = (earlier, Oid::from_str(commit)) else { return false };
        cache.graph_descendant_of(commit, earlier.id()).unwrap_or_default()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

impl State {
    fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), sight: Mutex::default(), is_over: AtomicBool::new(false) }
    }

    /// The tags as they are listed by now. Without the list, those who ask for tags wait.
    fn tags(&self) -> Arc<Tags> {
        let tags = Tags::read(&self.directory).inspect_err(|error| {
            tracing::warn!(%error, folder = %self.directory.display(), "the list of the repository's tags can't be read");
        });
        Arc::new(tags.unwrap_or_default())
    }

    /// Whether it was news.
    fn note(&self, said: Result<Revision, Fault>) -> bool {
        let mut sight = self.sight.lock().unwrap_or_else(PoisonError::into_inner);
        let before = sight.clone();
        match said {
            Ok(Revision { commit, summary, wish, .. }) => {
                let absent = match wish {
                    Wish::Refused(why) => Some(why),
                    Wish::Complete(_) | Wish::Withdrawn => None,
                };
                *sight = Sight { tip: Some(Tip { commit, summary, absent, tags: self.tags() }), trouble: None };
            }
            Err(Fault::Cancelled) => {}
            Err(fault) => {
                let text: Arc<str> = fault.to_string().into();
                if sight.trouble.as_ref() != Some(&text) {
                    tracing::warn!(%fault, "the fleet's repository can't be followed");
                }
                sight.trouble = Some(text);
            }
        }
        *sight != before
    }
}

impl Attend for State {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Only where the branch is: what a commit says depends on the machines.
#[derive(Debug)]
struct Tips;

impl Reading for Tips {
    fn read(&self, cache: Repository, commit: Oid) -> Result<Revision, SnapshotError> {
        let broken = |source| SnapshotError::Commit { commit: commit.to_string(), source };
        let described = describe(&cache, commit).map_err(broken)?;
        let wish = match Complete::new([]) {
            Ok(nothing) => Wish::Complete(Arc::new(nothing)),
            Err(invalid) => Wish::Refused(invalid.to_string().into()),
        };
        Ok(Revision { commit: described.id, summary: described.summary, wish, files: BTreeMap::new() })
    }
}
