//! The source: where everything is to be, as soon as that changes.

use super::{cluster::Nodes, place::place, shared::Shared, status::Statuses, wish::Wants};
use abide_reconcile::{Attend, Fault, Revision, Source, Time, UnitId};
use std::{sync::Arc, time::Duration};
use tokio::task::AbortHandle;

/// What changes together is placed together: for so long nothing may change before it is looked at.
const QUIET: Duration = Duration::from_millis(10);

/// But no longer than so many times.
const QUIETS_MAX: u32 = 20;

/// A look costs all objects. It may take this share of the time, one part in so many: where many objects come one by one, they are
/// placed together.
const SHARE: u32 = 10;

/// But no news waits for longer because of that.
const LATE_MAX: Duration = Duration::from_secs(1);

/// Nothing changes by itself later than this, and if so, it is soon enough.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Says where everything is to be. The watches end when it is dropped.
pub(super) struct PlacementSource {
    shared: Arc<Shared>,
    statuses: Arc<Statuses>,
    watches: Vec<AbortHandle>,
    wants: Wants,
    nodes: Nodes,
    /// What was placed last: the sight's number of changes.
    seen: Option<u64>,
    /// When it may be looked again.
    not_before: Time,
    said: Option<String>,
    trouble: Option<String>,
}

impl PlacementSource {
    pub(super) fn new(shared: Arc<Shared>, statuses: Arc<Statuses>, watches: Vec<AbortHandle>) -> Self {
        let (wants, nodes) = Default::default();
        Self { shared, statuses, watches, wants, nodes, seen: None, not_before: Time::ZERO, said: None, trouble: None }
    }

    /// Places everything, and says so if it is news.
    fn look(&mut self) -> Option<Revision> {
        let now = self.shared.now();
        let mut sight = self.shared.sight();
        let (objects, nodes) = (sight.objects(), sight.nodes(now));
        let places = place(&objects, &nodes);
        self.seen = Some(sight.changes());
        self.statuses.show(&sight, &nodes, &places);
        let revision = self.wants.revision(&objects, &places);
        sight.places = places;
        drop(sight);
        let is_other =
            |node: &str| nodes.get(node).map(|node| node.agent) != self.nodes.get(node).map(|node| node.agent);
        let touched = objects.values().filter(|object| object.is_terminating || object.node().is_some_and(is_other));
        self.shared.hint(touched.map(|object| object.id.clone()).collect::<Vec<UnitId>>());
        self.nodes = nodes;
        if self.said.as_ref() == Some(&revision.commit) {
            return None;
        }
        self.said = Some(revision.commit.clone());
        Some(revision)
    }

    /// Waits until there is something to look at.
    fn wait(&mut self, attend: &dyn Attend) -> Result<(), Fault> {
        let mut quiets = 0;
        let mut wake_at = None;
        loop {
            let now = self.shared.now();
            let sight = self.shared.sight();
            // Asked under the lock under which the bell is rung.
            if attend.is_cancelled() {
                return Err(Fault::Cancelled);
            }
            let trouble = sight.trouble().map(str::to_owned);
            if trouble != self.trouble {
                self.trouble.clone_from(&trouble);
                // What is said after a fault is said again, so that it is known to be over.
                self.said = None;
                self.seen = None;
                if let Some(trouble) = trouble {
                    return Err(Fault::Again(trouble.into()));
                }
            }
            let is_news = sight.is_whole() && self.seen != Some(sight.changes());
            let is_due = wake_at.is_some_and(|at| now >= at);
            if sight.is_whole() && is_due || is_news && quiets >= QUIETS_MAX {
                return Ok(());
            }
            if is_news && now < self.not_before {
                drop(self.shared.wait(sight, self.not_before - now));
                continue;
            }
            if is_news {
                let before = sight.changes();
                let sight = self.shared.wait(sight, QUIET);
                if sight.changes() == before {
                    return Ok(());
                }
                quiets += 1;
                continue;
            }
            wake_at = sight.wake_at(now);
            let sleep = wake_at.map_or(SLEEP_MAX, |at| at.saturating_sub(now)).min(SLEEP_MAX);
            drop(self.shared.wait(sight, sleep));
        }
    }
}

impl Source for PlacementSource {
    fn next(&mut self, attend: &dyn Attend) -> Result<Revision, Fault> {
        loop {
            self.wait(attend)?;
            let began = self.shared.now();
            let looked = self.look();
            let ended = self.shared.now();
            self.not_before = ended + (ended.saturating_sub(began) * (SHARE - 1)).min(LATE_MAX);
            if let Some(revision) = looked {
                return Ok(revision);
            }
        }
    }
}

impl Drop for PlacementSource {
    fn drop(&mut self) {
        self.watches.iter().for_each(AbortHandle::abort);
    }
}
