//! Whether a machine may take a commit: the rules, over what the hub shows for it.
//!
//! ```text
//!  no commit yet ─────────────────────────────► signed by whom the owner named, or by whom it names itself, if anybody
//!  what was taken last ───────────────────────► it is
//!  the head, or what ran before ──────────────► said later than what was taken last, and not below the floor of the head
//!  what descends from the head (the chain) ───► signed, if the fleet has signers
//!  what says that it replaces the head ───────► signed, and the fleet must have signers
//!  anything else ─────────────────────────────► refused
//! ```
//!
//! What goes forward is taken whatever its number is: no number that a hub makes up may keep machines from the next commit.
//!
//! Who signs is in [`authority`](super::authority).

use super::{
    authority::{Authority, signers_of},
    chain::{self, Link},
    hub::Bringing,
    object::{Commit, EntryKind, Tree},
    refused::{NotTaken, Refused},
    state::{Signers, State},
};
use crate::protocol::{ObjectId, ObjectKind, Target};
use abide_spec::fleet::{self, FILE, FleetFile, FleetSpec};

/// Of fleet.yaml: more than a fleet of any size needs.
pub(crate) const FLEET_BYTES_MAX: usize = 4 << 20;

/// A commit that may be taken.
pub(super) struct Judged {
    pub(super) commit: Commit,
    pub(super) fleet: FleetFile,
    pub(super) way: Way,
}

/// How it came to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It becomes the head, whose signers these are, and this the highest version of any so far.
    Forward { signers: Option<Signers>, signers_version: u64 },
    /// It ran before; the head stays.
    Back,
}

/// Judges a target.
pub(super) fn judge(state: &State, target: &Target, bringing: &mut Bringing<'_>) -> Result<Judged, NotTaken> {
    let mut authority = Authority { signers: state.signers.clone(), seen: state.signers_version };
    let way = match &state.head {
        None => None,
        Some(_) if state.is_on(target.commit) => Some(Way::Back),
        Some(head)
            if state.is_earlier(target) && (head.commit == target.commit || state.ran.contains(&target.commit)) =>
        {
            return Err(NotTaken::Earlier { commit: target.commit });
        }
        Some(head) if head.commit == target.commit => Some(Way::Back),
        Some(head) if state.ran.contains(&target.commit) => {
            above_floor(head.floor, target.commit, bringing)?;
            Some(Way::Back)
        }
        Some(_) => None,
    };
    if let Some(way) = way {
        let (commit, fleet) = read(state, target.commit, bringing)?;
        return Ok(Judged { commit, fleet, way });
    }
    let chain = match &state.head {
        None => Some(Vec::new()),
        Some(head) => chain::between(bringing, head.commit, target.commit)?,
    };
    let (commit, fleet) = read(state, target.commit, bringing)?;
    let chain = match (chain, &state.head) {
        (Some(chain), _) => chain,
        (None, Some(head)) => {
            let way = replaced(&authority, fleet.spec(), head.commit, target.commit, bringing);
            way.map_err(|error| if state.is_earlier(target) { error.or_earlier(target.commit) } else { error })?
        }
        (None, None) => Vec::new(),
    };
    let rotations: Vec<Link> = chain.iter().rev().filter(|link| link.id != target.commit).copied().collect();
    let next = signers_of(&fleet);
    if state.head.is_none() && authority.signers.is_none() {
        authority = Authority::begin(state, target, &commit, next.as_ref(), bringing)?;
    } else {
        authority.admit(state, target, &commit, next.as_ref(), &rotations, bringing)?;
    }
    let way = Way::Forward { signers: authority.signers, signers_version: authority.seen };
    Ok(Judged { commit, fleet, way })
}

/// A commit's own account of its fleet, which must be ours.
pub(super) fn read(state: &State, id: ObjectId, bringing: &mut Bringing<'_>) -> Result<(Commit, FleetFile), NotTaken> {
    let content = bringing.one(id, ObjectKind::Commit)?;
    let commit = Commit::parse(&content).map_err(|why| bringing.bad(Some(id), why))?;
    let fleet = fleet_file(state, id, commit.tree, bringing)?;
    Ok((commit, fleet))
}

fn fleet_file(
    state: &State,
    commit: ObjectId,
    tree: ObjectId,
    bringing: &mut Bringing<'_>,
) -> Result<FleetFile, NotTaken> {
    let root = bringing.one(tree, ObjectKind::Tree)?;
    let root = Tree::parse(&root).map_err(|why| bringing.bad(Some(tree), why))?;
    let file = file_of(commit, &root)?;
    let file = bringing.one(file, ObjectKind::Blob)?;
    Ok(fleet_of(state, commit, &file)?)
}

/// Which object a commit's fleet.yaml is.
pub(super) fn file_of(commit: ObjectId, root: &Tree) -> Result<ObjectId, Refused> {
    let entry = root.get(FILE).filter(|entry| entry.kind == EntryKind::File);
    entry.map(|entry| entry.id).ok_or(Refused::NoFleet { commit })
}

/// What a commit's fleet.yaml says, which must be of our fleet.
pub(super) fn fleet_of(state: &State, commit: ObjectId, file: &[u8]) -> Result<FleetFile, Refused> {
    if file.len() > FLEET_BYTES_MAX {
        let mistakes = format!("it has {} bytes, and {FLEET_BYTES_MAX} at most are read", file.len());
        return Err(Refused::FleetFile { commit, mistakes });
    }
    let fleet = fleet::parse(FILE, file)
        .map_err(|mistakes| Refused::FleetFile { commit, mistakes: abide_git::revision::render(&mistakes) })?;
    let found = fleet.spec().id.to_string();
    if found == state.fleet { Ok(fleet) } else { Err(Refused::Fleet { commit, found, pinned: state.fleet.clone() }) }
}

/// Nothing older than the floor is run any more: shown by a chain from it, as everything is.
fn above_floor(floor: Option<ObjectId>, commit: ObjectId, bringing: &mut Bringing<'_>) -> Result<(), NotTaken> {
    match floor {
        None => Ok(()),
        Some(floor) if floor == commit => Ok(()),
        Some(floor) => match chain::between(bringing, floor, commit)? {
            Some(_) => Ok(()),
            None => Err(Refused::Floor { commit, floor }.into()),
        },
    }
}

/// The way from the head to what a rewritten history says that it takes the place of. Who says so must be one who signs.
fn replaced(
    authority: &Authority,
    fleet: &FleetSpec,
    head: ObjectId,
    commit: ObjectId,
    bringing: &mut Bringing<'_>,
) -> Result<Vec<Link>, NotTaken> {
    let mut way = None;
    for replaces in &fleet.replaces {
        let replaces = id_of(replaces);
        if replaces == head {
            way = Some(Vec::new());
        } else if way.is_none() {
            way = chain::between(bringing, head, replaces)?;
        }
    }
    match way {
        None => Err(Refused::Fork { commit, head }.into()),
        Some(_) if authority.signers.is_none() => Err(Refused::Unstated { commit, head }.into()),
        Some(way) => Ok(way),
    }
}

/// The object that is meant.
pub(super) fn id_of(commit: &fleet::Commit) -> ObjectId {
    commit.as_str().parse().expect("40 hexadecimal digits name an object")
}
