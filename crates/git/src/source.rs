//! A followed repository: each new tip of its branch, as a revision.
//!
//! States of the branch: at a commit, or absent. Each change of state is said once (A, B, A again are three revisions), and
//! an absent branch is a wish that is refused, so it never prunes. What can't be reached is a fault, tried again after the
//! source's interval; when it is reached again, the state is said again, for whoever shows that it was lost.

use crate::{
    cache::{self, History},
    child::{Answer, Job, Storing},
    location::{self, BadLocation, Location},
    packet::printable,
    remote::{Remote, Secrets},
    revision::{ReopenError, reopen},
    snapshot::SnapshotError,
    tags::Tags,
    upload_pack::Refs,
    watch::{Waker, Watch},
    worker::{Input, Means, WorkError, Worker},
};
use abide_host::child::Rights;
use abide_reconcile::{Attend, Digest, Fault, Progress, Revision, Source, SourceId, Wish};
use abide_spec::kind::{self, Credentials, Grants};
use git2::{Oid, Reference, Repository};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// More than a token or a bundle of certificates has.
const SECRET_BYTES_MAX: u64 = 1 << 20;

/// Commits that a cache made anew keeps: what runs and what it may be taken back to are among the last ones, even if
/// several were held or taken back since.
const KEPT: usize = 16;

/// What a source is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, and the scope of its units.
    pub id: SourceId,
    /// The repository to follow.
    pub repository: kind::GitSource,
    /// How to get at it.
    pub credentials: Credentials,
    /// What its documents may ask for.
    pub grants: Grants,
    /// Its state directory, which exists.
    pub directory: PathBuf,
    /// The program that has the hidden command `fetch`, as `/proc/self/exe`.
    pub program: PathBuf,
    /// The commit that was said last, if any: it isn't said again unless another came in between.
    pub said: Option<String>,
    /// Commits that must not get lost, the newest first.
    pub keep: Vec<String>,
    /// How much of the history to have.
    pub history: History,
    /// How commits are read, if not as the units below one path.
    pub reading: Option<Arc<dyn Reading>>,
    /// Deadlines and sizes.
    pub bounds: Bounds,
}

/// How a commit becomes a wish.
pub trait Reading: fmt::Debug + Send + Sync {
    /// Reads a commit of the cache. One that can't be used is a wish that is refused; only objects that can't be read are
    /// an error.
    fn read(&self, cache: Repository, commit: Oid) -> Result<Revision, SnapshotError>;
}

/// How long things may take, and how big they may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// To ask a remote where its branch is.
    pub ask: Duration,
    /// To bring a commit here.
    pub fetch: Duration,
    /// Bytes of a commit's pack.
    pub pack_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { ask: Duration::from_secs(30), fetch: Duration::from_secs(120), pack_bytes: 512 << 20 }
    }
}

/// Why a repository can't be looked at just now.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("{url} can't be followed: {why}. What runs, runs on; it is tried again")]
    Unreachable { url: String, why: String },
    #[error("reading {what} {path}: {source}; see `credentials` of the source")]
    Secret { what: &'static str, path: String, source: io::Error },
    #[error(transparent)]
    Reopen(#[from] ReopenError),
    #[error("cancelled")]
    Cancelled,
}

/// Where a branch is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tip {
    At(Oid),
    Absent,
}

/// A repository that is followed.
pub struct GitSource {
    settings: Settings,
    location: Location,
    watch: Watch,
    /// Kept between polls, for its connection.
    remote: Option<(Secrets, Remote)>,
    said: Option<Tip>,
    /// The digest of the list of tags with which that was said.
    tags: String,
    /// The same of all tags of a remote repository, as it told them last.
    told: Option<String>,
    /// Whether the first look, for which nothing is waited, is over.
    has_looked: bool,
    is_failed: bool,
    /// A commit in the cache could not be read: the next look makes it anew.
    is_cache_damaged: bool,
}

impl GitSource {
    /// Checks the URL, the branch and the path; nothing is read yet.
    pub fn new(settings: Settings) -> Result<Self, BadLocation> {
        crate::start();
        let git = &settings.repository;
        let location = location::parse(&git.url)?;
        if !Reference::is_valid_name(&format!("refs/heads/{}", git.branch)) {
            return Err(BadLocation::Branch(printable(git.branch.as_bytes())));
        }
        if let Some(path) = git.path.as_ref().filter(|path| path.split('/').any(|part| part == "..")) {
            return Err(BadLocation::Outside(printable(path.as_bytes())));
        }
        let watch = match &location {
            Location::Local(path) => Watch::local(path, &git.branch, settings.history),
            Location::Remote(_) => Watch::remote(git.interval.0),
        };
        let said = settings.said.as_deref().and_then(|id| Oid::from_str(id).ok()).map(Tip::At);
        Ok(Self {
            settings,
            location,
            watch,
            remote: None,
            said,
            tags: String::new(),
            told: None,
            has_looked: false,
            is_failed: false,
            is_cache_damaged: false,
        })
    }

    /// Something that makes it look now.
    pub fn waker(&self) -> Waker {
        self.watch.waker()
    }

    /// What the branch's present tip says; nothing if that was said already and no look failed since.
    fn look(&mut self, attend: &dyn Attend) -> Result<Option<Revision>, LookError> {
        let answer = match self.location.clone() {
            Location::Local(path) => self.read(&path, attend)?,
            Location::Remote(url) => self.fetch(&url, attend)?,
        };
        let (tip, tags) = match answer {
            Some(Answer::Tip { commit, tags }) => match Oid::from_str(&commit) {
                Ok(id) => (Tip::At(id), tags),
                Err(error) => return Err(self.unreachable(error.message())),
            },
            Some(Answer::Absent) => (Tip::Absent, String::new()),
            Some(Answer::Failed { why, .. }) => return Err(self.unreachable(&why)),
            None => return Ok(None),
        };
        if self.said.as_ref() == Some(&tip) && self.tags == tags && !self.is_failed {
            return Ok(None);
        }
        let revision = match &tip {
            Tip::At(commit) => {
                let revision = reopen(&self.settings, &commit.to_string());
                self.is_cache_damaged = revision.is_err();
                revision?
            }
            Tip::Absent => self.absent(),
        };
        if matches!(revision.wish, Wish::Complete(_)) {
            let keep = &mut self.settings.keep;
            keep.retain(|kept| *kept != revision.commit);
            keep.insert(0, revision.commit.clone());
            keep.truncate(KEPT);
        }
        (self.said, self.tags) = (Some(tip), tags);
        Ok(Some(revision))
    }

    fn absent(&self) -> Revision {
        let branch = &self.settings.repository.branch;
        let text = match &self.said {
            Some(Tip::At(_)) => {
                format!(
                    "branch {branch} was deleted; what runs, runs on. Push it again, or give the source up with `abide source remove {}`",
                    self.settings.id
                )
            }
            _ => format!("there is no branch {branch} yet; push it, or follow another with `--branch`"),
        };
        Revision {
            commit: String::new(),
            summary: String::new(),
            wish: Wish::Refused(text.into()),
            files: Default::default(),
        }
    }

    /// Reads a repository of this machine as its owner, and stores what is new.
    fn read(&mut self, path: &Path, attend: &dyn Attend) -> Result<Option<Answer>, LookError> {
        let owner = fs::metadata(path).map_err(|error| self.unreachable(&error.to_string()))?;
        let is_own = owner.uid() == nix::unistd::geteuid().as_raw();
        let rights = if is_own { Rights::Own } else { Rights::Of { uid: owner.uid(), gid: owner.gid() } };
        let known: Vec<String> = match &self.said {
            Some(Tip::At(commit)) => {
                [commit.to_string()].into_iter().chain(self.settings.keep.iter().cloned()).collect()
            }
            _ => self.settings.keep.clone(),
        };
        let known: Vec<String> = known.into_iter().filter(|id| self.has(id)).collect();
        let Settings { repository: kind::GitSource { branch, .. }, history, .. } = &self.settings;
        let job = |known, tags| {
            let (path, branch) = (path.to_owned(), branch.clone());
            Job::Read { path, branch, known, history: *history, tags }
        };
        let (tags, digest) = self.tags_here();
        let mut reader = self.start(&job(known.clone(), digest.clone()), rights, Input::Bytes(tags.as_bytes()))?;
        let answer = reader.answer(attend).map_err(|error| self.unworkable(error))?;
        let commit = match &answer {
            Answer::Tip { commit, tags } if !known.contains(commit) || *tags != digest => commit.clone(),
            _ => return Ok(Some(answer)),
        };
        let (stored, is_damaged) = self.store(&mut reader, &commit, false, attend)?;
        if !is_damaged {
            return Ok(Some(stored));
        }
        // The new cache may lack what the first pack was built on, so all of it is asked for.
        let mut reader = self.start(&job(Vec::new(), String::new()), rights, Input::Bytes(&[]))?;
        let commit = match reader.answer(attend).map_err(|error| self.unworkable(error))? {
            Answer::Tip { commit, .. } => commit,
            answer => return Ok(Some(answer)),
        };
        Ok(Some(self.store(&mut reader, &commit, true, attend)?.0))
    }

    fn store(
        &self,
        reader: &mut Worker,
        commit: &str,
        is_anew: bool,
        attend: &dyn Attend,
    ) -> Result<(Answer, bool), LookError> {
        let Some(pack) = reader.rest() else { return Err(self.unreachable("the process that reads it has no output")) };
        let job = Job::Store { commit: commit.to_owned(), store: self.storing(is_anew) };
        let mut store = self.start(&job, Rights::Own, Input::From(pack))?;
        let answer = store.answer(attend).map_err(|error| self.unworkable(error))?;
        let is_damaged = matches!(answer, Answer::Failed { is_cache_damaged: true, .. });
        Ok((answer, is_damaged))
    }

    /// Asks a remote repository, and brings what is new. None: it is where it was.
    fn fetch(&mut self, url: &str, attend: &dyn Attend) -> Result<Option<Answer>, LookError> {
        let secrets = self.secrets()?;
        let is_same =
            |(had, _): &(Secrets, Remote)| had.token == secrets.token && had.authorities == secrets.authorities;
        if !self.remote.as_ref().is_some_and(is_same) {
            let remote = Remote::new(url, &secrets, self.settings.bounds.ask);
            self.remote = Some((secrets.clone(), remote.map_err(|error| self.unreachable(&error.to_string()))?));
        }
        let (branch, history) = (self.settings.repository.branch.clone(), self.settings.history);
        let refs = self.remote.as_mut().map(|(_, remote)| remote.refs(&branch, history)).transpose();
        let Refs { tip, tags } = refs.map_err(|error| self.unreachable(&error.to_string()))?.unwrap_or_default();
        let told = Some(Digest::of(format!("{tags:?}").as_bytes()).to_string());
        // Without history there are no tags.
        let is_told = history == History::None || self.told == told;
        let tip = match tip {
            None => return Ok(Some(Answer::Absent)),
            Some(tip) if self.said == Some(Tip::At(tip)) && is_told && !self.is_failed => return Ok(None),
            Some(tip) => tip.to_string(),
        };
        if is_told && self.has(&tip) {
            return Ok(Some(Answer::Tip { commit: tip, tags: self.tags.clone() }));
        }
        attend.progress(Progress { what: format!("fetching {tip:.12} of {url}").into(), done: 0, total: None });
        let bytes = serde_json::to_vec(&secrets).map_err(|error| self.unreachable(&error.to_string()))?;
        let mut job = Job::Fetch {
            url: url.to_owned(),
            branch,
            deadline: self.settings.bounds.fetch,
            store: self.storing(false),
        };
        let answer = self.start(&job, Rights::Own, Input::Bytes(&bytes))?.answer(attend);
        let answer = answer.map_err(|error| self.unworkable(error))?;
        if !matches!(answer, Answer::Failed { is_cache_damaged: true, .. }) {
            self.told = told.filter(|_| matches!(answer, Answer::Tip { .. }));
            return Ok(Some(answer));
        }
        if let Job::Fetch { store, .. } = &mut job {
            store.is_anew = true;
        }
        let answer = self.start(&job, Rights::Own, Input::Bytes(&bytes))?.answer(attend);
        Ok(Some(answer.map_err(|error| self.unworkable(error))?))
    }

    fn secrets(&self) -> Result<Secrets, LookError> {
        let credentials = &self.settings.credentials;
        let read = |what, path: &Option<String>| path.as_deref().map(|path| read_secret(what, path)).transpose();
        Ok(Secrets {
            token: read("the token", &credentials.token_file)?,
            authorities: read("the CA file", &credentials.ca_file)?,
        })
    }

    /// Whether the commit is in the cache. All that it needs was checked when it came.
    fn has(&self, commit: &str) -> bool {
        !self.is_cache_damaged && cache::has(&self.settings.directory, commit)
    }

    /// The tags that are in the cache, a line each, and the digest of their list if it is whole.
    fn tags_here(&self) -> (String, String) {
        let listed = Tags::read(&self.settings.directory).unwrap_or_default();
        let cache = cache::open(&self.settings.directory).ok().filter(|_| !self.is_cache_damaged);
        let here = cache.map(|cache| listed.clone().there(&cache)).unwrap_or_default();
        let lines = here.iter().map(|tag| format!("{tag}\n")).collect();
        (lines, if here == listed { listed.digest() } else { String::new() })
    }

    fn storing(&self, is_anew: bool) -> Storing {
        let Settings { directory, keep, history, bounds, .. } = &self.settings;
        let is_anew = is_anew || self.is_cache_damaged;
        let (directory, keep) = (directory.clone(), keep.clone());
        Storing { directory, keep, is_anew, history: *history, bytes_max: bounds.pack_bytes }
    }

    fn start(&self, job: &Job, rights: Rights, input: Input<'_>) -> Result<Worker, LookError> {
        let Settings { program, bounds, .. } = &self.settings;
        let means = Means { program, rights, bytes_max: bounds.pack_bytes, deadline: bounds.fetch };
        Worker::start(job, &means, input).map_err(|error| self.unworkable(error))
    }

    fn unreachable(&self, why: &str) -> LookError {
        LookError::Unreachable { url: self.settings.repository.url.clone(), why: why.to_owned() }
    }

    fn unworkable(&self, error: WorkError) -> LookError {
        match error {
            WorkError::Cancelled => LookError::Cancelled,
            error => self.unreachable(&error.to_string()),
        }
    }
}

impl Source for GitSource {
    fn next(&mut self, attend: &dyn Attend) -> Result<Revision, Fault> {
        loop {
            if self.has_looked {
                self.watch.wait(self.is_failed, attend)?;
            }
            self.has_looked = true;
            self.watch.begin();
            // Not before: who asks in between would have its hint taken, and no look that counts for it.
            attend.looks();
            let looked = self.look(attend);
            self.is_failed = looked.is_err();
            match looked {
                Ok(Some(revision)) => return Ok(revision),
                Ok(None) => attend.found_nothing(),
                Err(LookError::Cancelled) => return Err(Fault::Cancelled),
                Err(error) => return Err(Fault::Again(error.to_string().into())),
            }
        }
    }
}

fn read_secret(what: &'static str, path: &str) -> Result<String, LookError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|source| LookError::Secret { what, path: path.to_owned(), source })?;
    Ok(text)
}
