//! What comes next for one unit, as a function of facts: the frame, and how a unit goes.
//! How a unit comes to run what it should is in [`crate::running`].

use crate::{
    board::Board,
    entry::{Entry, Target},
    id::Time,
    limits::Limits,
    mutant::{self, Mutant},
    order::{Step, Verdict},
    plan::{Next, Why},
    running::Running,
    seen::Record,
    source::Says,
};
use abide_spec::UnitId;
use std::sync::Arc;

/// The answer, and when to ask again though nothing has happened.
pub(crate) type Decision = (Next, Option<Time>);

pub(crate) fn decide(board: &Board, limits: &Limits, now: Time, id: &UnitId, entry: &Entry) -> Decision {
    if entry.orders.flight.is_some() || entry.is_changing() && !mutant::is(Mutant::TrustStaleLooks) {
        return wait(Why::Changing);
    }
    let target = board.target(id, entry);
    let unit = Unit { board, limits, now, id, entry, record: &entry.record };
    if !entry.orders.doubts.is_empty() && !mutant::is(Mutant::ForgetDoubt) {
        return unit.unless_failed(target, Step::Fence);
    }
    let decision = match target {
        Target::Run { .. } if entry.retry => unit.retry(),
        Target::Run { want, wish, source } => Running { unit, want, wish, source }.next(),
        Target::Leave => unit.leave(),
        Target::Undecided => unit.stay(),
    };
    match decision {
        (Next::Step(step), _) => unit.unless_failed(target, step),
        decision => decision,
    }
}

pub(crate) fn wait(why: Why) -> Decision {
    (Next::Wait(why), None)
}

pub(crate) fn wait_until(at: Time, why: Why) -> Decision {
    (Next::Wait(why), Some(at))
}

pub(crate) fn step(step: Step) -> Decision {
    (Next::Step(step), None)
}

#[derive(Clone, Copy)]
pub(crate) struct Unit<'a> {
    pub(crate) board: &'a Board,
    pub(crate) limits: &'a Limits,
    pub(crate) now: Time,
    pub(crate) id: &'a UnitId,
    pub(crate) entry: &'a Entry,
    pub(crate) record: &'a Record,
}

impl<'a> Unit<'a> {
    fn unless_failed(self, target: Target<'_>, next: Step) -> Decision {
        let version = target.want().map(|want| want.digest);
        let trouble = self.entry.orders.trouble.as_ref().filter(|trouble| trouble.version == version);
        match trouble {
            Some(trouble) if trouble.is_final => wait(Why::Broken(Arc::clone(&trouble.why))),
            Some(trouble) if self.now < trouble.not_before => {
                let (failures, at, why) = (trouble.failures, trouble.not_before, Arc::clone(&trouble.why));
                wait_until(at, Why::Retry { failures, at, why })
            }
            _ => step(next),
        }
    }

    /// A person wants it tried again: the tombstones go, and with them the back-off; then the verdicts.
    fn retry(self) -> Decision {
        match self.record.exited().next() {
            Some(dead) => step(Step::Stop { instance: dead.instance }),
            None => step(Step::Mark(Verdict::Retry)),
        }
    }

    /// Nobody who may decide does at the moment: whatever is there is left alone.
    fn stay(self) -> Decision {
        let Some(owner) = &self.record.owner else { return (Next::Settled, None) };
        let source = owner.source.clone();
        let says = self.board.sources.get(&source).map(|source| &source.says);
        match says {
            Some(Says::Complete) => wait(Why::Permission(source)),
            // Given up by its owner: it runs on, and that is all.
            Some(Says::Withdrawn) => (Next::Settled, None),
            _ => wait(Why::OwnerSilent(source)),
        }
    }

    fn leave(self) -> Decision {
        if let Some(user) = self.leaving_user() {
            return wait(Why::UsedBy(user.clone()));
        }
        if let Some(seen) = self.record.instances.first() {
            return step(Step::Stop { instance: seen.instance });
        }
        if *self.record == Record::default() {
            return (Next::Settled, None);
        }
        let source = self.record.owner.as_ref().and_then(|owner| self.board.sources.get(&owner.source));
        let reclaim = source.and_then(|source| source.accepted.removals.get(self.id)).copied();
        step(Step::Forget { reclaim: reclaim.unwrap_or_default() })
    }

    /// A unit that stands on this one and is wanted no more goes first, also while its own removal is held. One that is
    /// wanted does not hold this one back: what it stands on is an old instance, and it might wait for ever to be replaced.
    fn leaving_user(self) -> Option<&'a UnitId> {
        let holds_back = |user: &&UnitId| {
            self.board.units.get(*user).is_some_and(|entry| {
                let leaves = entry.wish.is_none() || mutant::is(Mutant::StayingUserBlocks);
                leaves && entry.stands_on().any(|need| need == self.id)
            })
        };
        let found = self.entry.users.iter().find(holds_back);
        found.filter(|_| !mutant::is(Mutant::StopAnyOrder))
    }
}
