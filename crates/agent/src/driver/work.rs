//! Blocking work on threads of its own, which the loop never waits for.

use super::Driver;
use crate::{
    agent::Sweep,
    api::Request,
    files::FileStore,
    journal::Journals,
    port::{Inspector, SourceFactory},
    talk::Asked,
};
use abide_reconcile::{
    Attend, Backend, Fault, Found, Kind, Look, Order, Progress, Revision, SourceId, Ticket, UnitId,
    spec::kind::SourceSpec, with_causes,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

/// How often the loop hears of one call's progress.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// Everything that can reach the loop from outside, but for hints, timers and signals.
pub(crate) enum Message {
    /// A call came back; this is what to make of it.
    Back(Box<dyn FnOnce(&mut Driver) + Send>),
    /// A source said something, found nothing new, or could not be reached; by the look that was asked for so often.
    Said { source: SourceId, listener: u64, look: Option<u64>, result: Result<Option<Revision>, Fault> },
    /// An order is alive.
    Advanced { ticket: Ticket, unit: UnitId, progress: Progress },
    /// A source is alive.
    Fetching { source: SourceId, progress: Progress },
    /// Somebody wants something.
    Asked(Asked),
    /// Who watches the hooks' door wants to know what a source is.
    Whose { source: String, answer: oneshot::Sender<Option<SourceSpec>> },
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back(_) => f.write_str("Back"),
            Self::Said { source, .. } => write!(f, "Said({source})"),
            Self::Advanced { ticket, .. } => write!(f, "Advanced({ticket})"),
            Self::Fetching { source, .. } => write!(f, "Fetching({source})"),
            Self::Whose { source, .. } => write!(f, "Whose({source})"),
            Self::Asked(Asked { request, .. }) => write!(f, "Asked({:?})", std::mem::discriminant::<Request>(request)),
        }
    }
}

/// The way to the loop. Who sends is bounded by design: a call comes back once, a connection asks once, progress is rare.
pub(crate) type Inbox = UnboundedSender<Message>;

/// What the work is done with.
pub(crate) struct Means {
    pub(crate) backends: BTreeMap<Kind, Arc<dyn Backend>>,
    pub(crate) inspector: Arc<dyn Inspector>,
    pub(crate) factory: Arc<dyn SourceFactory>,
    pub(crate) journals: Arc<dyn Journals>,
    pub(crate) files: FileStore,
    pub(crate) sweep: Sweep,
}

impl Means {
    /// What all backends together find.
    pub(crate) fn observe(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault> {
        let mut all = BTreeMap::new();
        for (kind, backend) in &self.backends {
            let part = match look {
                Look::All => Look::All,
                Look::Units(units) => Look::Units(units.iter().filter(|unit| unit.kind == *kind).cloned().collect()),
            };
            if part != Look::Units(Default::default()) {
                all.extend(backend.observe(&part)?);
            }
        }
        Ok(all)
    }

    /// Has the backend of its kind carry out an order.
    pub(crate) fn run(&self, order: &Order, attend: &dyn Attend) -> Result<(), Fault> {
        let kind = order.unit.kind;
        let backend = self.backends.get(&kind);
        backend
            .ok_or_else(|| Fault::Never(format!("this agent has nothing that runs a {kind}").into()))?
            .run(order, attend)
    }

    /// A revision, the files of which are kept.
    pub(crate) fn kept(&self, revision: Result<Revision, Fault>) -> Result<Revision, Fault> {
        let mut revision = revision?;
        self.files.keep(&revision.files).map_err(|error| Fault::Again(with_causes(&error).into()))?;
        revision.files = BTreeMap::new();
        Ok(revision)
    }
}

impl Driver {
    /// Does `work` on a thread of its own, and `then` with what came of it in the loop.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Means) -> T + Send + 'static,
        then: impl FnOnce(&mut Driver, T) + Send + 'static,
    ) {
        let (means, inbox) = (Arc::clone(&self.means), self.inbox.clone());
        tokio::task::spawn_blocking(move || {
            let result = work(&means);
            // A loop that is over waits for nothing.
            drop(inbox.send(Message::Back(Box::new(|driver| then(driver, result)))));
        });
    }
}

/// Who waits for an order in the loop's place.
pub(crate) struct Attending {
    pub(crate) ticket: Ticket,
    pub(crate) unit: UnitId,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) inbox: Inbox,
    pub(crate) pause: Pause,
}

impl Attend for Attending {
    fn progress(&self, progress: Progress) {
        if self.pause.is_over() {
            let message = Message::Advanced { ticket: self.ticket, unit: self.unit.clone(), progress };
            drop(self.inbox.send(message));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.inbox.is_closed()
    }
}

/// Time that passes between two signs of life.
#[derive(Debug, Default)]
pub(crate) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    pub(crate) fn is_over(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = last.is_none_or(|last| last.elapsed() >= PROGRESS_PAUSE);
        if is_over {
            *last = Some(Instant::now());
        }
        is_over
    }
}
