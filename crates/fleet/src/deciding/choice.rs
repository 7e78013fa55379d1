//! Which commit of the branch is rolled out: its tip, if machines would take it. Where those who sign have to sign tags, the
//! newest one that has such a tag: what is newer waits for one.

use crate::{
    protocol::{ObjectId, Target},
    trust::{NotTaken, foresee},
};
use abide_git::{Oid, Tags, cache};
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
        let why = match self.judge(self.tip) {
            Ok(()) => return Ok(Choice { commit: self.tip, waits: String::new() }),
            Err(why) => why,
        };
        if !why.wants_tag() {
            return match why {
                NotTaken::Refused(refused) => Err(NoChoice::Refused(refused.to_string())),
                other => Err(NoChoice::Cache(other.to_string())),
            };
        }
        let waits = format!("waits for a signed tag: {why}");
        let cache = cache::open(self.directory).map_err(|error| NoChoice::Cache(error.to_string()))?;
        let mut walk = cache.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
        walk.push(self.tip)?;
        if let Some(base) = self.base.filter(|base| cache.find_commit(*base).is_ok()) {
            walk.hide(base)?;
        }
        let tagged = walk.flatten().filter(|commit| *commit != self.tip && self.tags.has(*commit)).take(TAGGED_MAX);
        let newest = tagged.into_iter().find(|commit| self.judge(*commit).is_ok());
        match newest.or(self.base) {
            Some(commit) => Ok(Choice { commit, waits }),
            None => Err(NoChoice::Refused(waits)),
        }
    }

    /// What a machine that is on the base makes of a commit, with any of its tags.
    fn judge(&self, commit: Oid) -> Result<(), NotTaken> {
        let judged = |tag| {
            let target = Target { number: 0, commit: id(commit), tag, rotations: Vec::new(), spread: 1 };
            foresee(self.directory, self.fleet, self.base.map(id), &target)
        };
        let mut why = None;
        for tag in self.tags.of(commit).map(id) {
            match judged(Some(tag)) {
                Err(not_taken) if not_taken.wants_tag() => why = Some(not_taken),
                judged => return judged,
            }
        }
        why.map_or_else(|| judged(None), Err)
    }
}

fn id(id: Oid) -> ObjectId {
    // It has as many bytes as such a name has.
    ObjectId(id.as_bytes().try_into().unwrap_or_default())
}
