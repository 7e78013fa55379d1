//! The store's machines, kept in memory: what changed since the last time is asked for, never all of it.

use super::{bell::Bell, wish::is_wished_as};
use crate::store::{Machine, Store, StoreError};
use abide_reconcile::Name;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// All machines of the fleet, as of the last look.
pub struct Roster {
    store: Arc<dyn Store>,
    bell: Arc<Bell>,
    rows: Mutex<Rows>,
    retry_asked: Notify,
}

#[derive(Default)]
struct Rows {
    machines: BTreeMap<Name, Arc<Machine>>,
    upto: i64,
    /// Machines that changed since this was asked last.
    changed: BTreeSet<Name>,
    paused: BTreeSet<String>,
    retries: BTreeMap<Name, i64>,
}

impl Roster {
    /// Nothing is asked yet.
    pub fn new(store: Arc<dyn Store>, bell: Arc<Bell>) -> Self {
        Self { store, bell, rows: Mutex::default(), retry_asked: Notify::new() }
    }

    /// Brings it up to date, and rings if something is to be wished otherwise. Reports, which are many, change no wish.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let changes = self.store.changes(rows.upto)?;
        if changes.upto == rows.upto {
            return Ok(());
        }
        // What people ask raises the counter, too.
        let (paused, retries) = (self.store.paused()?, self.store.retries()?);
        let mut is_news = paused != rows.paused;
        rows.upto = changes.upto;
        rows.paused = paused;
        if !retries.is_empty() {
            self.retry_asked.notify_one();
        }
        rows.retries = retries;
        for machine in changes.machines {
            let machine = Arc::new(machine);
            rows.changed.insert(machine.name.clone());
            let before = rows.machines.insert(machine.name.clone(), Arc::clone(&machine));
            is_news |= before.is_none_or(|before| !is_wished_as(&before, &machine));
        }
        drop(rows);
        if is_news {
            self.bell.ring();
        }
        Ok(())
    }

    /// All machines, by their names.
    pub fn machines(&self) -> BTreeMap<Name, Arc<Machine>> {
        self.rows().machines.clone()
    }

    /// One of them.
    pub fn machine(&self, name: &Name) -> Option<Arc<Machine>> {
        self.rows().machines.get(name).cloned()
    }

    /// Roll-outs that a person has paused.
    pub fn paused(&self) -> BTreeSet<String> {
        self.rows().paused.clone()
    }

    /// Machines that are to try a commit again, with the number of each asking.
    pub(super) fn retries(&self) -> BTreeMap<Name, i64> {
        self.rows().retries.clone()
    }

    /// That was done.
    pub(super) fn retried(&self, name: &Name, asking: i64) {
        let mut rows = self.rows();
        if rows.retries.get(name) == Some(&asking) {
            rows.retries.remove(name);
        }
    }

    /// Waits until there may be such.
    pub(super) async fn retry_asked(&self) {
        if self.retries().is_empty() {
            self.retry_asked.notified().await;
        }
    }

    /// Machines that changed since this was asked last.
    pub(super) fn take_changed(&self) -> BTreeSet<Name> {
        std::mem::take(&mut self.rows().changed)
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
