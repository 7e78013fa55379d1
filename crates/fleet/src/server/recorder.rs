//! What machines did, written in groups: while one transaction is on its way to the disk, the facts of the next gather.

use super::{roster::Roster, tls::WallClock};
use crate::store::{Fact, Millis, Store};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Instant,
};
use tokio::sync::oneshot;

/// Facts in one transaction.
const FACTS_MAX: usize = 200;

/// Facts that wait. Who comes then is told to come later.
const WAITING_MAX: usize = 4096;

/// Why something isn't written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotRecorded {
    /// Too much waits to be written.
    Full,
    /// The store failed, which is in the log.
    Failed,
}

type Wanted = (Vec<Fact>, oneshot::Sender<Result<(), NotRecorded>>);

/// Writes facts, in a thread of its own that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Recorder {
    facts: SyncSender<Wanted>,
    times: Arc<Times>,
}

/// How the store does.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) transactions: AtomicU64,
    pub(super) facts: AtomicU64,
    pub(super) micros: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Recorder {
    pub(super) fn start(store: Arc<dyn Store>, roster: Arc<Roster>, clock: WallClock) -> io::Result<Self> {
        let (facts, wanted) = sync_channel(WAITING_MAX);
        let times = Arc::new(Times::default());
        let thread = Thread { store, roster, clock, times: Arc::clone(&times) };
        thread::Builder::new().name("recorder".to_owned()).spawn(move || thread.run(&wanted))?;
        Ok(Self { facts, times })
    }

    /// Writes them, together, and comes back when they are written.
    pub(super) async fn record(&self, facts: Vec<Fact>) -> Result<(), NotRecorded> {
        if facts.is_empty() {
            return Ok(());
        }
        let (written, answer) = oneshot::channel();
        self.facts.try_send((facts, written)).map_err(|error| match error {
            TrySendError::Full(_) => NotRecorded::Full,
            TrySendError::Disconnected(_) => NotRecorded::Failed,
        })?;
        answer.await.unwrap_or(Err(NotRecorded::Failed))
    }

    pub(super) fn times(&self) -> &Times {
        &self.times
    }
}

struct Thread {
    store: Arc<dyn Store>,
    roster: Arc<Roster>,
    clock: WallClock,
    times: Arc<Times>,
}

impl Thread {
    fn run(&self, wanted: &Receiver<Wanted>) {
        while let Ok((mut facts, first)) = wanted.recv() {
            let mut answers = vec![first];
            while facts.len() < FACTS_MAX
                && let Ok((more, answer)) = wanted.try_recv()
            {
                facts.extend(more);
                answers.push(answer);
            }
            let written = self.write(&facts);
            for answer in answers {
                // Who hung up meanwhile doesn't want to know.
                let _is_heard = answer.send(written);
            }
        }
    }

    fn write(&self, facts: &[Fact]) -> Result<(), NotRecorded> {
        let began = Instant::now();
        let written = self.store.record(Millis(self.clock.now()), facts);
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.times.transactions.fetch_add(1, Ordering::Relaxed);
        self.times.facts.fetch_add(facts.len() as u64, Ordering::Relaxed);
        self.times.micros.fetch_add(micros, Ordering::Relaxed);
        match written {
            Ok(()) => {
                self.roster.wake();
                Ok(())
            }
            Err(error) => {
                self.times.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, facts = facts.len(), "what machines said can't be written: they are told to say it again");
                Err(NotRecorded::Failed)
            }
        }
    }
}
