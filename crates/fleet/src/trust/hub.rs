//! The hub, as a machine asks it. Nothing that it answers is believed; and what comes from it is bounded.

use super::{
    object::{self, word},
    objects::{Objects, PutError},
    refused::{NotTaken, Refused},
};
use crate::protocol::{Frame, OBJECTS_MAX, ObjectId, ObjectKind, Refusal, RefusalCode};
use abide_reconcile::{Attend, Progress};
use std::collections::BTreeMap;

/// Bytes that are brought for one target: what Git mode reads of a commit.
const BYTES_MAX: usize = 512 << 20;

/// Bytes of objects that are brought before it is known whether the target may be taken: they stay in memory until then.
pub(super) const JUDGED_BYTES_MAX: usize = 64 << 20;

/// Objects that are brought for one target.
const COUNT_MAX: usize = 500_000;

/// Why the hub doesn't answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    /// It can't be asked, or its answer can't be read.
    #[error("{0}")]
    Unreachable(String),
    /// It says no.
    #[error("the hub says: {}", .0.message)]
    Refused(Refusal),
}

/// Whom to ask for commits and objects. Calls block.
pub trait Hub {
    /// Commits from `to` on, each a parent of the one before, up to a child of `from`; or the first of them, if they are
    /// too many for one answer.
    fn chain(&self, from: ObjectId, to: ObjectId) -> Result<Vec<Frame>, HubError>;

    /// What there is of these objects, in the order asked for; at least one, if there is one.
    fn objects(&self, want: &[ObjectId]) -> Result<Vec<Frame>, HubError>;
}

/// Brings objects for one target, and asks for nothing that is here.
pub(super) struct Bringing<'a> {
    pub(super) objects: &'a mut Objects,
    pub(super) hub: &'a dyn Hub,
    pub(super) attend: &'a dyn Attend,
    /// For which commit.
    pub(super) commit: ObjectId,
    bytes: usize,
    count: usize,
    /// Bytes of objects that may still come.
    room: usize,
}

impl<'a> Bringing<'a> {
    pub(super) fn new(
        objects: &'a mut Objects,
        hub: &'a dyn Hub,
        attend: &'a dyn Attend,
        commit: ObjectId,
    ) -> Bringing<'a> {
        Self { objects, hub, attend, commit, bytes: 0, count: 0, room: BYTES_MAX }
    }

    /// For a target that is to be judged.
    pub(super) fn for_judging(self) -> Self {
        Self { room: JUDGED_BYTES_MAX, ..self }
    }

    /// The content of one object of that kind.
    pub(super) fn one(&mut self, id: ObjectId, kind: ObjectKind) -> Result<Vec<u8>, NotTaken> {
        if self.objects.read(id).is_none() {
            self.all(&BTreeMap::from([(id, kind)]))?;
        }
        match self.objects.read(id) {
            Some(frame) if frame.kind == kind => Ok(frame.content),
            Some(frame) => Err(self.wrong(id, kind, frame.kind)),
            None => Err(NotTaken::Incomplete { missing: id, commit: self.commit }),
        }
    }

    /// Brings those of these that are not here.
    pub(super) fn lacking(&mut self, want: impl IntoIterator<Item = (ObjectId, ObjectKind)>) -> Result<(), NotTaken> {
        self.all(&want.into_iter().filter(|(id, _)| !self.objects.has(*id)).collect())
    }

    /// Brings all of these. What came before something is wrong is kept, so that it isn't asked for again.
    pub(super) fn all(&mut self, want: &BTreeMap<ObjectId, ObjectKind>) -> Result<(), NotTaken> {
        let mut left: BTreeMap<ObjectId, ObjectKind> = want.clone();
        while !left.is_empty() {
            self.glance(want.len() - left.len(), want.len())?;
            let ask: Vec<ObjectId> = left.keys().take(OBJECTS_MAX).copied().collect();
            let answer = match self.hub.objects(&ask) {
                Err(HubError::Refused(refusal)) if refusal.code == RefusalCode::Missing => Vec::new(),
                answer => answer?,
            };
            let before = left.len();
            for frame in answer {
                self.take(frame, &mut left)?;
            }
            if left.len() == before {
                return Err(NotTaken::Incomplete { missing: ask[0], commit: self.commit });
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame, left: &mut BTreeMap<ObjectId, ObjectKind>) -> Result<(), NotTaken> {
        let id = object::name(&frame).map_err(|why| self.bad(None, why))?;
        let Some(wanted) = left.remove(&id) else {
            return Err(Refused::Unasked { commit: self.commit, kind: word(frame.kind), id }.into());
        };
        if wanted != frame.kind {
            return Err(self.wrong(id, wanted, frame.kind));
        }
        self.account(frame.content.len())?;
        self.room = self.room.checked_sub(frame.content.len()).ok_or_else(|| {
            let what = format!("more than {} MiB to tell whether it may be taken", JUDGED_BYTES_MAX >> 20);
            Refused::TooMuch { commit: self.commit, what }
        })?;
        match self.objects.put(frame) {
            Ok(_) => Ok(()),
            Err(PutError::Bad(why)) => Err(self.bad(Some(id), why)),
            Err(PutError::Objects(error)) => Err(error.into()),
        }
    }

    /// Counts what came, also what isn't kept.
    pub(super) fn account(&mut self, bytes: usize) -> Result<(), NotTaken> {
        self.bytes += bytes;
        self.count += 1;
        if self.bytes > BYTES_MAX || self.count > COUNT_MAX {
            let text = format!("more than {} MiB or {COUNT_MAX} objects", BYTES_MAX >> 20);
            return Err(Refused::TooMuch { commit: self.commit, what: text }.into());
        }
        Ok(())
    }

    /// Says how far it is, and ends it if nobody waits any more.
    pub(super) fn glance(&self, done: usize, total: usize) -> Result<(), NotTaken> {
        let what = format!("bringing what commit {:.12} needs", self.commit.to_string());
        self.attend.progress(Progress { what: what.into(), done: done as u64, total: Some(total as u64) });
        if self.attend.is_cancelled() { Err(NotTaken::Cancelled) } else { Ok(()) }
    }

    pub(super) fn bad(&self, id: Option<ObjectId>, why: object::BadObject) -> NotTaken {
        Refused::Object { commit: self.commit, id, why }.into()
    }

    pub(super) fn wrong(&self, id: ObjectId, wanted: ObjectKind, found: ObjectKind) -> NotTaken {
        self.bad(Some(id), object::BadObject::Kind { wanted: word(wanted), found: word(found) })
    }
}
