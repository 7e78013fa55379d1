//! The tags of a repository that are objects of their own, as signed ones are: which commits have which.
//!
//! They lie in the cache as commits do, without a reference; `tags`, a file beside the cache, lists them as the repository
//! had them last. Only who hands on all of a repository has them ([`History::Whole`](crate::cache::History::Whole)).

use abide_reconcile::Digest;
use git2::{ObjectType, Oid, Repository};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// The file.
const FILE: &str = "tags";

/// As many are kept, those of the newest commits: what is older is no release of tomorrow.
const TAGS_MAX: usize = 1000;

/// Tags, by their commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(BTreeSet<(Oid, Oid)>);

impl Tags {
    /// Those that the source with this state directory has; none before it looked.
    pub fn read(directory: &Path) -> io::Result<Self> {
        match fs::read_to_string(directory.join(FILE)) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Those of a commit.
    pub fn of(&self, commit: Oid) -> impl Iterator<Item = Oid> {
        self.0.iter().filter(move |(of, _)| *of == commit).map(|(_, tag)| *tag)
    }

    /// Whether a commit has any.
    pub fn has(&self, commit: Oid) -> bool {
        self.of(commit).next().is_some()
    }

    /// Of those that references of `repository` name, the ones of its newest commits.
    pub(crate) fn of_repository(repository: &Repository) -> Result<Self, git2::Error> {
        let mut named = Vec::new();
        for reference in repository.references_glob("refs/tags/*")? {
            if let Some((id, commit)) = reference?.target().and_then(|id| Some((id, commit_of(repository, id)?))) {
                named.push((id, commit));
            }
        }
        Ok(Self::newest(repository, named))
    }

    /// Of these pairs of a tag and its commit, those whose commits are in `repository`, as far as there are not too many.
    pub(crate) fn newest(repository: &Repository, named: Vec<(Oid, Oid)>) -> Self {
        let time = |commit| Some(repository.find_commit(commit).ok()?.time().seconds());
        let mut timed: Vec<_> =
            named.into_iter().filter_map(|(tag, commit)| Some((time(commit)?, commit, tag))).collect();
        timed.sort_unstable_by(|one, other| other.cmp(one));
        Self(timed.into_iter().take(TAGS_MAX).map(|(_, commit, tag)| (commit, tag)).collect())
    }

    /// Those that are in `repository`, and are what they were said to be.
    pub(crate) fn there(mut self, repository: &Repository) -> Self {
        self.0.retain(|(commit, tag)| commit_of(repository, *tag) == Some(*commit));
        self
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Oid> {
        self.0.iter().map(|(_, tag)| *tag)
    }

    /// Tells lists apart. That of none is empty.
    pub(crate) fn digest(&self) -> String {
        if self.0.is_empty() { String::new() } else { Digest::of(self.text().as_bytes()).to_string() }
    }

    /// A line for each, as it is written.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|(commit, tag)| format!("{tag} {commit}\n")).collect()
    }

    /// What [`text`](Self::text) wrote. A line that is none names nothing.
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |line: &str| {
            let (tag, commit) = line.split_once(' ')?;
            Some((Oid::from_str(commit).ok()?, Oid::from_str(tag).ok()?))
        };
        Self(text.lines().filter_map(pair).collect())
    }

    /// Writes the list, if it is another one. They are in the cache by then.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        if Self::read(directory).is_ok_and(|written| written == *self) {
            return Ok(());
        }
        let new = directory.join("tags.new");
        let mut file = File::create(&new)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, directory.join(FILE))?;
        File::open(directory)?.sync_all()
    }
}

/// The commit that an object is a tag of, if it is one.
fn commit_of(repository: &Repository, id: Oid) -> Option<Oid> {
    let tag = repository.find_tag(id).ok()?;
    (tag.target_type() == Some(ObjectType::Commit)).then(|| tag.target_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let id = |digit: &str| Oid::from_str(&digit.repeat(40)).unwrap();
        let tags = Tags(BTreeSet::from([(id("1"), id("a")), (id("1"), id("b")), (id("2"), id("c"))]));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Tags::read(folder.path()).unwrap(), Tags::default());
        tags.write(folder.path()).unwrap();
        let read = Tags::read(folder.path()).unwrap();
        assert_eq!((&read, read.digest()), (&tags, tags.digest()));
        assert_eq!(read.of(id("1")).collect::<Vec<_>>(), [id("a"), id("b")]);
        assert!(!read.has(id("3")));
        assert_eq!(Tags::parse("nonsense\n\nx y\n"), Tags::default());
    }
}
