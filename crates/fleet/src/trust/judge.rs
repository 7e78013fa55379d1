//! Whether a machine may take a commit: the rules, over what the hub shows for it.
//!
//! ```text
//!  no commit yet ─────────────────────────────► the first one is believed, or signed by whom the owner named
//!  the head, or what ran before ──────────────► not below the floor of the head's tree
//!  what descends from the head (the chain) ───► signed, if the fleet has signers
//!  what says that it replaces the head ───────► signed, and the fleet must have signers
//!  anything else ─────────────────────────────► refused
//! ```
//!
//! Who signs is the set of the head's tree, and along a chain each set that one before it signed for.

use super::{
    chain::{self, Link},
    hub::Bringing,
    object::{Commit, EntryKind, Tag, Tree},
    refused::{NotTaken, Refused},
    signature::{self, BadSignature, Key},
    state::{Require, Signers, State},
};
use crate::protocol::{ObjectId, ObjectKind, Target};
use abide_spec::fleet::{self, FILE, FleetFile, FleetSpec};
use std::collections::{BTreeMap, BTreeSet};

/// Commits whose signers are looked at where the hub doesn't say which ones changed them.
const SEARCHED_MAX: usize = 10_000;

/// Folders asked for at once on that search.
const SEARCH_STEP: usize = 500;

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

/// Who may sign, and the highest version of any set so far.
#[derive(Clone)]
struct Authority {
    signers: Option<Signers>,
    seen: u64,
}

/// Judges a target.
pub(super) fn judge(state: &State, target: &Target, bringing: &mut Bringing<'_>) -> Result<Judged, NotTaken> {
    let mut authority = Authority { signers: state.signers.clone(), seen: state.signers_version };
    let way = match &state.head {
        None => None,
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
        (None, Some(head)) => replaced(&authority, fleet.spec(), head.commit, target.commit, bringing)?,
        (None, None) => Vec::new(),
    };
    let rotations: Vec<Link> = chain.iter().rev().filter(|link| link.id != target.commit).copied().collect();
    authority.admit(state, target, &commit, signers_of(&fleet).as_ref(), &rotations, bringing)?;
    let way = Way::Forward { signers: authority.signers, signers_version: authority.seen };
    Ok(Judged { commit, fleet, way })
}

/// A commit's own account of its fleet, which must be ours.
fn read(state: &State, id: ObjectId, bringing: &mut Bringing<'_>) -> Result<(Commit, FleetFile), NotTaken> {
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

impl Authority {
    /// Whether those who may sign do so for the commit, and who may sign after it. `between` are the commits on the way to
    /// it, the oldest first.
    fn admit(
        &mut self,
        state: &State,
        target: &Target,
        commit: &Commit,
        next: Option<&Signers>,
        between: &[Link],
        bringing: &mut Bringing<'_>,
    ) -> Result<(), NotTaken> {
        if next == self.signers.as_ref() {
            return self.signs(target, commit, bringing);
        }
        let told: BTreeSet<&ObjectId> = target.rotations.iter().collect();
        let told: Vec<Link> = between.iter().filter(|link| told.contains(&link.id)).copied().collect();
        let mut by_hint = self.clone();
        match by_hint.follow(state, target, commit, next, &told, bringing) {
            // What the hub says about the way is a help and no more: the way itself is asked.
            Err(NotTaken::Refused(_)) if !between.is_empty() => {
                let changes = changes(between, bringing)?;
                self.follow(state, target, commit, next, &changes, bringing)
            }
            Ok(()) => {
                *self = by_hint;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Goes from set to set, along commits that may have changed it, to the target.
    ///
    /// A change that the set before it didn't sign, or that nobody can read, changes nothing; but if the target isn't
    /// believed in the end, it is the reason.
    fn follow(
        &mut self,
        state: &State,
        target: &Target,
        commit: &Commit,
        next: Option<&Signers>,
        changes: &[Link],
        bringing: &mut Bringing<'_>,
    ) -> Result<(), NotTaken> {
        let mut unsigned = None;
        for Link { id, .. } in changes {
            let change = match read(state, *id, bringing) {
                Ok((commit, fleet)) => self.becomes(*id, &commit, signers_of(&fleet).as_ref()),
                Err(NotTaken::Refused(why)) if why.is_about_fleet() => Err(NotTaken::Refused(why)),
                Err(error) => return Err(error),
            };
            unsigned = unsigned.or(change.err());
        }
        match self.pass(state, target, commit, next, bringing) {
            Err(NotTaken::Refused(why)) => Err(unsigned.unwrap_or(NotTaken::Refused(why))),
            passed => passed,
        }
    }

    /// Signed as the present set wants it; and the next set is in a commit that the present one signed. Where there was
    /// none, the first set signs what brings it, or a fleet could lock itself out; but a machine's first commit may be one
    /// that hands over.
    fn pass(
        &mut self,
        state: &State,
        target: &Target,
        commit: &Commit,
        next: Option<&Signers>,
        bringing: &mut Bringing<'_>,
    ) -> Result<(), NotTaken> {
        let is_first = self.signers.is_none() && state.head.is_some();
        self.signs(target, commit, bringing)?;
        self.becomes(target.commit, commit, next)?;
        if is_first { self.signs(target, commit, bringing) } else { Ok(()) }
    }

    fn becomes(&mut self, id: ObjectId, commit: &Commit, next: Option<&Signers>) -> Result<(), NotTaken> {
        if next == self.signers.as_ref() {
            return Ok(());
        }
        // The set itself is in the commit, so a tag isn't enough: whoever comes by later sees commits alone.
        self.signed(&format!("commit {id}"), "commit -S", commit.signed.as_ref())?;
        if let Some(Signers { version, .. }) = next {
            if *version <= self.seen {
                return Err(Refused::SignersVersion { commit: id, version: *version, seen: self.seen }.into());
            }
            self.seen = *version;
        }
        self.signers = next.cloned();
        Ok(())
    }

    /// Whether the target is signed as the present set's policy says.
    fn signs(&self, target: &Target, commit: &Commit, bringing: &mut Bringing<'_>) -> Result<(), NotTaken> {
        let id = target.commit;
        match self.signers.as_ref().map(|signers| signers.require) {
            None => Ok(()),
            Some(Require::Commit) => self.signed(&format!("commit {id}"), "commit -S", commit.signed.as_ref()),
            Some(Require::Tag) => {
                let name = target.tag.ok_or(Refused::Untagged { commit: id })?;
                let content = bringing.one(name, ObjectKind::Tag)?;
                let tag = Tag::parse(&content).map_err(|why| bringing.bad(Some(name), why))?;
                if tag.commit != id {
                    return Err(Refused::TagOf { tag: name, of: tag.commit, commit: id }.into());
                }
                self.signed(&format!("tag {name} of commit {id}"), "tag -s", tag.signed.as_ref())
            }
        }
    }

    fn signed(&self, what: &str, command: &'static str, signed: Option<&(Vec<u8>, String)>) -> Result<(), NotTaken> {
        let Some(Signers { version, keys, .. }) = &self.signers else { return Ok(()) };
        let Some((payload, armored)) = signed else {
            return Err(Refused::Unsigned { what: what.to_owned(), version: *version, command }.into());
        };
        let keys = keys.iter().map(|key| Key::parse(key)).collect::<Result<Vec<Key>, _>>().map_err(Refused::Signer)?;
        let refused = |why: BadSignature| Refused::Signature { what: what.to_owned(), version: *version, why };
        signature::verify(&keys, payload, armored).map_err(refused)?;
        Ok(())
    }
}

/// Those commits of a way, the oldest first, whose fleet.yaml is another one than the commit's before.
fn changes(between: &[Link], bringing: &mut Bringing<'_>) -> Result<Vec<Link>, NotTaken> {
    let (mut changes, mut before, mut needs) = (Vec::new(), None, BTreeMap::new());
    // The newest ones, if there are that many: a set that was changed before them isn't found, and the reason says so.
    let searched = &between[between.len().saturating_sub(SEARCHED_MAX)..];
    for links in searched.chunks(SEARCH_STEP) {
        bringing.lacking(links.iter().map(|link| (link.tree, ObjectKind::Tree)))?;
        for link in links {
            let root = bringing.one(link.tree, ObjectKind::Tree)?;
            let root = Tree::parse(&root).map_err(|why| bringing.bad(Some(link.tree), why))?;
            let file = root.get(FILE).filter(|entry| entry.kind == EntryKind::File).map(|entry| entry.id);
            if let Some(file) = file.filter(|file| before != Some(*file)) {
                needs.extend([(link.id, ObjectKind::Commit), (file, ObjectKind::Blob)]);
                changes.push(*link);
            }
            before = file;
        }
    }
    bringing.lacking(needs)?;
    Ok(changes)
}

/// As a machine remembers them: what people call a key is not the key.
fn signers_of(fleet: &FleetFile) -> Option<Signers> {
    let signers = fleet.spec().signers.as_ref()?;
    let require = match signers.require {
        fleet::Require::Commit => Require::Commit,
        fleet::Require::Tag => Require::Tag,
    };
    let keys = signers.keys.iter().map(fleet::SignerKey::without_comment).collect();
    Some(Signers { version: signers.version.into(), require, keys })
}

/// The object that is meant.
pub(super) fn id_of(commit: &fleet::Commit) -> ObjectId {
    commit.as_str().parse().expect("40 hexadecimal digits name an object")
}
