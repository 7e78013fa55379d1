//! Placement: on which node each object goes, decided by one process of the cluster and written into `spec.node`.
//!
//! The same Reconciler as everywhere: what is wished is that each object has the node that [`mod@place`] chose for it; the
//! backend is the API server, where an assignment is an instance, started by writing `spec.node` and stopped by taking it away.
//!
//! ```text
//!  watches: objects, Nodes, agents' Leases ─► sight ──► place ──► wish ─────────► Reconciler
//!                                               ▲         └─────► statuses           │ start, stop
//!                                               └── what was written ◄── assigner ◄──┘ while the Lease is held
//! ```
//!
//! | module | question it answers |
//! |---|---|
//! | [`cluster`] | what placing is decided by |
//! | [`mod@place`], [`component`], [`why`] | where each object goes, and why not |
//! | [`pulse`] | whether a node's agent is there |
//! | [`lease`], [`elect`] | who decides: what to do about the Lease, and doing it |
//! | `read`, `watch`, `sight`, `shared` | what the API server says, and what is known by it |
//! | `wish`, `source` | what is wished |
//! | `assigner` | how it is done |
//! | [`condition`], `status` | what people see of it |
//! | `tidy` | what has done its work and may go |
//!
//! A node is lost when its agent didn't renew its Lease for the set time, or when its `Node` was deleted and the agent is silent.
//! It may be cut off and run on: what must not run twice has its data in a Volume, and isn't moved.

mod assigner;
pub mod cluster;
pub mod component;
pub mod condition;
pub mod elect;
pub mod lease;
pub mod place;
pub mod pulse;
mod read;
mod shared;
mod sight;
mod source;
mod status;
mod tidy;
mod watch;
pub mod why;
mod wish;
mod words;

use abide_agent::{Clock, Details, Hints, Inspector, Opened, Opening, SourceFactory};
use abide_reconcile::{
    Backend, Fault, InstanceId, Kind, Limits, Name, Revision, SourceId, UnitId, spec::kind::SourceSpec,
};
use assigner::Assigner;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use lease::Leadership;
use shared::Shared;
use sight::Part;
use source::PlacementSource;
use status::{Statuses, Writer};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tidy::Tidy;
use tokio::runtime::Handle;

pub use read::{ASSIGNMENT, FORCE_RELEASE};

/// How the source is called.
pub const SOURCE: &str = "placement";

/// An agent that was silent for so long is lost, unless said otherwise.
pub const LOST_AFTER: Duration = Duration::from_secs(300);

/// What placing is done with.
#[derive(Clone)]
pub struct Settings {
    /// The way to the API server.
    pub client: Client,
    /// The runtime that it lives in.
    pub runtime: Handle,
    /// Where the agents' Leases are.
    pub namespace: String,
    /// An agent that was silent for so long is lost.
    pub lost_after: Duration,
    /// The time to decide by.
    pub clock: Clock,
    /// Where the Reconciler is told to look.
    pub hints: Hints,
    /// Whether anything may be written.
    pub leadership: Leadership,
}

/// The source and the backend of an agent that places.
pub struct Placement {
    settings: Settings,
    shared: Arc<Shared>,
    source: SourceId,
}

impl Placement {
    /// Nothing is asked or written before its source is opened.
    pub fn new(settings: Settings) -> Self {
        let Settings { clock, hints, lost_after, .. } = settings.clone();
        let name = Name::new(SOURCE).expect("it is a name");
        Self { shared: Arc::new(Shared::new(clock, hints, lost_after)), source: SourceId(name), settings }
    }

    /// The source's name.
    pub fn source(&self) -> &SourceId {
        &self.source
    }

    /// Who acts, by kind.
    pub fn backends(&self) -> BTreeMap<Kind, Arc<dyn Backend>> {
        Kind::WRITTEN.map(|kind| (kind, self.backend(kind))).into()
    }

    fn backend(&self, kind: Kind) -> Arc<dyn Backend> {
        let Settings { client, runtime, namespace, leadership, .. } = self.settings.clone();
        let (shared, source) = (Arc::clone(&self.shared), self.source.clone());
        Arc::new(Assigner { kind, client, runtime, namespace, leadership, shared, source })
    }

    /// How much at once: writes are short, and the API server is made for many.
    pub fn limits() -> Limits {
        Limits { orders_max: 16, prepares_max: 16, retry_max: Duration::from_secs(15), ..Limits::default() }
    }
}

impl SourceFactory for Placement {
    fn open(&self, _opening: &Opening) -> Result<Opened, Fault> {
        let Settings { client, runtime, namespace, leadership, .. } = self.settings.clone();
        let statuses = Arc::new(Statuses::default());
        let reporter = Reporter { controller: "abide.dev/controller".to_owned(), instance: None };
        let writer = Writer {
            recorder: Recorder::new(client.clone(), reporter),
            client: client.clone(),
            leadership: leadership.clone(),
            shared: Arc::clone(&self.shared),
        };
        let tidy =
            Tidy { client: client.clone(), namespace: namespace.clone(), leadership, shared: Arc::clone(&self.shared) };
        let mut tasks = vec![
            runtime.spawn(Arc::clone(&statuses).write(writer)).abort_handle(),
            runtime.spawn(tidy.run()).abort_handle(),
        ];
        for part in Part::ALL {
            let watch = watch::watch(part, client.clone(), namespace.clone(), Arc::clone(&self.shared));
            tasks.push(runtime.spawn(watch).abort_handle());
        }
        let shared = Arc::clone(&self.shared);
        Ok(Opened {
            source: Box::new(PlacementSource::new(Arc::clone(&self.shared), statuses, tasks)),
            wake: Box::new(move || shared.ring()),
            reporter: None,
            contact: None,
        })
    }

    fn reopen(&self, _: &SourceId, _: &SourceSpec, _: &str) -> Result<Revision, Fault> {
        // Where everything is, the cluster knows; where it is to be, is decided anew by who leads now.
        Err(Fault::Never("nodes are chosen anew, as soon as the cluster was seen".into()))
    }

    fn commit_folder(&self, _: &SourceId, _: &SourceSpec) -> Result<Revision, Fault> {
        Err(Fault::Never("the controller takes no folders: apply them to the cluster with kubectl".into()))
    }
}

/// Nobody can enter what the controller has: it is a line in an object.
#[derive(Clone, Copy, Debug)]
pub struct NothingInside;

impl Inspector for NothingInside {
    fn inspect(&self, _: &UnitId, _: InstanceId) -> Option<Details> {
        None
    }

    fn exec(&self, _: &UnitId, _: InstanceId, _: &[String], _: Duration) -> Result<i32, Fault> {
        Err(Fault::Never("nothing runs here: ask the node's agent".into()))
    }
}
