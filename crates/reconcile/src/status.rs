//! How things are: derived from what the core knows, never stored. True as of the last [`Reconciler::poll`].
//!
//! | state of a unit | when |
//! |---|---|
//! | settled | it is as wished, and ready or completed |
//! | changing | an order for it is under way or next, or it has yet to prove itself |
//! | waiting | for other units, for its probe, for its turn in a group, for the next try |
//! | held | its removal waits for a person |
//! | failed | it was given up until it changes, or taken back to the last good version, or its group was stopped |

use crate::{
    entry::{Entry, Flight, Target},
    guard::Held,
    id::{InstanceId, SourceId, Time},
    order::Step,
    plan::{Next, Why},
    progress::GroupStatus,
    reconciler::Reconciler,
    seen::{Phase, Role, Seen},
    source::{Says, Source},
};
use abide_spec::{Digest, UnitId};
use std::{collections::BTreeSet, sync::Arc};

/// Everything as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Nothing to do, nothing to wait for.
    pub settled: bool,
    /// All sources, by name.
    pub sources: Vec<SourceStatus>,
    /// All units, by scope, kind and name.
    pub units: Vec<UnitStatus>,
    /// All groups, by source and name.
    pub groups: Vec<GroupStatus>,
}

/// A source as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Which.
    pub id: SourceId,
    /// Of the newest wish that was heard, in force or not.
    pub generation: u64,
    /// The wish in force: its generation and digest.
    pub in_force: Option<(u64, Digest)>,
    /// What becomes of the newest wish.
    pub state: SourceState,
    /// The state in words; empty where there is nothing to say.
    pub message: String,
    /// Units that run their last good version instead: the wish is partly in force.
    pub taken_back: Vec<UnitId>,
    /// It was heard, nothing of it is held, and all of its units are settled.
    pub settled: bool,
}

/// What becomes of the newest wish of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It has not been heard since the agent started: what it owns is left alone.
    Silent,
    /// It is in force, or will be as soon as it is written.
    Following,
    /// It is broken; the last complete one stays in force.
    Refused(Arc<str>),
    /// It comes into force, or what turned up late goes, when somebody permits it.
    Held(Held),
    /// The source is given up: what it owned runs on.
    Withdrawn,
}

/// A unit as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitStatus {
    /// Which.
    pub id: UnitId,
    /// In one word.
    pub state: UnitState,
    /// It serves, or it has completed.
    pub ready: bool,
    /// Why nothing is done about it at the moment, if it isn't as wished.
    pub waiting: Option<Why>,
    /// Its state in words; empty where there is nothing to say.
    pub message: String,
    /// How often its version was started again after an exit, since it last proved itself.
    pub restarts: u32,
    /// All there is of it, the oldest first.
    pub instances: Vec<InstanceStatus>,
    /// Who may prune it.
    pub owner: Option<SourceId>,
    /// Who wishes it; else who may prune it.
    pub source: Option<SourceId>,
    /// The version that is wished; none where it is to go.
    pub wanted: Option<Digest>,
    /// What serves is that version, though it may have yet to prove itself.
    pub serves_wanted: bool,
    /// That version is bad: the last good one is to run instead.
    pub taken_back: bool,
}

/// A unit's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the module's table says when")]
pub enum UnitState {
    Settled,
    Changing,
    Waiting,
    Held,
    Failed,
}

/// An instance as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Which.
    pub instance: InstanceId,
    /// Whether it serves.
    pub role: Role,
    /// What it does.
    pub activity: Activity,
}

/// What an instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Its start was ordered, and it was not seen yet.
    Starting,
    /// It runs, and may be ready.
    Running {
        /// Whether it is.
        ready: bool,
    },
    /// Its stop was ordered.
    Stopping,
    /// It ended with this code; 128 + n for signal n.
    Exited(i32),
    /// Out of reach.
    Away,
}

/// What has become of a source's newest wish, for who follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not decided yet.
    Pending,
    /// It is in force, and every unit is as wished and ready or completed.
    Settled,
    /// It is in force, but these units were taken back or given up, and nothing is in motion any more.
    Failed(Vec<(UnitId, Why)>),
    /// It comes into force, or what turned up late goes, when somebody permits it.
    Held(Held),
    /// It is broken, and not in force.
    Refused(Arc<str>),
    /// The source was given up.
    Withdrawn,
}

impl Reconciler {
    /// Everything as it is. Costs all units and sources.
    pub fn status(&self, now: Time) -> Status {
        let units = self.board.units.iter().filter(|(_, entry)| entry.is_something());
        Status {
            settled: self.is_settled(),
            sources: self.board.sources.iter().map(|(id, source)| self.source(id, source)).collect(),
            units: units.map(|(id, entry)| self.unit(now, id, entry)).collect(),
            groups: self.groups(),
        }
    }

    /// A unit as it is, if there is anything to know of it. Costs that unit.
    pub fn unit_status(&self, now: Time, id: &UnitId) -> Option<UnitStatus> {
        let entry = self.board.units.get(id).filter(|entry| entry.is_something());
        entry.map(|entry| self.unit(now, id, entry))
    }

    /// Who wishes a unit; else who may prune it.
    pub fn source_of(&self, unit: &UnitId) -> Option<&SourceId> {
        self.board.units.get(unit)?.source()
    }

    /// All units of a source: what it wishes, and what it owns though it doesn't. Costs all units.
    pub fn of_source(&self, source: &SourceId) -> BTreeSet<UnitId> {
        let is_its = |(_, entry): &(&UnitId, &Entry)| entry.source() == Some(source);
        self.board.units.iter().filter(is_its).map(|(unit, _)| unit.clone()).collect()
    }

    /// A source as it is, if it was ever heard of. Costs its units.
    pub fn source_status(&self, id: &SourceId) -> Option<SourceStatus> {
        self.board.sources.get(id).map(|source| self.source(id, source))
    }

    /// Whether the source was heard, nothing of it is held, and all of its units are settled. Costs its units.
    pub fn source_is_settled(&self, id: &SourceId) -> bool {
        self.board.sources.get(id).is_some_and(|source| self.is_done(id, source))
    }

    /// What has become of the source's newest wish, of which [`SourceStatus::generation`] tells the number. Costs its units.
    pub fn source_outcome(&self, id: &SourceId) -> Outcome {
        let Some(source) = self.board.sources.get(id) else { return Outcome::Pending };
        match &source.says {
            Says::Refused(why) => return Outcome::Refused(Arc::clone(why)),
            Says::Withdrawn => return Outcome::Withdrawn,
            Says::Unknown => return Outcome::Pending,
            Says::Complete => {}
        }
        if !self.is_up_to_date() || source.accepting.is_some() {
            return Outcome::Pending;
        }
        if let Some((_, held)) = self.asks(id, source) {
            return Outcome::Held(held);
        }
        let mut failed = Vec::new();
        let mut is_settled = source.held.is_none();
        for (unit, entry) in self.units_of(source) {
            match (state(&entry.next), &entry.next) {
                (UnitState::Settled, _) => {}
                (UnitState::Changing, _) => return Outcome::Pending,
                (UnitState::Failed, Next::Wait(why)) => failed.push((unit.clone(), why.clone())),
                _ => is_settled = false,
            }
        }
        match (failed.is_empty(), is_settled) {
            (false, _) => Outcome::Failed(failed),
            (true, true) => Outcome::Settled,
            (true, false) => Outcome::Pending,
        }
    }

    fn is_done(&self, id: &SourceId, source: &Source) -> bool {
        let is_settled = |(_, entry): (&UnitId, &Entry)| entry.next == Next::Settled;
        self.is_up_to_date()
            && source.says != Says::Unknown
            && source.held.is_none()
            && source.accepting.is_none()
            && self.asks(id, source).is_none()
            && self.units_of(source).all(is_settled)
    }

    /// What it wants, and what it owns though it doesn't.
    fn units_of<'a>(&'a self, source: &'a Source) -> impl Iterator<Item = (&'a UnitId, &'a Entry)> {
        let wanted = source.in_force.iter().flat_map(|wish| wish.units().keys());
        let is_wanted = |unit: &&UnitId| source.in_force.as_ref().is_some_and(|wish| wish.units().contains_key(*unit));
        let owned = source.owned.keys().filter(move |unit| !is_wanted(unit));
        wanted.chain(owned).filter_map(|unit| self.board.units.get_key_value(unit))
    }

    fn source(&self, id: &SourceId, source: &Source) -> SourceStatus {
        let state = match &source.says {
            Says::Unknown => SourceState::Silent,
            Says::Refused(why) => SourceState::Refused(Arc::clone(why)),
            Says::Withdrawn => SourceState::Withdrawn,
            Says::Complete => self.asks(id, source).map_or(SourceState::Following, |(_, held)| SourceState::Held(held)),
        };
        let is_taken_back = |(_, entry): &(&UnitId, &Entry)| is_taken_back(entry);
        SourceStatus {
            id: id.clone(),
            generation: source.generation,
            in_force: source.in_force.as_ref().map(|wish| (source.accepted.generation, wish.digest())),
            message: state.message(),
            state,
            taken_back: self.units_of(source).filter(is_taken_back).map(|(unit, _)| unit.clone()).collect(),
            settled: self.is_done(id, source),
        }
    }

    /// What a member of a group waits for there, in numbers.
    fn numbers(&self, entry: &Entry) -> Option<String> {
        let (Next::Wait(why), None) = (&entry.next, &entry.orders.flight) else { return None };
        let (rollout, _) = self.board.rollout(entry)?;
        Some(format!("{}: {}", why.at(Time::ZERO), rollout.numbers(why)?))
    }

    fn unit(&self, now: Time, id: &UnitId, entry: &Entry) -> UnitStatus {
        let wish = entry.wish.as_ref().map(|(_, wish)| wish);
        let target = self.board.target(id, entry).want();
        let has_completed = target.is_some_and(|target| entry.record.has_completed(target));
        let waiting = match &entry.next {
            Next::Wait(why) => Some(why.clone()),
            Next::Settled | Next::Step(_) => None,
        };
        UnitStatus {
            id: id.clone(),
            state: state(&entry.next),
            ready: has_completed || entry.record.serving().is_some(),
            message: self.numbers(entry).unwrap_or_else(|| message(now, entry, has_completed)),
            waiting,
            restarts: entry.record.instances.iter().max_by_key(|seen| seen.instance).map_or(0, |seen| seen.attempt),
            instances: instances(entry),
            owner: entry.record.owner.as_ref().map(|owner| owner.source.clone()),
            source: entry.source().cloned(),
            wanted: wish.map(|wish| wish.digest),
            serves_wanted: entry.record.serving().is_some_and(|seen| wish.is_some_and(|wish| *seen.want == **wish)),
            taken_back: is_taken_back(entry),
        }
    }
}

fn state(next: &Next) -> UnitState {
    match next {
        Next::Settled => UnitState::Settled,
        Next::Step(_) | Next::Wait(Why::Changing | Why::Proving(_) | Why::Soaking { .. }) => UnitState::Changing,
        Next::Wait(Why::Permission(_)) => UnitState::Held,
        Next::Wait(Why::Broken(_) | Why::Failed(_) | Why::Rejected(_) | Why::Stopped { .. }) => UnitState::Failed,
        Next::Wait(
            Why::Needs(..)
            | Why::UsedBy(_)
            | Why::Claimed(..)
            | Why::OwnerSilent(_)
            | Why::Retry { .. }
            | Why::CrashLoop { .. }
            | Why::NotReady
            | Why::Away(_)
            | Why::Wave { .. }
            | Why::Budget { .. }
            | Why::Paused { .. },
        ) => UnitState::Waiting,
    }
}

fn is_taken_back(entry: &Entry) -> bool {
    let Some(wish) = &entry.wish else { return false };
    matches!(Target::of_wish(wish, &entry.record), Target::Run { want, wish, .. } if want.digest != wish.digest)
}

fn message(now: Time, entry: &Entry, has_completed: bool) -> String {
    match (&entry.next, &entry.orders.flight) {
        (_, Some(flight)) => doing(&flight.step).to_owned(),
        (Next::Step(step), None) => format!("{}, as soon as other units have had their turn", doing(step)),
        (Next::Wait(why), None) => why.at(now).to_string(),
        (Next::Settled, None) if has_completed => "completed".to_owned(),
        (Next::Settled, None) if entry.wish.is_none() => "no source wants it any more: it is left alone".to_owned(),
        (Next::Settled, None) => String::new(),
    }
}

fn doing(step: &Step) -> &'static str {
    match step {
        Step::Prepare { .. } => "is being prepared",
        Step::Start { .. } => "is being started",
        Step::Activate { .. } => "takes over",
        Step::Update { .. } => "is being updated",
        Step::Kill { .. } => "is being killed, as its liveness probe says",
        Step::Stop { .. } => "is being stopped",
        Step::Mark(_) | Step::Adopt(_) => "is being written down",
        Step::Forget { .. } => "is being removed",
        Step::Fence => "an order for it got lost: it is made sure that it can't come late",
    }
}

fn instances(entry: &Entry) -> Vec<InstanceStatus> {
    let flight = entry.orders.flight.as_ref();
    let is_stopping = |seen: &Seen| matches!(flight.map(|flight| &flight.step), Some(Step::Stop { instance } | Step::Kill { instance }) if *instance == seen.instance);
    let activity = |seen: &Seen| match seen.phase {
        Phase::Exited { code, .. } => Activity::Exited(code),
        _ if is_stopping(seen) => Activity::Stopping,
        Phase::Running { ready, .. } => Activity::Running { ready: ready.is_some() },
        Phase::Away { .. } => Activity::Away,
    };
    let seen = entry.record.instances.iter();
    let seen = seen.map(|seen| InstanceStatus { instance: seen.instance, role: seen.role, activity: activity(seen) });
    let starting = flight
        .filter(|Flight { step, .. }| matches!(step, Step::Start { .. }))
        .map(|flight| InstanceStatus { instance: flight.ticket, role: Role::Candidate, activity: Activity::Starting });
    let mut instances: Vec<InstanceStatus> = seen.chain(starting).collect();
    instances.sort_by_key(|instance| instance.instance);
    instances
}

impl SourceState {
    fn message(&self) -> String {
        match self {
            Self::Silent => "nothing was heard of it since the agent started: what it owns runs on".to_owned(),
            Self::Following => String::new(),
            Self::Refused(why) => why.to_string(),
            Self::Held(held) => {
                format!("{held}: `abide allow {}` says yes to that", held.permit.id())
            }
            Self::Withdrawn => "given up: what it owned runs on".to_owned(),
        }
    }
}
