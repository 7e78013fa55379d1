//! Looks what other hubs, and people, wrote into the store, and has the Reconciler look at those machines.

use super::{machines::unit, roster::Roster};
use abide_agent::Hints;
use abide_reconcile::SourceId;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How often.
const GLANCE: Duration = Duration::from_millis(200);

/// Ends when dropped.
pub(super) struct Watch(Arc<AtomicBool>);

impl Watch {
    pub(super) fn start(roster: Arc<Roster>, hints: Hints, source: SourceId) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        thread::Builder::new().name("machines".to_owned()).spawn(move || {
            let mut told = String::new();
            while !ends.load(Ordering::Relaxed) {
                let trouble = roster.refresh().err().map(|error| error.to_string()).unwrap_or_default();
                // Once for each reason, or it fills the log while the database is away.
                if trouble != told && !trouble.is_empty() {
                    tracing::warn!(error = trouble, "can't look how the machines are");
                }
                told = trouble;
                roster.take_changed().iter().for_each(|machine| hints.look(unit(&source, machine)));
                thread::sleep(GLANCE);
            }
        })?;
        Ok(Self(is_over))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
