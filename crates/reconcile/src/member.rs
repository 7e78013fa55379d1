//! What counts of a member of a group: by its wish and what is known of it, and by no other unit.

use crate::{
    entry::Entry,
    group::Group,
    id::Time,
    limits::Limits,
    mutant::{self, Mutant},
    order::Step,
    seen::{Phase, Record, Role, Seen},
    want::Want,
};
use std::sync::Arc;

/// One member, as its group counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) standing: Standing,
    pub(crate) stage: Stage,
}

/// Whether it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does, and nothing was ordered that might end that.
    Available,
    /// It doesn't, or something was ordered, or it has yet to prove that it does. It may be available at any moment.
    Coming,
    /// It doesn't, and won't by itself.
    Broken,
    /// Out of reach.
    Away,
    /// It doesn't, and never proved that it does: nobody misses it.
    Absent,
}

/// How far it is with the version that is wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It doesn't have it.
    Before,
    /// It has it, and it is on the way.
    Taken,
    /// It has been ready with it for the soak time.
    Soaked,
    /// It is marked good: its wave had passed.
    Proved,
    /// It is marked bad; or it would be, if there were a version to go back to.
    Bad,
}

impl Member {
    /// What is taken for granted of a member before it is counted: its wave waits for it.
    pub(crate) const UNCOUNTED: Self = Self { standing: Standing::Available, stage: Stage::Before };

    pub(crate) fn of(entry: &Entry, wish: &Arc<Want>, rule: &Group, limits: &Limits) -> Self {
        Self { standing: Standing::of(entry, rule, limits), stage: Stage::of(entry, wish, rule, limits) }
    }

    /// Its wave waits for it.
    pub(crate) fn is_pending(self) -> bool {
        self.standing != Standing::Away && matches!(self.stage, Stage::Before | Stage::Taken)
    }

    /// Looks at it, and time, can't change how it counts: only news can.
    pub(crate) fn is_at_rest(self) -> bool {
        self.standing == Standing::Available && matches!(self.stage, Stage::Proved | Stage::Bad)
    }
}

impl Standing {
    fn of(entry: &Entry, rule: &Group, limits: &Limits) -> Self {
        let record = &entry.record;
        if entry.orders.steps().any(|step| is_felt(step, record)) {
            return Self::Coming;
        }
        if mutant::is(Mutant::BudgetInFlightOnly) {
            return Self::Available;
        }
        if record.live().any(|seen| matches!(seen.phase, Phase::Away { .. })) {
            return if mutant::is(Mutant::AwayIsAvailable) { Self::Available } else { Self::Away };
        }
        // Those that no version ever worked on would take the places of who gets the fix.
        let broken = if record.good.is_some() { Self::Broken } else { Self::Absent };
        if record.live().next().is_none() {
            return if record.completed.is_some() { Self::Available } else { broken };
        }
        match record.serving() {
            Some(seen) if is_trusted(entry, seen, limits) => Self::Available,
            None if record.live().all(|seen| is_late(entry, seen, rule)) => broken,
            _ => Self::Coming,
        }
    }
}

/// What serves has proved itself, and no other instance is about to take over.
fn is_trusted(entry: &Entry, seen: &Seen, limits: &Limits) -> bool {
    let Entry { record, seen_at, .. } = entry;
    let is_good = record.good.as_ref().is_some_and(|good| good.digest == seen.want.digest);
    let is_proven = seen.ready_since().is_some_and(|ready| *seen_at >= ready + limits.proof_of(&seen.want));
    (is_good || is_proven) && record.live().all(|other| other.role != Role::Candidate)
}

/// When time alone may change how it stands: it will have proved itself, or had its time. Somebody has to look then.
pub(crate) fn turns_at(entry: &Entry, rule: &Group, limits: &Limits) -> Option<Time> {
    let turns = |seen: &Seen| match seen.phase {
        Phase::Running { ready: Some(ready), .. } => Some(ready + limits.proof_of(&seen.want)),
        Phase::Running { started, ready: None, .. } => Some(started + rule.ready_within(&seen.want)),
        Phase::Exited { .. } | Phase::Away { .. } => None,
    };
    entry.record.live().filter_map(turns).filter(|at| entry.seen_at < *at).min()
}

/// It had its time to become ready.
fn is_late(entry: &Entry, seen: &Seen, rule: &Group) -> bool {
    match seen.phase {
        Phase::Running { started, ready: None, .. } => entry.seen_at >= started + rule.ready_within(&seen.want),
        _ => false,
    }
}

impl Stage {
    fn of(entry: &Entry, wish: &Arc<Want>, rule: &Group, limits: &Limits) -> Self {
        let record = &entry.record;
        if is_bad(record, wish) {
            return Self::Bad;
        }
        if record.good.as_ref().is_some_and(|good| good.digest == wish.digest) || record.has_completed(wish) {
            return Self::Proved;
        }
        let soak = rule.soak.max(limits.proof_of(wish));
        let is_soaked = record.serving().is_some_and(|seen| {
            let is_ready = seen.ready_since().is_some_and(|ready| {
                entry.seen_at >= if mutant::is(Mutant::SoakIgnored) { ready } else { ready + soak }
            });
            seen.want.digest == wish.digest && is_ready
        });
        if record.good.is_none() && has_failed(entry, wish, rule, limits) {
            return Self::Bad;
        }
        match record.has(wish.digest) {
            true if is_soaked && !entry.orders.steps().any(|step| is_felt(step, record)) => Self::Soaked,
            true => Self::Taken,
            false => Self::Before,
        }
    }
}

fn is_bad(record: &Record, wish: &Arc<Want>) -> bool {
    let is_remembered = !mutant::is(Mutant::ForgetBadWave) || record.has(wish.digest);
    is_remembered && record.target(wish).digest != wish.digest
}

/// It had its time, or its tries. Without a way back that leaves no mark: it may come to work yet.
fn has_failed(entry: &Entry, wish: &Want, rule: &Group, limits: &Limits) -> bool {
    let of_wish = entry.record.instances.iter().filter(|seen| seen.want.digest == wish.digest);
    of_wish.max_by_key(|seen| seen.instance).is_some_and(|seen| match seen.phase {
        Phase::Exited { code, .. } => seen.attempt + 1 >= limits.tries_max && !wish.is_completed_by(code),
        Phase::Running { .. } => is_late(entry, seen, rule),
        Phase::Away { .. } => false,
    })
}

/// Users of the unit may feel the step.
fn is_felt(step: &Step, record: &Record) -> bool {
    match step {
        Step::Start { .. } | Step::Activate { .. } | Step::Update { .. } => true,
        Step::Stop { instance } | Step::Kill { instance } => {
            record.serving().is_none_or(|serving| serving.instance == *instance)
        }
        Step::Prepare { .. } | Step::Mark(_) | Step::Adopt(_) | Step::Forget { .. } | Step::Fence => false,
    }
}

/// The step is the first by which a unit that serves, or may at any moment, gets from what it has to `target`.
pub(crate) fn begins_change(step: &Step, record: &Record, target: &Want) -> bool {
    let replaces = record.live().next().is_some() && record.current(target.digest).is_none();
    match step {
        Step::Update { .. } | Step::Start { .. } => replaces,
        Step::Stop { instance } => {
            replaces && record.live().any(|seen| seen.instance == *instance && seen.role == Role::Active)
        }
        _ => false,
    }
}

/// What a member keeps while it may not have the version that is wished: what lives of it, if that isn't known to be bad,
/// else its last good version, else what it had last. Nothing of it means: nothing.
pub(crate) fn kept<'a>(record: &'a Record, wish: &'a Arc<Want>) -> Option<&'a Arc<Want>> {
    let taken = record.instances.iter().find(|seen| seen.want.digest == wish.digest);
    let last = || record.exited().max_by_key(|seen| seen.instance);
    let seen = taken.map(|seen| &**seen).or_else(|| record.standing());
    let lives = seen.map(|seen| record.target(&seen.want)).or(record.good.as_ref());
    lives.or_else(|| last().map(|seen| &seen.want))
}
