//! What the agent needs of others besides [`abide_reconcile::Backend`]. All of it may block: each call gets a thread.

use abide_reconcile::{Fault, InstanceId, Revision, Source, SourceId, UnitId, spec::kind::SourceSpec};
use std::{fmt, net::Ipv4Addr, time::Duration};

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
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}
