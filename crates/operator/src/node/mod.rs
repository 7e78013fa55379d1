//! The agent of a node: the cluster's objects for it as a [`Source`](abide_reconcile::Source), and their status.
//!
//! ```text
//!   API server ── watches ──► follower ── documents ──► wish ──► mailbox ──► Reconciler
//!       ▲                        │                                              │
//!       └──────── writer ◄─── board ◄───────────────── reporter ────────────────┘
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `watch`, `object`, `trouble` | what the API server says, as messages; what keeps it from saying so, in words |
//! | `follower` | the one task that knows the cluster: world → wish |
//! | `snapshot`, `source` | wishes on disk, and on their way to the agent |
//! | `board`, `status`, `passing`, `contested` | how objects stand, what their status says, what isn't worth saying, and what isn't worth a fight |
//! | `later` | what is to be looked at again, and when |
//! | `telling` | what is said as Events, and when |
//! | `writer`, `resting`, `write`, `event` | what is written, and who is left in peace: status, our finalizer, Events |
//! | `lease` | that the node's agent is there |

mod board;
mod contested;
mod event;
mod follower;
mod later;
mod lease;
mod object;
mod passing;
mod resting;
mod snapshot;
mod source;
mod status;
mod telling;
mod trouble;
mod watch;
mod write;
mod writer;

pub(crate) use lease::LEASE_PREFIX;
pub use lease::{Liveness, lease_name};

use abide_agent::{Mailbox, Opened, Opening};
use abide_reconcile::{Fault, Revision, Want, with_causes};
use board::Board;
use follower::{Begin, Follower};
use snapshot::{Snapshot, SnapshotError, Snapshots};
use source::KubernetesSource;
use std::{fmt, path::Path, sync::Arc};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc::channel, watch::Sender},
};

/// What keeps an object in the cluster as long as anything of it is on its node.
pub const FINALIZER: &str = "abide.dev/cleanup";

/// Messages that wait for the follower; who sends more waits.
const HEARD_MAX: usize = 256;

/// A node's connection to its cluster.
#[derive(Clone)]
pub struct Node {
    client: kube::Client,
    handle: Handle,
    name: String,
    state: Sender<lease::State>,
}

impl Node {
    /// Of the node that the cluster calls `name`. What it does is done in the runtime of `handle`.
    pub fn new(client: kube::Client, handle: Handle, name: &str) -> Self {
        Self { client, handle, name: name.to_owned(), state: Sender::default() }
    }

    /// Says that this node's agent is there, and how it is, until it is dropped.
    pub async fn live(self, liveness: Liveness) {
        let state = self.state.subscribe();
        liveness.renew(self.client, self.name, state).await;
    }

    /// Begins to follow the node's objects. `folder` is the source's state folder.
    pub fn open(&self, opening: &Opening, folder: &Path) -> Result<Opened, Fault> {
        let snapshots = Snapshots::of(folder);
        let newest = opening.said.iter().chain(&opening.keep).next();
        let last = newest.map(|commit| snapshots.read(commit)).transpose().unwrap_or_else(|error| {
            // Everything that is valid is said all the same; only what is mistaken now can't stay as it was.
            tracing::warn!(error = with_causes(&error), "what was wished last can't be read");
            None
        });
        if let Some(last) = last.as_ref().filter(|last| last.node != self.name) {
            let before = &last.node;
            tracing::warn!(
                "this root was that of node {before}, and is called {} now: what {before} had here is only taken away if a \
                 person says so; if the name is wrong, start the agent with the right one",
                self.name
            );
        }
        let (heard, messages) = channel(HEARD_MAX);
        let wake = Arc::new(Notify::new());
        let means =
            watch::Means { client: self.client.clone(), node: self.name.clone(), heard, wake: Arc::clone(&wake) };
        let board = Arc::new(Board::new(&self.name, self.state.clone()));
        let mailbox = Arc::new(Mailbox::default());
        let begin = Begin {
            means: means.clone(),
            heard: messages,
            mailbox: Arc::clone(&mailbox),
            board: Arc::clone(&board),
            snapshots,
            grants: opening.spec.grants.clone(),
            last,
            needed: opening.said.iter().chain(&opening.keep).cloned().collect(),
        };
        let follower = self.handle.spawn(Follower::new(begin).run());
        let writer = self.handle.spawn(writer::run(Arc::clone(&board), means));
        let tasks = [follower.abort_handle(), writer.abort_handle()];
        let bell = Arc::clone(&mailbox);
        Ok(Opened {
            source: Box::new(KubernetesSource { mailbox, tasks }),
            wake: Box::new(move || {
                wake.notify_waiters();
                bell.ring();
            }),
            reporter: Some(board),
            contact: None,
        })
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.name)
    }
}

/// What a commit says that was said before: read from disk, without asking the cluster.
pub fn reopen(folder: &Path, commit: &str) -> Result<Revision, Fault> {
    let snapshot: Snapshot = Snapshots::of(folder).read(commit).map_err(|error| {
        let text = with_causes(&error).into();
        if matches!(error, SnapshotError::Name(_)) { Fault::Never(text) } else { Fault::Again(text) }
    })?;
    let wants: Vec<Arc<Want>> = snapshot.units.iter().map(|unit| Arc::new(Want::new(Arc::clone(unit)))).collect();
    Ok(follower::revision(commit.to_owned(), &snapshot, wants))
}
