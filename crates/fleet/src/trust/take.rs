//! A target → what the machine runs, or why it doesn't.

use super::{
    age::Identity,
    hub::{Bringing, Hub},
    judge::{self, Judged, Way},
    object::{Commit, Tree},
    objects::{self, Full, Objects, ObjectsError, oid},
    refused::{NotTaken, Refused},
    state::{Head, Signers, State},
    unjudged,
    walk::{Walk, WalkError},
};
use crate::protocol::{ObjectId, ObjectKind, Target};
use abide_git::{Snapshot, revision::revise_folders};
use abide_reconcile::{Attend, Revision, Wish};
use abide_spec::{Context, Name, Scope, fleet::FleetFile, kind::Grants};
use std::{collections::BTreeSet, path::PathBuf};

/// Commits whose objects are kept.
const KEPT: usize = 16;

/// Whose trust it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The source's state directory, which exists.
    pub directory: PathBuf,
    /// The scope of its units.
    pub scope: Scope,
    /// What its documents may ask for.
    pub grants: Grants,
    /// The machine's certified name: what of the tree is for it.
    pub name: Name,
    /// The fleet's identity, pinned at enrolment.
    pub fleet: String,
    /// What opens the values that are sealed for it.
    pub identity: Identity,
    /// Who must sign the first commit, if the owner says so.
    pub signers: Option<Signers>,
}

/// What a machine trusts: what it remembers, and the objects it has.
pub struct Trust {
    settings: Settings,
    state: State,
    objects: Objects,
}

/// A commit that is the machine's now, or is read again.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Which.
    pub commit: ObjectId,
    /// When it was committed: seconds since 1970, by the committer's clock.
    pub committed_at: i64,
    /// The first line of its message.
    pub summary: String,
    /// The folders that are for this machine.
    pub paths: BTreeSet<String>,
    /// What it says. If it is refused, nothing was taken.
    pub revision: Revision,
}

impl Trust {
    /// Opens what the machine has.
    pub fn open(settings: Settings) -> Result<Self, NotTaken> {
        let state = State::open(&settings.directory, &settings.fleet, settings.signers.clone())?;
        let objects = Objects::open(&settings.directory)?;
        Ok(Self { settings, state, objects })
    }

    /// Opens what the machine has to read of it again, while it may be taking something: nothing of that is touched.
    pub fn to_reopen(settings: Settings) -> Result<Self, NotTaken> {
        let state = State::open(&settings.directory, &settings.fleet, settings.signers.clone())?;
        let objects = Objects::to_read(&settings.directory)?;
        Ok(Self { settings, state, objects })
    }

    /// What the machine remembers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes a target, if it may be taken: judges it, brings all that the machine needs of it, and reads that. Only then,
    /// and only if the machine can use it, it is remembered, before this returns.
    pub fn take(&mut self, target: &Target, hub: &dyn Hub, attend: &dyn Attend) -> Result<Taken, NotTaken> {
        self.make_room();
        let judged = self.judge(target, hub, attend)?;
        let mut bringing = Bringing::new(&mut self.objects, hub, attend, target.commit);
        let brought = bring(&mut bringing, judged.commit.tree, &paths(&judged.fleet, &self.settings.name));
        // What came of a commit that may be taken is kept also if not all did, for the next try.
        self.objects.flush()?;
        unjudged::remove(&self.settings.directory);
        brought?;
        let taken = self.read(target.commit, &judged.commit, &judged.fleet)?;
        if matches!(taken.revision.wish, Wish::Complete(_)) {
            self.remember(target, judged)?;
        }
        Ok(taken)
    }

    /// Whether the target may be taken. What came of one that may not is kept nowhere, or whoever says targets could fill
    /// the disk with them; of one that can't be judged yet, aside.
    fn judge(&mut self, target: &Target, hub: &dyn Hub, attend: &dyn Attend) -> Result<Judged, NotTaken> {
        let directory = &self.settings.directory;
        self.objects.hold();
        for frame in unjudged::read(directory, target.commit) {
            // One that is damaged comes again.
            drop(self.objects.put(frame));
        }
        let mut bringing = Bringing::new(&mut self.objects, hub, attend, target.commit).for_judging();
        let judged = judge::judge(&self.state, target, &mut bringing);
        match &judged {
            Ok(_) => self.objects.release(),
            Err(NotTaken::Refused(_) | NotTaken::Earlier { .. } | NotTaken::Cancelled) => {
                self.objects.discard();
                unjudged::remove(directory);
            }
            Err(_) => {
                let kept = unjudged::write(directory, target.commit, self.objects.pending());
                self.objects.discard();
                if let Err(error) = kept {
                    tracing::warn!(%error, "what came for a target can't be kept for the next try");
                }
            }
        }
        judged
    }

    /// Sees to it that what was brought and never taken doesn't become more and more. That it can't be is no reason to take
    /// nothing: what comes next may be what makes room.
    fn make_room(&mut self) {
        let made = match self.objects.is_full(objects::UNNEEDED_BYTES_MAX) {
            Ok(None) => Ok(()),
            Ok(Some(Full::Bytes)) => self.forget(),
            Ok(Some(Full::Packs)) => self.objects.pack(),
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            tracing::warn!(%error, "the objects of commits that are over take room, and can't be removed now");
        }
    }

    /// Reads a commit that it took earlier again: without a hub, whatever the clock says.
    pub fn reopen(&self, commit: ObjectId) -> Result<Taken, NotTaken> {
        let mut walk = self.walk(commit)?;
        let missing = walk.walk.go(&self.objects, &|| false).map_err(|error| unusable(commit, error))?;
        if let Some(missing) = missing.keys().next() {
            return Err(NotTaken::Incomplete { missing: *missing, commit });
        }
        self.read(commit, &walk.commit, &walk.fleet)
    }

    fn remember(&mut self, target: &Target, judged: Judged) -> Result<(), NotTaken> {
        let Target { number, commit, .. } = *target;
        let mut state = self.state.clone();
        match judged.way {
            Way::Forward { signers, signers_version } => {
                let floor = judged.fleet.spec().floor.as_ref().map(judge::id_of);
                state.head = Some(Head { commit, floor });
                (state.signers, state.signers_version) = (signers, signers_version);
                state.went_on(number, commit);
            }
            Way::Back => state.went_back(number, commit),
        }
        if state != self.state {
            state.write(&self.settings.directory)?;
            self.state = state;
        }
        // It is taken, whatever becomes of what it takes the place of.
        let forgotten =
            self.objects.packs().and_then(|packs| if packs > objects::PACKS_MAX { self.forget() } else { Ok(()) });
        if let Err(error) = forgotten {
            tracing::warn!(%error, "the objects of commits that are over can't be removed now");
        }
        Ok(())
    }

    /// Keeps what the last commits need, and no more.
    fn forget(&mut self) -> Result<(), ObjectsError> {
        let head = self.state.head.as_ref().map(|head| head.commit);
        let mut keep = BTreeSet::new();
        for commit in head.into_iter().chain(self.state.ran.iter().take(KEPT).copied()) {
            // One that isn't whole any more is had again when it is wanted.
            if let Ok(mut walk) = self.walk(commit)
                && walk.walk.go(&self.objects, &|| false).is_ok()
            {
                keep.extend(walk.above);
                keep.extend(walk.walk.into_needs());
            }
        }
        self.objects.retain(&keep)
    }

    /// Over what the machine needs of a commit, as far as it is here.
    fn walk(&self, id: ObjectId) -> Result<Walking, NotTaken> {
        let content = |missing: ObjectId, kind: ObjectKind| {
            let frame = self.objects.read(missing).filter(|frame| frame.kind == kind);
            frame.map(|frame| frame.content).ok_or(NotTaken::Incomplete { missing, commit: id })
        };
        let bad = |object, why| Refused::Object { commit: id, id: Some(object), why };
        let commit = Commit::parse(&content(id, ObjectKind::Commit)?).map_err(|why| bad(id, why))?;
        let root = Tree::parse(&content(commit.tree, ObjectKind::Tree)?).map_err(|why| bad(commit.tree, why))?;
        let file = judge::file_of(id, &root)?;
        let fleet = judge::fleet_of(&self.state, id, &content(file, ObjectKind::Blob)?)?;
        let walk = Walk::new(commit.tree, &paths(&fleet, &self.settings.name));
        Ok(Walking { commit, fleet, walk, above: [id, file] })
    }

    /// What a commit that is all here says.
    fn read(&self, id: ObjectId, commit: &Commit, fleet: &FleetFile) -> Result<Taken, NotTaken> {
        let Settings { scope, grants, name, identity, .. } = &self.settings;
        let repository = self.objects.repository()?;
        let paths = paths(fleet, name);
        let context = Context::sealed(scope, grants, Some(identity));
        let documents = |snapshot: &Snapshot| fleet.documents_of(name, snapshot, context);
        let revision = revise_folders(repository, oid(id), &paths, documents)?;
        let Commit { committed_at, summary, .. } = commit.clone();
        Ok(Taken { commit: id, committed_at, summary, paths, revision })
    }
}

/// A walk over what the machine needs of a commit.
struct Walking {
    commit: Commit,
    fleet: FleetFile,
    walk: Walk,
    /// What it needs beside the walk: the commit, and fleet.yaml.
    above: [ObjectId; 2],
}

fn paths(fleet: &FleetFile, name: &Name) -> BTreeSet<String> {
    fleet.spec().content_of(name).paths
}

/// Brings all that is in these folders, level by level.
fn bring(bringing: &mut Bringing<'_>, tree: ObjectId, paths: &BTreeSet<String>) -> Result<(), NotTaken> {
    let mut walk = Walk::new(tree, paths);
    loop {
        let is_cancelled = || bringing.attend.is_cancelled();
        let missing = walk.go(bringing.objects, &is_cancelled).map_err(|error| unusable(bringing.commit, error))?;
        if missing.is_empty() {
            return Ok(());
        }
        bringing.all(missing)?;
    }
}

fn unusable(commit: ObjectId, error: WalkError) -> NotTaken {
    match error {
        WalkError::TooMuch(what) => Refused::TooMuch { commit, what }.into(),
        WalkError::Object(id, why) => Refused::Object { commit, id: Some(id), why }.into(),
        WalkError::Cancelled => NotTaken::Cancelled,
    }
}
