//! What this process knows of the machines, in memory: polls are answered from it, without the database.
//!
//! A thread asks the store what changed, five times a second and whenever this process wrote something. Who waits for news
//! of a machine is woken when its row changed.

use super::ServeError;
use crate::{
    admin::machine::State,
    store::{Machine, Presence, Store},
};
use abide_spec::Name;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How often the store is asked what others wrote.
const ASK: Duration = Duration::from_millis(200);

/// All machines.
#[derive(Debug, Default)]
pub(super) struct Roster {
    machines: Mutex<HashMap<Name, Entry>>,
    /// Whether the store answered when it was asked last.
    is_told: AtomicBool,
    ask: (Mutex<bool>, Condvar),
}

#[derive(Debug)]
struct Entry {
    known: Arc<Machine>,
    news: Arc<Notify>,
    /// Since when it has the session that it has, as far as this process saw.
    session_since: Instant,
    present: Option<Present>,
}

/// A machine that polls here.
#[derive(Clone, Copy, Debug)]
struct Present {
    polls: u32,
    /// When its last poll began or ended.
    at: Instant,
}

impl Roster {
    /// Reads all there is, and goes on in a thread until this is dropped.
    pub(super) fn follow(store: Arc<dyn Store>) -> Result<Arc<Self>, ServeError> {
        let roster = Arc::new(Self::default());
        let changes = store.changes(0)?;
        let mut upto = changes.upto;
        roster.apply(changes.machines, Instant::now());
        roster.is_told.store(true, Ordering::Relaxed);
        let weak = Arc::downgrade(&roster);
        let follow = move || {
            while let Some(roster) = Weak::upgrade(&weak) {
                match store.changes(upto) {
                    Ok(changes) => {
                        upto = changes.upto;
                        roster.apply(changes.machines, Instant::now());
                        roster.is_told.store(true, Ordering::Relaxed);
                    }
                    Err(error) => {
                        if roster.is_told.swap(false, Ordering::Relaxed) {
                            tracing::warn!(%error, "the machines' changes can't be read: it is tried again and again");
                        }
                    }
                }
                roster.wait();
            }
        };
        thread::Builder::new().name("roster".to_owned()).spawn(follow).map_err(ServeError::Thread)?;
        Ok(roster)
    }

    /// Has the store asked now.
    pub(super) fn wake(&self) {
        *self.ask.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ask.1.notify_all();
    }

    fn wait(&self) {
        let asked = self.ask.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = self.ask.1.wait_timeout_while(asked, ASK, |asked| !*asked);
        *until.unwrap_or_else(PoisonError::into_inner).0 = false;
    }

    fn machines(&self) -> MutexGuard<'_, HashMap<Name, Entry>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes rows as they are now.
    pub(super) fn apply(&self, rows: Vec<Machine>, now: Instant) {
        let mut machines = self.machines();
        for row in rows {
            match machines.get_mut(&row.name) {
                None => {
                    let entry = Entry { known: Arc::new(row), news: Arc::default(), session_since: now, present: None };
                    machines.insert(entry.known.name.clone(), entry);
                }
                // What this process was told after it had written something may be newer than what it is told now.
                Some(entry) if entry.known.version < row.version => {
                    if entry.known.session != row.session {
                        entry.session_since = now;
                    }
                    entry.known = Arc::new(row);
                    entry.news.notify_waiters();
                }
                Some(_) => {}
            }
        }
    }

    /// How many there are, those that were revoked among them.
    pub(super) fn len(&self) -> usize {
        self.machines().len()
    }

    /// What is known of one.
    pub(super) fn known(&self, name: &Name) -> Option<Arc<Machine>> {
        Some(Arc::clone(&self.machines().get(name)?.known))
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Machine>> {
        self.machines().values().map(|entry| Arc::clone(&entry.known)).collect()
    }

    /// For how long its session has been the present one here.
    pub(super) fn session_for(&self, name: &Name, now: Instant) -> Duration {
        let since = self.machines().get(name).map(|entry| entry.session_since);
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// A poll of a machine begins; it is over when this is dropped. None if there is no such machine.
    pub(super) fn enter(self: &Arc<Self>, name: &Name) -> Option<Visit> {
        let mut machines = self.machines();
        let entry = machines.get_mut(name)?;
        let polls = entry.present.map_or(0, |present| present.polls);
        entry.present = Some(Present { polls: polls + 1, at: Instant::now() });
        Some(Visit { roster: Arc::clone(self), name: name.clone(), news: Arc::clone(&entry.news) })
    }

    /// Who polled here, and hasn't for so long: each is told once, with for how long it hasn't.
    pub(super) fn gone(&self, now: Instant, after: Duration) -> Vec<(Name, Duration)> {
        let mut gone = Vec::new();
        for (name, entry) in self.machines().iter_mut() {
            let Some(Present { polls: 0, at }) = entry.present else { continue };
            let silent = now.saturating_duration_since(at);
            if silent >= after {
                entry.present = None;
                gone.push((name.clone(), silent));
            }
        }
        gone
    }

    /// Whether it polls here, or did so just now.
    pub(super) fn is_present(&self, name: &Name) -> bool {
        self.machines().get(name).is_some_and(|entry| entry.present.is_some())
    }

    /// The hub processes that have machines, as their rows say.
    pub(super) fn hubs(&self) -> BTreeSet<String> {
        let machines = self.machines();
        let hubs = machines.values().filter_map(|entry| match &entry.known.presence {
            Presence::Here { hub } => Some(hub),
            Presence::Away { .. } => None,
        });
        // Few names, of many machines.
        hubs.collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    /// Who is with another hub process than these, and not known to be away: with that process.
    pub(super) fn orphans(&self, living: &dyn Fn(&str) -> bool) -> Vec<(Name, String)> {
        let machines = self.machines();
        let orphans = machines.iter().filter(|(_, entry)| entry.present.is_none()).filter_map(|(name, entry)| {
            match &entry.known.presence {
                Presence::Here { hub } if !living(hub) => Some((name.clone(), hub.clone())),
                _ => None,
            }
        });
        orphans.collect()
    }

    /// Whether the store answered when it was asked last.
    pub(super) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// Machines by what they are, in a word each.
    pub(super) fn count(&self) -> Count {
        let mut count = Count::default();
        for entry in self.machines().values() {
            *count.states.entry(State::of(&entry.known).as_str()).or_default() += 1;
            count.polling += usize::from(entry.present.is_some_and(|present| present.polls > 0));
        }
        count
    }
}

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) states: BTreeMap<&'static str, usize>,
    pub(super) polling: usize,
}

/// A poll that is under way.
#[derive(Debug)]
pub(super) struct Visit {
    roster: Arc<Roster>,
    name: Name,
    /// Notified when the machine's row changed.
    pub(super) news: Arc<Notify>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(entry) = self.roster.machines().get_mut(&self.name)
            && let Some(present) = &mut entry.present
        {
            *present = Present { polls: present.polls.saturating_sub(1), at: Instant::now() };
        }
    }
}
