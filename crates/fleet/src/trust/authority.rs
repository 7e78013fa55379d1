//! Who may sign: the set of the head's tree, and along a chain each set that the one before it signed for. Where there is no
//! head yet, the set of the first commit's own tree.

use super::{
    chain::Link,
    hub::Bringing,
    judge::{file_of, read},
    object::{Commit, Tag, Tree},
    refused::{NotTaken, Refused},
    signature::{self, BadSignature, Key},
    state::{Require, Signers, State},
};
use crate::protocol::{ObjectId, ObjectKind, Target};
use abide_spec::fleet::FleetFile;
use std::collections::{BTreeMap, BTreeSet};

/// Commits whose signers are looked at where the hub doesn't say which ones changed them.
const SEARCHED_MAX: usize = 10_000;

/// Folders asked for at once on that search.
const SEARCH_STEP: usize = 500;

/// Who may sign, and the highest version of any set so far.
#[derive(Clone)]
pub(super) struct Authority {
    pub(super) signers: Option<Signers>,
    pub(super) seen: u64,
}

impl Authority {
    /// The same of a first commit, where no owner said who must sign it: those whom its own tree names, as a set that can't
    /// sign what brings it couldn't sign what follows, either; or those of a commit right before it, who hand over to them.
    ///
    /// Who lies can make up all of that. It is there for mistakes.
    pub(super) fn begin(
        state: &State,
        target: &Target,
        commit: &Commit,
        own: Option<&Signers>,
        bringing: &mut Bringing<'_>,
    ) -> Result<Self, NotTaken> {
        let Some(own) = own else { return Ok(Self { signers: None, seen: 0 }) };
        let named = Self { signers: Some(own.clone()), seen: own.version };
        let why = match named.signs(target, commit, bringing) {
            Ok(()) => return Ok(named),
            Err(NotTaken::Refused(why)) => why,
            Err(error) => return Err(error),
        };
        for parent in &commit.parents {
            let before = match read(state, *parent, bringing) {
                Ok((_, fleet)) => signers_of(&fleet),
                Err(NotTaken::Refused(why)) if why.is_about_fleet() => None,
                Err(error) => return Err(error),
            };
            let Some(before) = before else { continue };
            let mut handing = Self { seen: before.version, signers: Some(before) };
            match handing.pass(target, commit, Some(own), bringing) {
                Ok(()) => return Ok(handing),
                Err(NotTaken::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(NotTaken::Refused(why))
    }

    /// Whether those who may sign do so for the commit, and who may sign after it. `between` are the commits on the way to
    /// it, the oldest first.
    pub(super) fn admit(
        &mut self,
        state: &State,
        target: &Target,
        commit: &Commit,
        next: Option<&Signers>,
        between: &[Link],
        bringing: &mut Bringing<'_>,
    ) -> Result<(), NotTaken> {
        let told: BTreeSet<&ObjectId> = target.rotations.iter().collect();
        let told: Vec<Link> = between.iter().filter(|link| told.contains(&link.id)).copied().collect();
        if told.is_empty() && next == self.signers.as_ref() {
            return self.signs(target, commit, bringing);
        }
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
        match self.pass(target, commit, next, bringing) {
            Err(NotTaken::Refused(why)) => Err(unsigned.unwrap_or(NotTaken::Refused(why))),
            passed => passed,
        }
    }

    /// Signed as the present set wants it; and the next set is in a commit that the present one signed. Where there was
    /// none, the first set signs what brings it, or a fleet could lock itself out.
    fn pass(
        &mut self,
        target: &Target,
        commit: &Commit,
        next: Option<&Signers>,
        bringing: &mut Bringing<'_>,
    ) -> Result<(), NotTaken> {
        let is_first = self.signers.is_none();
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
            let file = file_of(link.id, &root).ok();
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

/// As a machine remembers them.
pub(super) fn signers_of(fleet: &FleetFile) -> Option<Signers> {
    fleet.spec().signers.as_ref().map(Signers::from)
}
