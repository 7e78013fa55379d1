//! Which commit of the branch is rolled out: its tip, if machines would take it. Where those who sign have to sign tags, the
//! newest one that has such a tag: what is newer waits for one, whatever it says.

use super::commit::Commit;
use crate::{
    protocol::{ObjectId, Target},
    trust::{NotTaken, foresee},
};
use abide_git::{Oid, Tags, cache};
use abide_reconcile::spec::fleet::Require;
use git2::Sort;
use std::path::Path;

/// Commits with tags that are looked at.
const TAGGED_MAX: usize = 100;

/// What is rolled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) commit: Oid,
    /// Why it isn't the tip; empty if it is.
    pub(super) waits: String,
}

/// From where the fleet goes on.
pub(super) struct Branch<'a> {
    /// Of the cache.
    pub(super) directory: &'a Path,
    /// The fleet's identity.
    pub(super) fleet: &'a str,
    /// The commit in force.
    pub(super) base: Option<Oid>,
    pub(super) tip: Oid,
    /// Why the tip can't be rolled out, whoever signs it.
    pub(super) broken: Option<&'a str>,
    pub(super) tags: &'a Tags,
}

/// Why nothing can be rolled out.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoChoice {
    /// Machines would refuse it: why.
    #[error("{0}")]
    Refused(String),
    /// The cache can't be read.
    #[error("{0}")]
    Cache(String),
}

impl From<abide_git::Error> for NoChoice {
    fn from(error: abide_git::Error) -> Self {
        Self::Cache(error.message().to_owned())
    }
}

impl Branch<'_> {
    /// Chooses.
    pub(super) fn choose(&self) -> Result<Choice, NoChoice> {
        let (waits, refused, wants_tag) = match self.tip()? {
            Tip::Good => return Ok(Choice { commit: self.tip, waits: String::new() }),
            Tip::Untagged(why) => {
                let waits = format!("waits for a signed tag: {why}");
                (waits.clone(), waits, true)
            }
            // It isn't meant to be rolled out where tags are what is.
            Tip::Refused(why) if !self.tags.has(self.tip) => {
                let waits = format!("the newest commit has no tag, and machines would not take it with one: {why}");
                (waits, why, self.wants_tags())
            }
            Tip::Refused(why) => return Err(NoChoice::Refused(why)),
        };
        match self.newest_release()?.or(self.base.filter(|_| wants_tag)) {
            Some(commit) => Ok(Choice { commit, waits }),
            None => Err(NoChoice::Refused(refused)),
        }
    }

    fn tip(&self) -> Result<Tip, NoChoice> {
        if let Some(why) = self.broken {
            return Ok(Tip::Refused(why.to_owned()));
        }
        match self.judge(self.tip) {
            Ok(()) => Ok(Tip::Good),
            Err(why) if why.wants_tag() => Ok(Tip::Untagged(why.to_string())),
            Err(NotTaken::Refused(why)) => Ok(Tip::Refused(why.to_string())),
            Err(other) => Err(NoChoice::Cache(other.to_string())),
        }
    }

    /// Whether signed tags are what is rolled out since the base.
    fn wants_tags(&self) -> bool {
        let base = self.base.and_then(|base| Commit::read(self.directory, base, self.fleet).ok());
        let signers = base.as_ref().and_then(|base| base.file.spec().signers.as_ref());
        signers.is_some_and(|signers| signers.require == Require::Tag)
    }

    /// The newest commit before the tip that machines would take for its tag.
    fn newest_release(&self) -> Result<Option<Oid>, NoChoice> {
        let cache = cache::open(self.directory).map_err(|error| NoChoice::Cache(error.to_string()))?;
        let mut walk = cache.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
        walk.push(self.tip)?;
        if let Some(base) = self.base.filter(|base| cache.find_commit(*base).is_ok()) {
            walk.hide(base)?;
        }
        let tagged = walk.flatten().filter(|commit| *commit != self.tip && self.tags.has(*commit)).take(TAGGED_MAX);
        let is_release = |commit: &Oid| {
            self.judge(*commit).is_ok() && self.judge_by(*commit, None).is_err_and(|why| why.wants_tag())
        };
        Ok(tagged.into_iter().find(is_release))
    }

    /// What a machine that is on the base makes of a commit, with any of its tags.
    fn judge(&self, commit: Oid) -> Result<(), NotTaken> {
        let mut why = None;
        for tag in self.tags.of(commit).map(id) {
            match self.judge_by(commit, Some(tag)) {
                Err(not_taken) if not_taken.wants_tag() => why = Some(not_taken),
                judged => return judged,
            }
        }
        why.map_or_else(|| self.judge_by(commit, None), Err)
    }

    fn judge_by(&self, commit: Oid, tag: Option<ObjectId>) -> Result<(), NotTaken> {
        let target = Target { number: 0, commit: id(commit), tag, rotations: Vec::new(), spread: 1 };
        foresee(self.directory, self.fleet, self.base.map(id), &target)
    }
}

/// What becomes of the branch's tip.
enum Tip {
    /// It is rolled out.
    Good,
    /// It lacks a tag: why.
    Untagged(String),
    /// Nobody would take it: why.
    Refused(String),
}

fn id(id: Oid) -> ObjectId {
    // It has as many bytes as such a name has.
    ObjectId(id.as_bytes().try_into().unwrap_or_default())
}
