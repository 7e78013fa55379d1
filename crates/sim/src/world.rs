//! A fake machine: instances that live and die, orders that are slow, fail, or land late, and a journal. What it promises
//! the core is in the docs of [`abide_reconcile::Step`], and no more.

use crate::{
    effect::{apply, disown},
    rng::Rng,
    wishes::{self, Flaw},
};
use abide_reconcile::{
    Accepted, Command, Digest, Event, Fault, InstanceId, Kind, Look, Observed, Owner, Permit, Phase, Reclaim, Record,
    Role, Seen, SourceId, Step, Ticket, Time, UnitId, Want, spec::kind::RestartPolicy,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) fail_percent: u64,
    pub(crate) slow_percent: u64,
    pub(crate) lost_percent: u64,
    /// Chance of an exit at each event.
    pub(crate) exit_permille: u64,
}

impl Faults {
    pub(crate) const STORM: Self = Self { fail_percent: 10, slow_percent: 8, lost_percent: 5, exit_permille: 5 };
    pub(crate) const NONE: Self = Self { fail_percent: 0, slow_percent: 0, lost_percent: 0, exit_permille: 0 };
}

#[derive(Debug)]
enum Pending {
    Land { ticket: Ticket, unit: UnitId, step: Step, under: Option<u64> },
    Accept { ticket: Ticket, source: SourceId, accepted: Accepted },
    Report(Event),
    Look { ticket: Ticket, what: Look },
    Phase { unit: UnitId, instance: InstanceId, phase: Phase },
}

/// A step that took effect, for the oracles.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) unit: UnitId,
    pub(crate) step: Step,
    pub(crate) before: Record,
    /// The generation of its source that was accepted when it was ordered.
    pub(crate) under: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct World {
    rng: Rng,
    faults: Faults,
    pub(crate) units: BTreeMap<UnitId, Record>,
    pub(crate) permits: BTreeSet<Arc<Permit>>,
    /// What is written of the wish in force of each source.
    pub(crate) accepted: BTreeMap<SourceId, Accepted>,
    written: BTreeMap<SourceId, Ticket>,
    pub(crate) landed: Vec<Landed>,
    prepared: BTreeSet<Digest>,
    epoch: u64,
    fences: BTreeMap<UnitId, Ticket>,
    /// Ordered by time, then by arrival, so that a run is a function of its seed.
    queue: BTreeMap<(Time, u64), Pending>,
    arrivals: u64,
}

impl World {
    pub(crate) fn new(rng: Rng, faults: Faults) -> Self {
        Self {
            rng,
            faults,
            units: BTreeMap::new(),
            permits: BTreeSet::new(),
            accepted: BTreeMap::new(),
            written: BTreeMap::new(),
            landed: Vec::new(),
            prepared: BTreeSet::new(),
            epoch: 0,
            fences: BTreeMap::new(),
            queue: BTreeMap::new(),
            arrivals: 0,
        }
    }

    pub(crate) fn start(&mut self, now: Time, command: Command) {
        match command {
            Command::Observe { ticket, what } => {
                self.hear(ticket);
                if !self.chance(self.faults.lost_percent) {
                    let at = now + self.delay(30);
                    self.push(at, Pending::Look { ticket, what });
                }
            }
            Command::Run { ticket, unit, step, .. } => {
                self.hear(ticket);
                self.run(now, ticket, unit, step);
            }
            Command::Accept { ticket, source, accepted } => {
                let at = now + self.delay(50);
                self.push(at, Pending::Accept { ticket, source, accepted });
            }
            Command::Cancel(ticket) => self.cancel(now, ticket),
        }
    }

    /// Only preparations heed it.
    fn cancel(&mut self, now: Time, cancelled: Ticket) {
        let found = self.queue.iter().find_map(|(key, pending)| match pending {
            Pending::Land { ticket, unit, step: Step::Prepare { .. }, .. } if *ticket == cancelled => {
                Some((*key, unit.clone()))
            }
            _ => None,
        });
        let Some((key, unit)) = found else { return };
        self.queue.remove(&key);
        let is_its_news = |pending: &Pending| matches!(pending, Pending::Report(Event::Done { ticket, .. } | Event::Progress(ticket)) if *ticket == cancelled);
        self.queue.retain(|_, pending| !is_its_news(pending));
        let at = now + self.delay(50);
        let result = Err(Fault::Cancelled);
        self.push(at, Pending::Report(Event::Done { ticket: cancelled, unit, result }));
    }

    fn run(&mut self, now: Time, ticket: Ticket, unit: UnitId, step: Step) {
        let refused = match &step {
            Step::Prepare { want } if Flaw::of(want) == Flaw::CannotPrepare => {
                Some(Fault::Never("no such image".into()))
            }
            Step::Start { want, .. } if !self.prepared.contains(&want.digest) => Some(Fault::Unprepared),
            _ => None,
        };
        if let Some(fault) = refused {
            let at = now + self.delay(500);
            return self.push(at, Pending::Report(Event::Done { ticket, unit, result: Err(fault) }));
        }
        let failed = self.chance(self.faults.fail_percent);
        // A failed order may or may not have had its effect.
        let lands = !failed || self.chance(50);
        let slow = self.chance(self.faults.slow_percent);
        let at = now + if slow { self.delay(90_000) } else { self.delay(2_000) };
        if matches!(step, Step::Prepare { .. }) {
            for beat in (10..at.saturating_sub(now).as_secs()).step_by(10) {
                self.push(now + Time::from_secs(beat), Pending::Report(Event::Progress(ticket)));
            }
        }
        if lands {
            let owner = self.units.get(&unit).and_then(|record| record.owner.as_ref());
            let accepted = owner.and_then(|owner| self.accepted.get(&owner.source));
            let under = accepted.map(|accepted| accepted.generation);
            self.push(at, Pending::Land { ticket, unit: unit.clone(), step, under });
        }
        if !slow || self.chance(50) {
            let result = if failed { Err(Fault::Again("refused".into())) } else { Ok(()) };
            self.push(at, Pending::Report(Event::Done { ticket, unit, result }));
        }
    }

    /// Everything up to `now`; the events are for the agent.
    pub(crate) fn advance(&mut self, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                break;
            }
            match entry.remove() {
                Pending::Land { ticket, unit, step, under } => self.land(now, ticket, unit, step, under),
                Pending::Report(event) => events.push(event),
                Pending::Look { ticket, what } => self.look(now, ticket, &what),
                Pending::Phase { unit, instance, phase } => self.set_phase(now, &unit, instance, phase),
                Pending::Accept { ticket, source, accepted } => {
                    let failed = self.chance(self.faults.fail_percent);
                    let written = self.written.entry(source.clone()).or_default();
                    if !failed && ticket > *written {
                        *written = ticket;
                        self.accepted.insert(source, accepted);
                    }
                    let result = if failed { Err(Fault::Again("disk full".into())) } else { Ok(()) };
                    let at = now + self.delay(20);
                    self.push(at, Pending::Report(Event::Accepted { ticket, result }));
                }
            }
        }
        if self.faults.exit_permille > 0 {
            self.trouble(now);
        }
        events
    }

    /// The agent is gone; its orders live on, but what it was writing is written or not.
    pub(crate) fn forget_caller(&mut self) {
        self.queue.retain(|_, pending| matches!(pending, Pending::Land { .. } | Pending::Phase { .. }));
    }

    /// Everything that runs is gone. Volumes are not, and neither is what the journal knows.
    pub(crate) fn reboot(&mut self) {
        self.forget_caller();
        self.queue.clear();
        for (unit, record) in &mut self.units {
            if unit.kind != Kind::Volume {
                record.instances.clear();
                disown(record);
            }
        }
        self.units.retain(|_, record| *record != Record::default());
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm(&mut self) {
        self.faults = Faults::NONE;
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// No order may land any more.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.queue.values().any(|pending| matches!(pending, Pending::Land { .. }))
    }

    /// No order to this unit may land any more.
    pub(crate) fn is_quiet_about(&self, unit: &UnitId) -> bool {
        !self.queue.values().any(|pending| matches!(pending, Pending::Land { unit: of, .. } if of == unit))
    }

    /// A unit of this source that no wish has heard of: somebody put a backup back.
    pub(crate) fn turn_up(&mut self, now: Time, source: &SourceId) {
        let name = format!("x{}", self.rng.below(4));
        let want = wishes::unit(source, Kind::Container, &name, serde_json::json!({ "image": "good:0" }), 0);
        let unit = want.unit.id.clone();
        if self.units.contains_key(&unit) {
            return;
        }
        self.arrivals += 1;
        let instance = Ticket { epoch: 0, n: self.arrivals };
        let phase = Phase::Running { started: now, ready: Some(now), failing: false };
        let seen = Seen { instance, role: Role::Active, phase, want, attempt: 0 };
        let owner = Some(Owner { source: source.clone(), reclaim: Reclaim::Keep });
        self.units.insert(unit.clone(), Record { instances: vec![Arc::new(seen)], owner, ..Record::NOTHING });
        self.tell(now, &unit);
    }

    /// Everything that runs is what it will be.
    pub(crate) fn is_complete(&self) -> bool {
        !self.queue.values().any(|pending| matches!(pending, Pending::Phase { .. }))
    }

    /// Some liveness probe says no.
    pub(crate) fn is_anything_failing(&self) -> bool {
        let mut live = self.units.values().flat_map(Record::live);
        live.any(|seen| matches!(seen.phase, Phase::Running { failing: true, .. }))
    }

    fn hear(&mut self, ticket: Ticket) {
        if ticket.epoch > self.epoch {
            self.epoch = ticket.epoch;
            self.fences.clear();
        }
    }

    fn look(&mut self, now: Time, ticket: Ticket, what: &Look) {
        let covers = |unit: &UnitId| match what {
            Look::All => true,
            Look::Units(units) => units.contains(unit),
        };
        let seen = self.units.iter().filter(|(unit, _)| covers(unit));
        let units = seen.map(|(unit, record)| (unit.clone(), Arc::new(record.clone()))).collect();
        let world = Observed { units, permits: self.permits.clone() };
        let slow = self.chance(self.faults.slow_percent);
        let at = now + if slow { self.delay(10_000) } else { self.delay(20) };
        let blind = self.chance(self.faults.fail_percent);
        let event = if blind { Event::Blind(ticket) } else { Event::Seen { ticket, world } };
        self.push(at, Pending::Report(event));
    }

    fn land(&mut self, now: Time, ticket: Ticket, unit: UnitId, step: Step, under: Option<u64>) {
        let fence = self.fences.entry(unit.clone()).or_default();
        if ticket.epoch < self.epoch || ticket < *fence {
            return;
        }
        *fence = ticket;
        if let Step::Prepare { want } = &step {
            self.prepared.insert(want.digest);
        }
        let before = self.units.get(&unit).cloned().unwrap_or_default();
        let mut after = before.clone();
        if !apply(&mut after, now, ticket, unit.kind, step.clone()) {
            return;
        }
        if let Step::Start { want, .. } = &step {
            self.boot(now, &unit, ticket, want);
            // Images are cleaned up now and then.
            if self.chance(self.faults.lost_percent) {
                self.prepared.remove(&want.digest);
            }
        }
        if after == Record::default() {
            self.units.remove(&unit);
        } else {
            self.units.insert(unit.clone(), after);
        }
        self.landed.push(Landed { unit, step, before, under });
    }

    /// What becomes of an instance that was just started.
    fn boot(&mut self, now: Time, unit: &UnitId, instance: InstanceId, want: &Want) {
        if unit.kind == Kind::Volume {
            return;
        }
        // Without a probe it counts as ready as soon as it runs.
        let ready_at = if want.is_probed() { now + self.delay(4_000) } else { now };
        let ready = Phase::Running { started: now, ready: Some(ready_at), failing: false };
        let exit = |at, code| (at, Phase::Exited { started: now, at, code });
        let later = ready_at + Time::from_secs(2);
        let is_job = want.unit.restart_policy() == RestartPolicy::OnFailure;
        let fate = match Flaw::of(want) {
            Flaw::NeverReady => vec![],
            Flaw::ExitsAtOnce => vec![exit(now + Time::from_millis(10), 1)],
            Flaw::ExitsWhenReady => vec![(ready_at, ready), exit(later, 1)],
            Flaw::FailsLater => {
                vec![(ready_at, ready), (later, Phase::Running { started: now, ready: None, failing: true })]
            }
            _ if is_job => vec![exit(ready_at, 0)],
            _ => vec![(ready_at, ready)],
        };
        for (at, phase) in fate {
            self.push(at, Pending::Phase { unit: unit.clone(), instance, phase });
        }
    }

    fn set_phase(&mut self, now: Time, unit: &UnitId, instance: InstanceId, phase: Phase) {
        let Some(record) = self.units.get_mut(unit) else { return };
        let found = record.instances.iter_mut().find(|seen| seen.instance == instance && seen.is_live());
        if let Some(seen) = found {
            Arc::make_mut(seen).phase = phase;
            self.tell(now, unit);
        }
    }

    /// Processes die.
    fn trouble(&mut self, now: Time) {
        let units: Vec<UnitId> = self.units.keys().filter(|unit| unit.kind != Kind::Volume).cloned().collect();
        for unit in units {
            if self.rng.below(1000) >= self.faults.exit_permille {
                continue;
            }
            for seen in self.units.get_mut(&unit).into_iter().flat_map(|record| &mut record.instances) {
                if let Phase::Running { started, .. } = seen.phase {
                    Arc::make_mut(seen).phase = Phase::Exited { started, at: now, code: 137 };
                }
            }
            self.tell(now, &unit);
        }
    }

    fn tell(&mut self, now: Time, unit: &UnitId) {
        if !self.chance(self.faults.lost_percent * 6) {
            let at = now + self.delay(100);
            self.push(at, Pending::Report(Event::Changed([unit.clone()].into())));
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.chance(percent, 100)
    }

    fn delay(&mut self, max_ms: u64) -> Time {
        Time::from_millis(1 + self.rng.below(max_ms))
    }

    fn push(&mut self, at: Time, pending: Pending) {
        self.queue.insert((at, self.arrivals), pending);
        self.arrivals += 1;
    }
}
