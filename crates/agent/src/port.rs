//! What the agent needs of others besides [`abide_reconcile::Backend`]. All of it may block: each call gets a thread.

use crate::api;
use abide_reconcile::{
    Digest, Fault, GroupStatus, InstanceId, Revision, Source, SourceId, UnitId, spec::kind::SourceSpec,
};
use std::{collections::BTreeMap, fmt, net::Ipv4Addr, sync::Arc, time::Duration};

/// What is asked about instances by probes and by people.
pub trait Inspector: Send + Sync {
    /// What there is to know of an instance; nothing if it isn't there.
    fn inspect(&self, unit: &UnitId, instance: InstanceId) -> Option<Details>;

    /// Runs a command in the instance and returns its exit code. The command is killed when `timeout` is over, which is a
    /// [`Fault::Again`].
    fn exec(&self, unit: &UnitId, instance: InstanceId, command: &[String], timeout: Duration) -> Result<i32, Fault>;
}

/// An instance as its directory has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Of its first process.
    pub pid: Option<i32>,
    /// Where it can be reached from the host: on the bridge, or the loopback address if it has the host's network.
    pub address: Option<Ipv4Addr>,
}

/// Makes sources out of what the machine's owner wrote.
pub trait SourceFactory: Send + Sync {
    /// Begins to follow what `spec` names. A [`Fault::Never`] says what is wrong with `spec`.
    fn open(&self, opening: &Opening) -> Result<Opened, Fault>;

    /// What a commit that the source said before says, read from its cache without asking anybody.
    fn reopen(&self, id: &SourceId, spec: &SourceSpec, commit: &str) -> Result<Revision, Fault>;

    /// Makes the content of the folder that `spec` names a commit in the source's cache, and reads it.
    fn commit_folder(&self, id: &SourceId, spec: &SourceSpec) -> Result<Revision, Fault>;
}

/// What a source is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Its name.
    pub id: SourceId,
    /// As the owner wrote it.
    pub spec: SourceSpec,
    /// The commit that was said last: it need not be said again before another one was.
    pub said: Option<String>,
    /// Commits that must not get lost, the newest first.
    pub keep: Vec<String>,
}

/// A source that is followed.
pub struct Opened {
    /// Says what is new; and after a fault what is there, new or not, so that it is known to be reached again.
    pub source: Box<dyn Source>,
    /// Makes it look at once.
    pub wake: Box<dyn Fn() + Send + Sync>,
    /// Who else wants to know how it stands with the source and its units.
    pub reporter: Option<Arc<dyn Reporter>>,
    /// What is known of who says it, where that is somebody who may be away for long. It must not block.
    pub contact: Option<Box<dyn Fn() -> api::Contact + Send>>,
}

/// Where a source's status goes besides the local API: to the cluster, to the hub. It is told from within the agent's loop,
/// so nothing here may block; what was told last is what counts, and it may be told twice.
pub trait Reporter: Send + Sync {
    /// All there is of the source. It is told once, as soon as the world was seen and what an earlier run accepted is back
    /// in force: a unit that isn't named here is neither wished nor there.
    fn everything(&self, units: BTreeMap<UnitId, UnitReport>);

    /// Units that changed since. `None` says that there is nothing of it any more, neither wished nor there.
    fn units(&self, changed: BTreeMap<UnitId, Option<UnitReport>>);

    /// The source itself changed.
    fn source(&self, source: SourceReport);

    /// What the machine's other sources wish, if that changed: they have it, whatever this one says. Only where each unit
    /// stands for itself is there anything to be done about it; other sources are refused as a whole where they clash.
    fn others(&self, _units: Arc<BTreeMap<UnitId, SourceId>>) {}

    /// How far the groups of the source's wish are, if that changed. Most sources have none.
    fn groups(&self, _groups: Vec<GroupStatus>) {}

    /// Something that a person would want to see.
    fn happened(&self, unit: &UnitId, what: Happened, text: &str);
}

/// A unit as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitReport {
    /// As `abide get` shows it.
    pub status: api::UnitStatus,
    /// The version that is wished; none where it is to go.
    pub wanted: Option<Digest>,
    /// What serves is that version, though it may have yet to prove itself.
    pub serves_wanted: bool,
    /// That version is bad: the last good one is to run instead.
    pub taken_back: bool,
}

/// A source as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceReport {
    /// The newest commit that the Reconciler was told of, refused, held or in force.
    pub told: Option<String>,
    /// The commit in force.
    pub in_force: Option<String>,
    /// In one word.
    pub state: SourceState,
    /// Why it is in that state, and what to do.
    pub message: String,
    /// What the guard asks, if it does.
    pub held: Option<api::Held>,
}

/// A source's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// What it says is in force, or on its way there.
    Following,
    /// The newest commit is broken; the one before stays in force.
    Refused,
    /// The guard asks, or what was decided can't be written.
    Held,
    /// No commits are taken.
    Suspended,
    /// It can't be asked.
    Unreachable,
    /// It was given up.
    Withdrawn,
}

/// What happened to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happened {
    /// What it needs is being pulled, unpacked and checked.
    Preparing,
    /// That is done.
    Prepared,
    /// A version of it is being started.
    Starting,
    /// It was.
    Started,
    /// It took over the unit's ports.
    Serving,
    /// What runs was changed in place.
    Updated,
    /// What runs is being stopped.
    Stopping,
    /// It was.
    Stopped,
    /// It is being killed, as its liveness probe says.
    Killing,
    /// It ended by itself.
    Exited,
    /// It ran to its end as it should.
    Completed,
    /// A version is bad: the last good one is to run instead.
    TakenBack,
    /// There is nothing of it any more.
    Removed,
    /// Something that was to be done could not be.
    Failed,
}

impl SourceState {
    /// The word of the local API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Following => "following",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Suspended => "suspended",
            Self::Unreachable => "unreachable",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Happened {
    /// The [`api::Happening::kind`] that it is told as.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Preparing | Self::Starting | Self::Stopping | Self::Killing | Self::TakenBack => "step",
            Self::Prepared
            | Self::Started
            | Self::Serving
            | Self::Updated
            | Self::Stopped
            | Self::Completed
            | Self::Removed => "done",
            Self::Exited => "exited",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}
