//! What is there: one [`Record`] a unit, so that a look at some units is simply a smaller map.
//!
//! Kernel facts (instances) and durable decisions (verdicts, permits) are read the same way. What the core must not
//! forget over a crash is in here; it keeps nothing that can't be rebuilt.

use crate::{
    id::{InstanceId, PlanId, SourceId, Time},
    mutant::{self, Mutant},
    want::{Claim, Want},
};
use abide_spec::{Digest, UnitId, kind::Reclaim};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The units that were looked at and of which there is anything.
    pub units: BTreeMap<UnitId, Arc<Record>>,
    /// Every person's yes that is still good.
    pub permits: BTreeSet<Arc<Permit>>,
}

/// Everything known of one unit: what a backend found, and what the journal remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// All that runs, or ran and was not cleared away.
    pub instances: Vec<Arc<Seen>>,
    /// Who may prune the unit, and what becomes of its data then.
    pub owner: Option<Owner>,
    /// Durable: the version that last proved itself. It is what a bad one is taken back to.
    pub good: Option<Arc<Want>>,
    /// Durable: versions that failed since. Emptied when another version proves itself, or by `abide retry`.
    pub bad: BTreeSet<Digest>,
    /// Durable: the version that ran to its end as it should.
    pub completed: Option<Digest>,
    /// As [`Found::stamp`].
    pub stamp: u64,
}

/// What a backend found of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// All instances, also dead ones that were not cleared away.
    pub instances: Vec<Arc<Seen>>,
    /// As written beside what was found.
    pub owner: Option<Owner>,
    /// Another one with each change, where others than the backend change what it finds: an order carries the one that it
    /// was decided on. 0 where nobody does, and where there is nothing.
    pub stamp: u64,
}

/// Who may prune a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The source that declared it.
    pub source: SourceId,
    /// What becomes of its data then.
    pub reclaim: Reclaim,
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub instance: InstanceId,
    /// Whether it serves.
    pub role: Role,
    /// Whether it runs.
    pub phase: Phase,
    /// What it was started as.
    pub want: Arc<Want>,
    /// How many instances of this version exited in a row before this one.
    pub attempt: u32,
}

/// Whether an instance serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Started, but the unit's host ports are not its own yet.
    Candidate,
    /// It has the unit's host ports.
    Active,
    /// Was active until another instance of the unit was activated.
    Retiring,
}

/// Whether an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its first process is there.
    Running {
        /// Since when.
        started: Time,
        /// Since when it is ready, if it is: without a readiness probe, since it started.
        ready: Option<Time>,
        /// Its liveness probe failed for good: it is to be killed, which counts as an exit.
        failing: bool,
    },
    /// A tombstone: it holds no claim, and remembers the crash loop until its successor has proved itself.
    Exited {
        /// When it was started.
        started: Time,
        /// When it ended.
        at: Time,
        /// The exit code; 128 + n for signal n.
        code: i32,
    },
    /// Out of reach. What it is told to do is durable all the same.
    Away {
        /// Since when.
        since: Time,
    },
}

/// A person's yes to the removals of one wish. It holds what it permits, not only the hash: after the first removal the
/// rest hashes differently. It dies with the wish it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permit {
    /// Whose removals.
    pub source: SourceId,
    /// Of which wish.
    pub wish: Digest,
    /// The units, and what becomes of their data.
    pub removals: BTreeMap<UnitId, Reclaim>,
}

impl Permit {
    /// What a person types to say yes.
    pub fn id(&self) -> PlanId {
        let Self { source, wish, removals } = self;
        let text: String = removals.iter().map(|(unit, reclaim)| format!("{unit} {reclaim:?}\n")).collect();
        PlanId::of(&format!("{source} {wish}\n{text}"))
    }

    /// Whether it is a yes to all of what is asked.
    pub fn covers(&self, asked: &Self) -> bool {
        let is_permitted = |(unit, reclaim)| self.removals.get(unit) == Some(reclaim);
        self.source == asked.source && self.wish == asked.wish && asked.removals.iter().all(is_permitted)
    }
}

impl Record {
    /// Of a unit of which there is nothing.
    pub const NOTHING: Self =
        Self { instances: Vec::new(), owner: None, good: None, bad: BTreeSet::new(), completed: None, stamp: 0 };

    /// The version that is to run where `wish` is wished: the last good one if the wish is bad.
    pub fn target<'a>(&'a self, wish: &'a Arc<Want>) -> &'a Arc<Want> {
        let is_bad = self.bad.contains(&wish.digest) && !mutant::is(Mutant::ForgetBadMarks);
        self.good.as_ref().filter(|_| is_bad).unwrap_or(wish)
    }

    /// What a new version takes the place of: the active instance, or else any that lives.
    pub fn standing(&self) -> Option<&Seen> {
        self.live().max_by_key(|seen| seen.role == Role::Active)
    }

    /// Instances that run, or may run as far as anybody knows.
    pub fn live(&self) -> impl Iterator<Item = &Seen> {
        self.instances.iter().map(|seen| &**seen).filter(|seen| seen.is_live())
    }

    /// Instances that ended and were not cleared away.
    pub fn exited(&self) -> impl Iterator<Item = &Seen> {
        self.instances.iter().map(|seen| &**seen).filter(|seen| !seen.is_live())
    }

    /// Whether any instance of this version is there, live or not.
    pub(crate) fn has(&self, version: Digest) -> bool {
        self.instances.iter().any(|seen| seen.want.digest == version)
    }

    /// The live instance of this version; an active one before any other.
    pub fn current(&self, version: Digest) -> Option<&Seen> {
        let of_version = self.live().filter(|seen| seen.want.digest == version);
        of_version.min_by_key(|seen| (seen.role != Role::Active, seen.instance))
    }

    /// The instance that has the unit's host ports and is ready.
    pub fn serving(&self) -> Option<&Seen> {
        self.live().find(|seen| seen.role == Role::Active && seen.ready_since().is_some())
    }

    /// Whether this version ran to its end.
    pub fn has_completed(&self, want: &Want) -> bool {
        self.completed == Some(want.digest)
    }
}

impl Seen {
    /// Whether it runs, or may run as far as anybody knows.
    pub fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Exited { .. })
    }

    /// Since when it is ready, if it is.
    pub fn ready_since(&self) -> Option<Time> {
        match self.phase {
            Phase::Running { ready, .. } => ready,
            Phase::Exited { .. } | Phase::Away { .. } => None,
        }
    }

    /// The claims it has: ports go with the active role, everything else with being alive.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        let has = |claim: &&Claim| !claim.is_movable() || self.role == Role::Active;
        self.want.claims.iter().filter(has).filter(|_| self.is_live())
    }
}
