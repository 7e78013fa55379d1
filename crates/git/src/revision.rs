//! What a commit says: its tree, parsed, as a [`Revision`] for the Reconciler.

use crate::{
    cache::{self, CacheError},
    packet::printable,
    snapshot::{Snapshot, SnapshotError},
    source::Settings,
    tree,
};
use abide_reconcile::{Complete, Revision, Want, Wish};
use abide_spec::{Context, Diagnostic, Parsed};
use git2::{ErrorCode, Oid, Repository};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// More mistakes than these help nobody at once; the rest is counted.
const MISTAKES_MAX: usize = 100;

/// Who said what, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id in hexadecimal.
    pub id: String,
    /// The first line of its message, fit for a terminal.
    pub summary: String,
    /// Whose name is on it.
    pub author: String,
    /// When it was committed: seconds since 1970, by the committer's clock.
    pub time: i64,
}

/// Describes a commit that is in the repository.
pub fn describe(repository: &Repository, commit: Oid) -> Result<Commit, git2::Error> {
    let commit = repository.find_commit(commit)?;
    Ok(Commit {
        id: commit.id().to_string(),
        summary: printable(commit.message_bytes().split(|byte| *byte == b'\n').next().unwrap_or_default()),
        author: printable(commit.author().name_bytes()),
        time: commit.time().seconds(),
    })
}

/// Why a commit can't be read from a cache.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    /// The text is no id.
    #[error("{0:?} is no commit: write the 40 hexadecimal digits of its id")]
    Id(String),
    /// It was never fetched, or isn't kept any more.
    #[error(
        "there is no commit {0} here: name one that was in force by its first digits, or one that was fetched by all 40"
    )]
    Unknown(String),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The commit's objects.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// What a commit that is in the source's cache says, without asking anybody.
pub fn reopen(settings: &Settings, commit: &str) -> Result<Revision, ReopenError> {
    let id = Oid::from_str(commit).map_err(|_| ReopenError::Id(commit.to_owned()))?;
    let cache = cache::open(&settings.directory)?;
    if cache.find_commit(id).is_err_and(|error| error.code() == ErrorCode::NotFound) {
        return Err(ReopenError::Unknown(commit.to_owned()));
    }
    if let Some(reading) = &settings.reading {
        return Ok(reading.read(cache, id)?);
    }
    let context = Context::plain(&settings.id.0, &settings.grants);
    let path = settings.repository.path.as_deref().unwrap_or_default();
    Ok(revise(cache, id, path, context)?)
}

/// Reads the folder `path` of a commit as a source's wish. A commit that can't be used is a wish that is refused, with
/// every mistake in it as text; only objects that can't be read are an error.
pub fn revise(
    repository: Repository,
    commit: Oid,
    path: &str,
    context: Context<'_>,
) -> Result<Revision, SnapshotError> {
    let described = describe_or(&repository, commit)?;
    let parsed = tree::of_commit(repository, commit, path).map(|snapshot| parse(&snapshot, path, context));
    revision(described, parsed)
}

/// The same for several folders, taken together as `parse` says: every file by its whole path in the repository.
pub fn revise_folders(
    repository: Repository,
    commit: Oid,
    folders: &BTreeSet<String>,
    parse: impl FnOnce(&Snapshot) -> Result<Parsed, Vec<Diagnostic>>,
) -> Result<Revision, SnapshotError> {
    let described = describe_or(&repository, commit)?;
    revision(described, tree::folders_of_commit(repository, commit, folders).map(|snapshot| parse(&snapshot)))
}

fn describe_or(repository: &Repository, commit: Oid) -> Result<Commit, SnapshotError> {
    describe(repository, commit).map_err(|source| SnapshotError::Commit { commit: commit.to_string(), source })
}

fn revision(
    Commit { id, summary, .. }: Commit,
    parsed: Result<Result<Parsed, Vec<Diagnostic>>, SnapshotError>,
) -> Result<Revision, SnapshotError> {
    let (wish, files) = match parsed {
        Ok(Ok(Parsed { units, files })) => (complete(units), files),
        Ok(Err(mistakes)) => (Wish::Refused(render(&mistakes).into()), BTreeMap::new()),
        Err(error) if error.is_unreadable() => return Err(error),
        Err(error) => (Wish::Refused(error.to_string().into()), BTreeMap::new()),
    };
    Ok(Revision { commit: id, summary, wish, files })
}

/// Parses a snapshot; mistakes name files as the repository does.
pub fn parse(snapshot: &Snapshot, path: &str, context: Context<'_>) -> Result<Parsed, Vec<Diagnostic>> {
    let folder = path.trim_matches('/');
    abide_spec::parse(snapshot, context).map_err(|mut mistakes| {
        if !folder.is_empty() {
            let whole = |file: &mut Arc<str>| *file = format!("{folder}/{file}").into();
            for mistake in &mut mistakes {
                whole(&mut mistake.file);
                mistake.related.iter_mut().for_each(|related| whole(&mut related.file));
            }
        }
        mistakes
    })
}

fn complete(units: Vec<Arc<abide_spec::Unit>>) -> Wish {
    match Complete::new(units.into_iter().map(|unit| Arc::new(Want::new(unit)))) {
        Ok(complete) => Wish::Complete(Arc::new(complete)),
        Err(invalid) => Wish::Refused(invalid.to_string().into()),
    }
}

/// Mistakes as text, for a person.
pub fn render(mistakes: &[Diagnostic]) -> String {
    let mut lines: Vec<String> = mistakes.iter().take(MISTAKES_MAX).map(Diagnostic::to_string).collect();
    if mistakes.len() > MISTAKES_MAX {
        lines.push(format!("and {} more mistakes", mistakes.len() - MISTAKES_MAX));
    }
    lines.join("\n")
}
