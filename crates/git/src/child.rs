//! The child process that reads repositories: what a server or another user's repository holds can hang it or break it,
//! and nothing else.
//!
//! A job is the process's argument, as JSON; what is secret comes on stdin; the answer is one line of JSON on stdout.
//! A remote is fetched by one child, with our rights, straight into the cache. A local repository is read by a child with
//! the rights of the repository's owner, so that nothing in it (alternates, included configuration, links) reaches
//! further than that owner could; the pack follows its answer, through a pipe, into a second child that stores it.

use crate::{
    cache::{self, CacheError, History, Store},
    remote::{Remote, RemoteError, Secrets},
    tags::Tags,
    upload_pack::Refs,
};
use abide_reconcile::with_causes;
use git2::{ErrorCode, Oid, PackBuilder, Repository, RepositoryOpenFlags};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    io::{self, BufRead, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// More than secrets have: a token and a bundle of certificates.
const SECRETS_BYTES_MAX: u64 = 4 << 20;

/// More than a list of tags has.
const TAGS_BYTES_MAX: u64 = 1 << 20;

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "job")]
pub(crate) enum Job {
    /// Bring the tip of a remote branch into the cache, and the tags where all of a repository is wanted. [`Secrets`] come
    /// on stdin.
    Fetch { url: String, branch: String, deadline: Duration, store: Storing },
    /// Tell the tip of a local branch; unless it is one of `known`, its pack without what the first of them has follows.
    ///
    /// Where all of a repository is wanted, the tags that are known come on stdin, and `tags` is the digest of their list. If
    /// it is another by now, a pack follows as well. Before each pack is the list that it goes with, and an empty line.
    Read { path: PathBuf, branch: String, known: Vec<String>, history: History, tags: String },
    /// Store the pack on stdin, which has this commit; with the list before it where all of a repository is wanted.
    Store { commit: String, store: Storing },
}

/// Where to store what comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Storing {
    /// The source's state directory.
    pub(crate) directory: PathBuf,
    /// Commits that a cache made anew must have, the newest first; deltas may build on that one.
    pub(crate) keep: Vec<String>,
    /// Whether to make it anew whatever there is.
    pub(crate) is_anew: bool,
    /// How much to keep of what comes.
    pub(crate) history: History,
    /// More bytes than this are no configuration.
    pub(crate) bytes_max: u64,
}

/// What a child answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "answer")]
pub(crate) enum Answer {
    /// The branch points there, and that commit is in the cache (or follows); the digest of the list of tags.
    Tip { commit: String, tags: String },
    /// There is no such branch; the repository said so itself.
    Absent,
    /// It could not be done.
    Failed { why: String, is_cache_damaged: bool },
}

/// Why a job can't be done.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error("{0}")]
    Remote(#[from] RemoteError),
    #[error("{0}")]
    Cache(#[from] CacheError),
    #[error("what it sends is no good: {}", .0.message())]
    Git(git2::Error),
    #[error("{0}")]
    Text(String),
    #[error("{0}")]
    Stream(#[from] io::Error),
    #[error("the pack broke off")]
    Silent,
}

impl From<git2::Error> for JobError {
    fn from(why: git2::Error) -> Self {
        Self::Git(why)
    }
}

/// Does one job and answers: all of the hidden command `abide fetch JOB`.
pub fn fetch_child(job: &OsStr) -> ExitCode {
    crate::start();
    let job = job.to_str().ok_or_else(|| "not UTF-8".to_owned());
    let job = job.and_then(|text| serde_json::from_str(text).map_err(|error| error.to_string()));
    let result = match job {
        Ok(Job::Fetch { url, branch, deadline, store }) => fetch(&url, &branch, deadline, &store),
        Ok(Job::Read { path, branch, known, history, tags }) => {
            return exit(read(&path, &branch, &known, history, &tags));
        }
        Ok(Job::Store { commit, store }) => store_pack(&commit, &store),
        Err(why) => Err(JobError::Text(format!("this command is for the agent alone: {why}"))),
    };
    exit(result.and_then(|answer| Ok(send(&answer)?)))
}

fn exit(result: Result<(), JobError>) -> ExitCode {
    let error = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(JobError::Silent) => return ExitCode::FAILURE,
        Err(error) => error,
    };
    // A cache that breaks while it is written may have been broken before: it is made anew then.
    let is_cache_damaged = matches!(
        error,
        JobError::Git(_)
            | JobError::Cache(CacheError::Objects { .. } | CacheError::Pack(_) | CacheError::Incomplete { .. })
    );
    // Whoever doesn't listen any more has his reasons.
    drop(send(&Answer::Failed { why: with_causes(&error), is_cache_damaged }));
    ExitCode::FAILURE
}

fn send(answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = io::stdout();
    out.write_all(&line)?;
    out.flush()
}

/// Ids that were written by us; one that is none is one that isn't there.
fn ids(texts: &[String]) -> Vec<Oid> {
    texts.iter().filter_map(|text| Oid::from_str(text).ok()).collect()
}

impl Storing {
    fn open(&self) -> Result<Store, CacheError> {
        let keep = ids(&self.keep);
        let (directory, history) = (&self.directory, self.history);
        if self.is_anew { Store::anew(directory, &keep, history) } else { Store::open(directory, &keep, history) }
    }
}

fn fetch(url: &str, branch: &str, deadline: Duration, storing: &Storing) -> Result<Answer, JobError> {
    let mut secrets = Vec::new();
    io::stdin().take(SECRETS_BYTES_MAX).read_to_end(&mut secrets)?;
    let secrets: Secrets = serde_json::from_slice(&secrets).map_err(|error| JobError::Text(error.to_string()))?;
    let mut remote = Remote::new(url, &secrets, deadline)?;
    let Refs { tip, tags } = remote.refs(branch, storing.history)?;
    let Some(tip) = tip else { return Ok(Answer::Absent) };
    let _lock = cache::lock(&storing.directory)?;
    let store = storing.open()?;
    if !store.has(tip) {
        let have = ids(&storing.keep).into_iter().find(|id| store.has(*id));
        let history = storing.history;
        store.receive(|pack| remote.fetch(&[tip], have, history, pack, storing.bytes_max).map_err(JobError::from))?;
    }
    store.check(tip, &ids(&storing.keep))?;
    // Of commits that are elsewhere, nothing is brought.
    let tags = Tags::newest(store.repository(), tags);
    let lacking: Vec<Oid> = tags.iter().filter(|tag| store.repository().find_tag(*tag).is_err()).collect();
    if !lacking.is_empty() {
        let (history, bytes_max) = (storing.history, storing.bytes_max);
        store.receive(|pack| remote.fetch(&lacking, Some(tip), history, pack, bytes_max).map_err(JobError::from))?;
    }
    finish(store, tip, tags, storing)
}

/// What came is durable, and then listed.
fn finish(store: Store, tip: Oid, tags: Tags, storing: &Storing) -> Result<Answer, JobError> {
    let tags = tags.there(store.repository());
    store.finish()?;
    if storing.history == History::Whole {
        tags.write(&storing.directory)?;
    }
    Ok(Answer::Tip { commit: tip.to_string(), tags: tags.digest() })
}

fn read(path: &Path, branch: &str, known: &[String], history: History, had: &str) -> Result<(), JobError> {
    let no_more: [&OsStr; 0] = [];
    let opened = Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, no_more);
    let repository = opened.map_err(|error| JobError::Text(unreadable(path, &error)))?;
    let tip = match repository.refname_to_id(&format!("refs/heads/{branch}")) {
        Ok(tip) => tip,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(send(&Answer::Absent)?),
        Err(error) => return Err(error.into()),
    };
    let tags = match history {
        History::None => Tags::default(),
        History::Whole => Tags::of_repository(&repository)?,
    };
    let answer = Answer::Tip { commit: tip.to_string(), tags: tags.digest() };
    let is_known = known.contains(&tip.to_string());
    if is_known && tags.digest() == had {
        return Ok(send(&answer)?);
    }
    // All that can be missing is found before anything is promised.
    let mut pack = if is_known {
        repository.packbuilder()?
    } else {
        cache::pack(&repository, tip, &ids(&known[..known.len().min(1)]), history)?
    };
    add_tags(&mut pack, &tags, history)?;
    if pack.object_count() == 0 {
        // There is no such thing as an empty pack.
        pack.insert_object(tip, None)?;
    }
    send(&answer)?;
    let list = match history {
        History::None => String::new(),
        History::Whole => tags.text() + "\n",
    };
    if io::stdout().write_all(list.as_bytes()).is_err() || cache::send(pack, &mut io::stdout()).is_err() {
        // Who reads the pack sees it end too early, and says so.
        return Err(JobError::Silent);
    }
    Ok(())
}

/// Adds the tags that stdin doesn't name.
fn add_tags(pack: &mut PackBuilder<'_>, tags: &Tags, history: History) -> Result<(), JobError> {
    if history == History::None {
        return Ok(());
    }
    let mut known = String::new();
    io::stdin().take(TAGS_BYTES_MAX).read_to_string(&mut known)?;
    let known: Vec<&str> = known.lines().collect();
    for tag in tags.iter().filter(|tag| !known.contains(&tag.to_string().as_str())) {
        pack.insert_object(tag, None)?;
    }
    Ok(())
}

/// Why a repository of this machine can't be opened, in words that help.
fn unreadable(path: &Path, error: &git2::Error) -> String {
    let path = path.display();
    let text = error.message();
    if text.contains("refstorage") {
        return format!(
            "{path} keeps its references in reftable, which abide can't read: run `git refs migrate --ref-format=files` in it"
        );
    }
    if text.contains("object format") || text.contains("objectformat") {
        return format!("{path} is a SHA-256 repository, which abide can't read yet; SHA-1 ones work");
    }
    match error.code() {
        ErrorCode::NotFound => format!("there is no Git repository at {path}, or its owner can't get there"),
        ErrorCode::Owner => format!("not all of {path} belongs to one user: make its owner that of the files in it"),
        _ => format!("{path} can't be opened: {text}"),
    }
}

fn store_pack(commit: &str, storing: &Storing) -> Result<Answer, JobError> {
    let _lock = cache::lock(&storing.directory)?;
    let store = storing.open()?;
    let id = Oid::from_str(commit)?;
    let mut from = io::stdin().lock();
    let tags = match storing.history {
        History::None => Tags::default(),
        History::Whole => read_list(&mut from)?,
    };
    store.write_pack(&mut Bounded { from: &mut from, left: storing.bytes_max })?;
    store.check(id, &ids(&storing.keep))?;
    finish(store, id, tags, storing)
}

/// The list of tags before a pack, up to the empty line.
fn read_list(from: &mut dyn BufRead) -> Result<Tags, JobError> {
    let mut text = String::new();
    let mut from = from.take(TAGS_BYTES_MAX);
    while from.read_line(&mut text)? > 1 {}
    Ok(Tags::parse(&text))
}

/// A stream that fails, rather than ends, when it is longer than it may be.
struct Bounded<'a> {
    from: &'a mut dyn Read,
    left: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "the commit has more bytes than a source may have")
        })?;
        Ok(read)
    }
}
