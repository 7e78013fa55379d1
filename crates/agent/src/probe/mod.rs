//! Probes: who is well, as a schedule without clock or I/O. The driver carries out each [`Try`] and tells how it ended.
//!
//! ```text
//!  see(instances) ─► due ─► poll: Try ─► end(well / not) ─► due again after the interval
//!                                          │
//!                                          └─ ready or failing changed: the driver has the unit looked at
//! ```
//!
//! | probe | says |
//! |---|---|
//! | readiness | ready from the first success on, until `failureThreshold` failures in a row |
//! | liveness | failing after `failureThreshold` failures in a row that ended after `startPeriod`; that is final |
//!
//! What isn't ready yet is tried more often than `interval`, at first after [`EAGER`] and then ever more slowly: who waits
//! for it shouldn't wait for a timer. An instance that an earlier run of the agent started was ready then if it is active;
//! the restart of an agent is no reason to doubt that, nor to call a candidate late, so both are believed to be ready until
//! a probe says otherwise.

pub(crate) mod check;

use abide_reconcile::{InstanceId, Phase, Role, Seen, Time, UnitId, spec::kind::Probe};
use std::collections::{BTreeMap, BTreeSet};

/// The first wait between tries of what isn't ready yet; each is twice the one before, up to the interval.
const EAGER: Time = Time::from_millis(10);

/// Tries under way at once.
const TRIES_MAX: usize = 32;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Readiness,
    Liveness,
}

/// Which probe of which instance.
pub(crate) type Which = (InstanceId, Purpose);

/// One thing to find out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Try {
    pub(crate) unit: UnitId,
    pub(crate) which: Which,
    pub(crate) probe: Probe,
}

/// All probes of all live instances.
#[derive(Debug)]
pub(crate) struct Probes {
    /// Of the agent: instances of earlier ones were started by an earlier run.
    epoch: u64,
    tracks: BTreeMap<Which, Track>,
    units: BTreeMap<UnitId, BTreeSet<InstanceId>>,
    due: BTreeSet<(Time, Which)>,
    under_way: BTreeSet<Which>,
}

#[derive(Debug)]
struct Track {
    unit: UnitId,
    probe: Probe,
    started: Time,
    failures: u32,
    wait: Time,
    belief: Belief,
}

/// What is thought of an instance, as far as one probe goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    /// Nothing is known yet.
    Open,
    /// As an earlier run of the agent left it; how many failures it takes to think otherwise.
    Inherited {
        since: Time,
        doubts: u32,
    },
    Well {
        since: Time,
    },
    Unwell,
}

impl Probes {
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            tracks: BTreeMap::new(),
            units: BTreeMap::new(),
            due: BTreeSet::new(),
            under_way: BTreeSet::new(),
        }
    }

    /// These are all instances of the unit: new ones are probed from now on, others no more.
    pub(crate) fn see<'a>(&mut self, now: Time, unit: &UnitId, instances: impl Iterator<Item = &'a Seen>) {
        let running = instances.filter_map(|seen| match seen.phase {
            Phase::Running { started, .. } => Some((seen, started)),
            Phase::Exited { .. } | Phase::Away { .. } => None,
        });
        let mut live = BTreeSet::new();
        for (seen, started) in running {
            live.insert(seen.instance);
            let probes =
                [(Purpose::Readiness, seen.want.unit.readiness()), (Purpose::Liveness, seen.want.unit.liveness())];
            for (purpose, probe) in probes {
                let which = (seen.instance, purpose);
                match probe {
                    Some(probe) => self.watch(now, which, unit, probe, seen, started),
                    None => self.forget(which),
                }
            }
        }
        let before = match live.is_empty() {
            true => self.units.remove(unit),
            false => self.units.insert(unit.clone(), live.clone()),
        };
        for gone in before.into_iter().flatten().filter(|instance| !live.contains(instance)) {
            self.forget((gone, Purpose::Readiness));
            self.forget((gone, Purpose::Liveness));
        }
    }

    /// Units of which instances are known to run.
    pub(crate) fn units(&self) -> impl Iterator<Item = &UnitId> {
        self.units.keys()
    }

    /// Which instances of the unit ran when it was seen last.
    pub(crate) fn running(&self, unit: &UnitId) -> BTreeSet<InstanceId> {
        self.units.get(unit).cloned().unwrap_or_default()
    }

    /// The next thing to find out. Call it until there is none.
    pub(crate) fn poll(&mut self, now: Time) -> Option<Try> {
        if self.under_way.len() >= TRIES_MAX {
            return None;
        }
        let (at, which) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, which));
        let track = self.tracks.get(&which)?;
        self.under_way.insert(which);
        Some(Try { unit: track.unit.clone(), which, probe: track.probe.clone() })
    }

    /// When to poll again if nothing happens before.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        // With all hands busy, the end of a try is what is waited for.
        let is_free = self.under_way.len() < TRIES_MAX;
        self.due.first().map(|(at, _)| *at).filter(|_| is_free)
    }

    /// A try ended. Tells the unit if something is to be thought of it that wasn't before.
    pub(crate) fn end(&mut self, now: Time, which: Which, is_well: bool) -> Option<UnitId> {
        self.under_way.remove(&which);
        let track = self.tracks.get_mut(&which)?;
        let before = track.verdict();
        track.learn(now, which.1, is_well);
        self.due.insert((now + track.wait, which));
        (track.verdict() != before).then(|| track.unit.clone())
    }

    /// The instance with what its probes say.
    pub(crate) fn judge(&self, seen: &Seen) -> Seen {
        let mut seen = seen.clone();
        if let Phase::Running { ready, failing, .. } = &mut seen.phase {
            if let Some(track) = self.tracks.get(&(seen.instance, Purpose::Readiness)) {
                *ready = track.well_since();
            }
            if let Some(track) = self.tracks.get(&(seen.instance, Purpose::Liveness)) {
                *failing |= track.belief == Belief::Unwell;
            }
        }
        seen
    }

    fn watch(&mut self, now: Time, which: Which, unit: &UnitId, probe: &Probe, seen: &Seen, started: Time) {
        if let Some(track) = self.tracks.get_mut(&which) {
            // Probes are live fields: the instance stays, and what is known of it too.
            if track.probe != *probe {
                track.probe = probe.clone();
            }
            return;
        }
        let is_inherited = seen.instance.epoch < self.epoch && which.1 == Purpose::Readiness;
        let doubts = if seen.role == Role::Candidate { 1 } else { probe.failure_threshold };
        let belief = if is_inherited { Belief::Inherited { since: now, doubts } } else { Belief::Open };
        let track = Track { unit: unit.clone(), probe: probe.clone(), started, failures: 0, wait: Time::ZERO, belief };
        self.tracks.insert(which, track);
        if !self.under_way.contains(&which) {
            self.due.insert((now, which));
        }
    }

    fn forget(&mut self, which: Which) {
        if self.tracks.remove(&which).is_some() {
            self.due.retain(|(_, other)| *other != which);
        }
    }
}

impl Track {
    fn learn(&mut self, now: Time, purpose: Purpose, is_well: bool) {
        let threshold = self.probe.failure_threshold.max(1);
        let is_early = purpose == Purpose::Liveness && now < self.started + self.probe.start_period.0;
        self.failures = if is_well || is_early { 0 } else { self.failures.saturating_add(1) };
        self.belief = match (self.belief, is_well) {
            (Belief::Unwell, _) if purpose == Purpose::Liveness => Belief::Unwell,
            (Belief::Well { since } | Belief::Inherited { since, .. }, true) => Belief::Well { since },
            (Belief::Open | Belief::Unwell, true) => Belief::Well { since: now },
            (Belief::Inherited { doubts, .. }, false) if self.failures < doubts => self.belief,
            (Belief::Inherited { .. }, false) => Belief::Unwell,
            (_, false) if self.failures >= threshold => Belief::Unwell,
            (belief, false) => belief,
        };
        let interval = self.probe.interval.0;
        let is_awaited = purpose == Purpose::Readiness && self.well_since().is_none();
        self.wait = if is_awaited { (self.wait * 2).clamp(EAGER, interval.max(EAGER)) } else { interval.max(EAGER) };
    }

    fn well_since(&self) -> Option<Time> {
        match self.belief {
            Belief::Well { since } | Belief::Inherited { since, .. } => Some(since),
            Belief::Open | Belief::Unwell => None,
        }
    }

    /// What others see of the belief.
    fn verdict(&self) -> (Option<Time>, bool) {
        (self.well_since(), self.belief == Belief::Unwell)
    }
}

#[cfg(test)]
mod tests;
