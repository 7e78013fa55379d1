//! That one commit descends from another: every commit between them, each hashed, each a parent of the one before. Nobody
//! can make up such a chain, so it doesn't matter who sends it.

use super::{
    hub::{Bringing, HubError},
    object::{self, Commit, word},
    refused::{NotTaken, Refused},
};
use crate::protocol::{Frame, ObjectId, ObjectKind, RefusalCode};

/// Commits of a chain: more than a fleet of ten years has, a commit an hour.
pub const COMMITS_MAX: usize = 100_000;

/// Why it is no chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChain {
    /// Not what was asked for.
    #[error("it begins with {0}")]
    Begin(ObjectId),
    /// Two that have nothing to do with each other.
    #[error("{child} has no parent {id}")]
    Link {
        /// What came before.
        child: ObjectId,
        /// What came.
        id: ObjectId,
    },
    /// It goes on after its end.
    #[error("it goes on after a child of the ancestor")]
    After,
    /// It never comes to its end.
    #[error("it has more than {COMMITS_MAX} commits")]
    Endless,
    /// It stands still.
    #[error("it doesn't go on after {0}")]
    Stuck(ObjectId),
    /// A folder, a file, a tag.
    #[error("there is a {0} in it")]
    Kind(&'static str),
}

/// A commit of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) id: ObjectId,
    pub(super) tree: ObjectId,
}

/// The commits from `to` to a child of `from`, the newest first. None: the hub says that there is no such way.
pub(super) fn between(
    bringing: &mut Bringing<'_>,
    from: ObjectId,
    to: ObjectId,
) -> Result<Option<Vec<Link>>, NotTaken> {
    let mut chain = Chain { from, to, links: Vec::new(), last: None };
    loop {
        let (length, next) = (chain.links.len(), chain.last.as_ref().map_or(to, |(id, _)| *id));
        bringing.glance(length, length)?;
        let answer = match bringing.hub.chain(from, next) {
            Err(HubError::Refused(refusal)) if refusal.code == RefusalCode::NoDescendant => return Ok(None),
            answer => answer?,
        };
        let mut answer = answer.iter();
        // A later answer begins with the commit that the one before it ended with.
        if length > 0 && !answer.next().is_some_and(|frame| object::name(frame) == Ok(next)) {
            return Err(chain.bad(BadChain::Stuck(next)));
        }
        for frame in answer {
            chain.add(frame, bringing)?;
        }
        if chain.is_whole() {
            return Ok(Some(chain.links));
        }
        if chain.links.len() == length {
            return Err(chain.bad(BadChain::Stuck(next)));
        }
    }
}

struct Chain {
    from: ObjectId,
    to: ObjectId,
    links: Vec<Link>,
    /// The last commit, and its parents.
    last: Option<(ObjectId, Vec<ObjectId>)>,
}

impl Chain {
    fn is_whole(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, parents)| parents.contains(&self.from))
    }

    fn add(&mut self, frame: &Frame, bringing: &mut Bringing<'_>) -> Result<(), NotTaken> {
        if frame.kind != ObjectKind::Commit {
            return Err(self.bad(BadChain::Kind(word(frame.kind))));
        }
        let id = object::name(frame).map_err(|why| bringing.bad(None, why))?;
        match &self.last {
            None if id != self.to => return Err(self.bad(BadChain::Begin(id))),
            Some(_) if self.is_whole() => return Err(self.bad(BadChain::After)),
            Some((child, parents)) if !parents.contains(&id) => {
                return Err(self.bad(BadChain::Link { child: *child, id }));
            }
            _ => {}
        }
        bringing.account(frame.content.len())?;
        let commit = Commit::parse(&frame.content).map_err(|why| bringing.bad(Some(id), why))?;
        if self.links.len() == COMMITS_MAX {
            return Err(self.bad(BadChain::Endless));
        }
        self.links.push(Link { id, tree: commit.tree });
        self.last = Some((id, commit.parents));
        Ok(())
    }

    fn bad(&self, why: BadChain) -> NotTaken {
        Refused::Chain { from: self.from, to: self.to, why }.into()
    }
}
