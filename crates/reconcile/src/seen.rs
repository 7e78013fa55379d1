//! What is there: one [`Record`] a unit, so that a look at some units is simply a smaller map.
//!
//! Kernel facts (instances) and durable decisions (verdicts, permits) are read the same way. What the core must not
//! forget over a crash is in here; it keeps nothing that can't be rebuilt.

use crate::{
    id::{InstanceId, SourceId, Time},
    want::Want,
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
}

/// What a backend found of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// All instances, also dead ones that were not cleared away.
    pub instances: Vec<Arc<Seen>>,
    /// As written beside what was found.
    pub owner: Option<Owner>,
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
