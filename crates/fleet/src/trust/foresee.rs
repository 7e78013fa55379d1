//! What a machine would make of a target, as far as can be told without it: for a hub, so that nobody is told in vain.
//!
//! It is judged as by a machine that is on `from`, and has the objects that the hub has. A machine remembers more than its
//! commit says, so it may judge otherwise; what counts is what it says.

use super::{
    hub::{Bringing, Hub, HubError},
    judge::{self, id_of, read},
    objects::{Objects, oid},
    refused::{NotTaken, Refused},
    state::{Head, State},
};
use crate::protocol::{CHAIN_MAX, Frame, ObjectId, ObjectKind, Refusal, RefusalCode, Target};
use abide_git::{Oid, Repository, cache};
use abide_reconcile::{Attend, Progress};
use git2::Sort;
use std::{collections::HashMap, iter, path::Path};

/// Why there is no way from one commit to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWay {
    /// The newer one isn't there.
    Missing,
    /// The one doesn't descend from the other.
    NoDescendant,
    /// The repository can't be read.
    Failed(String),
}

impl From<abide_git::Error> for NoWay {
    fn from(error: abide_git::Error) -> Self {
        Self::Failed(error.message().to_owned())
    }
}

/// Commits that are looked at for a way: as many as a history of a hundred years with one an hour.
const WALKED_MAX: usize = 1_000_000;

/// The commits from `to` on, each a parent of the one before, up to a child of `from`.
pub fn way(repository: &Repository, from: Oid, to: Oid) -> Result<Vec<Oid>, NoWay> {
    if repository.find_commit(to).is_err() {
        return Err(NoWay::Missing);
    }
    if to == from {
        return Ok(Vec::new());
    }
    if repository.find_commit(from).is_err() {
        return Err(NoWay::NoDescendant);
    }
    let next = next(repository, from, to)?;
    let step = |at: &Oid| next.get(at).copied().filter(|next| *next != from);
    if next.contains_key(&to) { Ok(iter::successors(Some(to), step).collect()) } else { Err(NoWay::NoDescendant) }
}

/// For each commit between that leads to `from`, which of its parents does. One walk finds all of them, however many merges
/// there are.
fn next(repository: &Repository, from: Oid, to: Oid) -> Result<HashMap<Oid, Oid>, NoWay> {
    let mut walk = repository.revwalk()?;
    walk.push(to)?;
    walk.hide(from)?;
    // Parents first.
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    let mut next = HashMap::new();
    for (walked, commit) in walk.enumerate() {
        if walked >= WALKED_MAX {
            return Err(NoWay::Failed(format!("{to} is more than {WALKED_MAX} commits from {from}")));
        }
        let commit = commit?;
        let parents: Vec<Oid> = repository.find_commit(commit)?.parent_ids().collect();
        let direct = parents.iter().find(|parent| **parent == from);
        if let Some(parent) = direct.or_else(|| parents.iter().find(|parent| next.contains_key(*parent))) {
            next.insert(commit, *parent);
        }
    }
    Ok(next)
}

/// Whether a machine that is on `from` would take the target, by the cache below `directory`: one that is new, if there is no
/// such commit.
pub fn foresee(directory: &Path, fleet: &str, from: Option<ObjectId>, target: &Target) -> Result<(), NotTaken> {
    let open = || cache::open(directory).map_err(|error| HubError::Unreachable(error.to_string()));
    let mut objects = Objects::of(open()?);
    let hub = Cached(open()?);
    let mut bringing = Bringing::new(&mut objects, &hub, &Alone, target.commit).for_judging();
    let mut state = State::new(fleet, None);
    if let Some(commit) = from {
        let (_, file) = read(&state, commit, &mut bringing)?;
        let spec = file.spec();
        state = State::new(fleet, spec.signers.as_ref().map(Into::into));
        state.head = Some(Head { commit, floor: spec.floor.as_ref().map(id_of) });
    }
    judge::judge(&state, target, &mut bringing).map(drop)
}

impl NotTaken {
    /// Whether another tag of the commit would help.
    pub fn wants_tag(&self) -> bool {
        let Self::Refused(refused) = self else { return false };
        match &**refused {
            Refused::Untagged { .. } | Refused::TagOf { .. } => true,
            Refused::Unsigned { what, .. } | Refused::Signature { what, .. } => what.starts_with("tag "),
            _ => false,
        }
    }
}

/// The hub's own objects: what isn't there isn't to be had.
struct Cached(Repository);

impl Hub for Cached {
    fn chain(&self, from: ObjectId, to: ObjectId) -> Result<Vec<Frame>, HubError> {
        let refused = |code, message: String| HubError::Refused(Refusal { code, message });
        let way = way(&self.0, oid(from), oid(to)).map_err(|why| match why {
            NoWay::Missing => refused(RefusalCode::Missing, format!("{to} isn't here")),
            NoWay::NoDescendant => refused(RefusalCode::NoDescendant, format!("{to} doesn't descend from {from}")),
            NoWay::Failed(why) => HubError::Unreachable(why),
        })?;
        let unreadable = |error: abide_git::Error| HubError::Unreachable(error.message().to_owned());
        let odb = self.0.odb().map_err(unreadable)?;
        let frame = |id| {
            let content = odb.read(id).map_err(unreadable)?.data().to_vec();
            Ok(Frame { kind: ObjectKind::Commit, content })
        };
        way.into_iter().take(CHAIN_MAX).map(frame).collect()
    }

    fn objects(&self, _: &[ObjectId]) -> Result<Vec<Frame>, HubError> {
        Ok(Vec::new())
    }
}

/// Goes on to the end: all of it is here.
struct Alone;

impl Attend for Alone {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}
