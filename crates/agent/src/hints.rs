//! "Look there": what backends tell the agent between looks, as when a process exited.
//!
//! Hints are a set, not a queue: many hints about one unit are one, and telling never waits.

use abide_reconcile::UnitId;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// The telling end; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Hints(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    units: Mutex<BTreeSet<UnitId>>,
    news: Notify,
}

impl Hints {
    /// Something happened to this unit.
    pub fn look(&self, unit: UnitId) {
        self.0.units.lock().unwrap_or_else(PoisonError::into_inner).insert(unit);
        self.0.news.notify_one();
    }

    /// Waits for hints and takes them all. Nothing is lost if it is dropped while it waits.
    pub(crate) async fn take(&self) -> BTreeSet<UnitId> {
        loop {
            let units = std::mem::take(&mut *self.0.units.lock().unwrap_or_else(PoisonError::into_inner));
            if !units.is_empty() {
                return units;
            }
            self.0.news.notified().await;
        }
    }
}
