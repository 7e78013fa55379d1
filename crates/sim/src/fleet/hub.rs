//! The hub's rows, and the world around it. This is what a backend for machines owes the core:
//!
//! - To start a machine, or to update it, is to write its target, whether it is in reach or not. From then on it isn't ready
//!   until it says that it is, with that target; `started` is when it was told, or when it came back.
//! - An order is carried out on a row as the last look showed it, or not at all: a machine that was out of reach, or not
//!   ready, and is it again, must not be taken down for free.
//! - `Away` is who was silent before it took its target, or after it was ready with it. Who took it and was never heard to be
//!   ready isn't away: it isn't ready, and in time that is a bad commit.
//! - A machine that says that its target failed there has exited.

use super::{
    machine::{Happens, Machine},
    revision::{Health, Roster, revision},
};
use crate::{effect::apply, rng::Rng};
use abide_reconcile::{
    Accepted, Command, Event, Fault, InstanceId, Kind, Look, Observed, Phase, Record, Role, Seen, Step, Ticket, Time,
    UnitId,
};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug)]
enum Pending {
    Land { ticket: Ticket, machine: usize, step: Step, under: u64, fails: bool, is_heard_of: bool },
    Accept { ticket: Ticket, accepted: Accepted },
    Report(Event),
    Look { ticket: Ticket, what: Look },
    Poll(usize),
    Happen { machine: usize, takes: u32, what: Happens },
    Link { machine: usize, is_up: bool },
    Silence(usize),
}

/// A target that was written, for the oracle.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) machine: usize,
    /// It served, as far as the hub knew.
    pub(crate) was_ready: bool,
    pub(crate) under: u64,
}

#[derive(Debug)]
pub(crate) struct Hub {
    rng: Rng,
    pub(crate) is_calm: bool,
    pub(crate) machines: Vec<Machine>,
    pub(crate) rows: Vec<Arc<Record>>,
    /// Each row as the last look showed it.
    shown: Vec<Option<Arc<Record>>>,
    numbers: BTreeMap<UnitId, usize>,
    ids: Vec<UnitId>,
    pub(crate) healths: BTreeMap<u64, Health>,
    pub(crate) accepted: Option<Accepted>,
    pub(crate) told: Vec<Told>,
    epoch: u64,
    fences: BTreeMap<usize, Ticket>,
    queue: BTreeMap<(Time, u64), Pending>,
    arrivals: u64,
}

impl Hub {
    pub(crate) fn new(mut rng: Rng, roster: &Roster, has_liars: bool) -> Self {
        let size = roster.ids.len();
        Self {
            is_calm: false,
            machines: (0..size).map(|_| Machine::new(&mut rng, has_liars)).collect(),
            rows: vec![Arc::default(); size],
            shown: vec![None; size],
            numbers: roster.ids.iter().cloned().zip(0..).collect(),
            ids: roster.ids.clone(),
            healths: BTreeMap::new(),
            accepted: None,
            told: Vec::new(),
            epoch: 0,
            fences: BTreeMap::new(),
            queue: BTreeMap::new(),
            arrivals: 0,
            rng,
        }
    }

    pub(crate) fn number(&self, unit: &UnitId) -> usize {
        self.numbers[unit]
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The hub's process is gone. What it was about to write is written or not; machines live on.
    pub(crate) fn crash(&mut self) {
        self.shown.fill(None);
        self.queue.retain(|_, pending| {
            !matches!(pending, Pending::Accept { .. } | Pending::Report(_) | Pending::Look { .. })
        });
    }

    pub(crate) fn start(&mut self, now: Time, command: Command, under: u64) {
        match command {
            Command::Observe { ticket, what } => {
                self.hear(ticket);
                if !self.chance(3) {
                    self.push(now, 30, Pending::Look { ticket, what });
                }
            }
            Command::Run { ticket, unit, step } => {
                self.hear(ticket);
                let machine = self.number(&unit);
                let (fails, is_slow, is_lost) = (self.chance(3), self.chance(2), self.chance(2));
                let lands = !fails || self.chance(50);
                let delay = if is_slow { 60_000 } else { 100 };
                let order = Pending::Land { ticket, machine, step, under, fails, is_heard_of: !is_lost };
                if lands {
                    self.push(now, delay, order);
                } else if !is_lost {
                    let result = Err(Fault::Again("refused".into()));
                    self.push(now, delay, Pending::Report(Event::Done { ticket, unit, result }));
                }
            }
            Command::Accept { ticket, accepted, .. } => self.push(now, 50, Pending::Accept { ticket, accepted }),
            // Nothing here takes long enough to be stopped.
            Command::Cancel(_) => {}
        }
    }

    /// Everything up to `now`; the events are for the core.
    pub(crate) fn advance(&mut self, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                break;
            }
            match entry.remove() {
                Pending::Land { ticket, machine, step, under, fails, is_heard_of } => {
                    let result = self.land(now, ticket, machine, step, under);
                    let result = if fails { Err(Fault::Again("refused".into())) } else { result };
                    if is_heard_of {
                        events.push(Event::Done { ticket, unit: self.ids[machine].clone(), result });
                    }
                }
                Pending::Report(event) => events.push(event),
                Pending::Look { ticket, what } => events.push(self.look(ticket, what)),
                Pending::Accept { ticket, accepted } => {
                    self.accepted = Some(accepted);
                    events.push(Event::Accepted { ticket, result: Ok(()) });
                }
                Pending::Poll(machine) => self.poll(now, machine),
                Pending::Happen { machine, takes, what } => self.happen(now, machine, takes, what),
                Pending::Link { machine, is_up } => self.link(now, machine, is_up),
                Pending::Silence(machine) => self.silence(now, machine),
            }
        }
        events
    }

    /// The link of a machine fails for some time.
    pub(crate) fn cut(&mut self, now: Time, machine: usize, seconds: u64) {
        self.link(now, machine, false);
        let up = Pending::Link { machine, is_up: true };
        self.queue.insert((now + Time::from_secs(seconds), self.arrivals), up);
        self.arrivals += 1;
    }

    pub(crate) fn link(&mut self, now: Time, machine: usize, is_up: bool) {
        self.machines[machine].is_linked = is_up;
        if is_up {
            self.push(now, 1_000, Pending::Poll(machine));
        } else {
            self.push(now + Time::from_secs(30), 1_000, Pending::Silence(machine));
        }
    }

    /// A machine that serves has trouble of its own, and gets over it.
    pub(crate) fn stumble(&mut self, now: Time, machine: usize) {
        let takes = self.machines[machine].takes;
        self.push(now, 10, Pending::Happen { machine, takes, what: Happens::Unready });
        let back = now + Time::from_secs(5 + self.rng.below(60));
        self.push(back, 10, Pending::Happen { machine, takes, what: Happens::Ready });
    }

    fn hear(&mut self, ticket: Ticket) {
        if ticket.epoch > self.epoch {
            self.epoch = ticket.epoch;
            self.fences.clear();
        }
    }

    fn look(&mut self, ticket: Ticket, what: Look) -> Event {
        if self.chance(3) {
            return Event::Blind(ticket);
        }
        let machines: Vec<usize> = match what {
            Look::All => (0..self.rows.len()).collect(),
            Look::Units(units) => units.iter().map(|unit| self.number(unit)).collect(),
        };
        let mut world = Observed::default();
        for machine in machines {
            let row = &self.rows[machine];
            self.shown[machine] = Some(Arc::clone(row));
            if **row != Record::NOTHING {
                world.units.insert(self.ids[machine].clone(), Arc::clone(row));
            }
        }
        Event::Seen { ticket, world }
    }

    fn land(&mut self, now: Time, ticket: Ticket, machine: usize, step: Step, under: u64) -> Result<(), Fault> {
        let fence = self.fences.entry(machine).or_default();
        if ticket.epoch < self.epoch || ticket < *fence {
            return Err(Fault::Again("too late".into()));
        }
        *fence = ticket;
        let is_told = matches!(step, Step::Start { .. } | Step::Update { .. });
        if is_told && self.shown[machine].as_ref() != Some(&self.rows[machine]) {
            return Err(Fault::Again("it isn't as it was seen".into()));
        }
        let was_ready = self.rows[machine].serving().is_some();
        let was_away = self.rows[machine].live().any(|seen| matches!(seen.phase, Phase::Away { .. }));
        let row = Arc::make_mut(&mut self.rows[machine]);
        apply(row, now, ticket, Kind::Container, step);
        if is_told {
            if let Some(seen) = newest(row) {
                let away = Phase::Away { since: now };
                let told = Phase::Running { started: now, ready: None, failing: false };
                seen.role = Role::Active;
                seen.phase = if was_away { away } else { told };
            }
            self.told.push(Told { machine, was_ready, under });
            if self.machines[machine].is_linked {
                let delay = if self.machines[machine].lags { 8_000 } else { 800 };
                self.push(now, delay, Pending::Poll(machine));
            } else if !was_away {
                self.push(now + Time::from_secs(30), 1_000, Pending::Silence(machine));
            }
        }
        Ok(())
    }

    /// A machine calls: it says how it is, and hears what it is to be.
    fn poll(&mut self, now: Time, machine: usize) {
        let it = &mut self.machines[machine];
        if !it.is_linked {
            return;
        }
        let mut row = Arc::clone(&self.rows[machine]);
        let Some(seen) = newest(Arc::make_mut(&mut row)) else { return };
        let target = (seen.instance, revision(&seen.want));
        let (started, since) = match seen.phase {
            Phase::Running { started, ready, .. } => (started, ready),
            Phase::Exited { .. } | Phase::Away { .. } => (now, None),
        };
        let health = self.healths.get(&target.1).copied().unwrap_or(Health::Works);
        let coming =
            if it.took == Some(target) { Vec::new() } else { it.take(target, health, machine % 2 == 1, &mut self.rng) };
        let takes = it.takes;
        seen.phase = report(it, target, now, started, since);
        if self.rows[machine] != row {
            self.rows[machine] = row;
            self.tell(now, machine);
        }
        for (after, what) in coming {
            self.push(now + after, 1, Pending::Happen { machine, takes, what });
        }
    }

    fn happen(&mut self, now: Time, machine: usize, takes: u32, what: Happens) {
        if self.machines[machine].takes != takes {
            return;
        }
        self.machines[machine].happen(what);
        match what {
            Happens::Severed => self.link(now, machine, false),
            Happens::Ready | Happens::Unready | Happens::Fails => {
                let delay = if self.machines[machine].lags { 8_000 } else { 500 };
                self.push(now, delay, Pending::Poll(machine));
            }
        }
    }

    /// A machine hasn't called for long.
    fn silence(&mut self, now: Time, machine: usize) {
        let it = &self.machines[machine];
        if it.is_linked {
            return;
        }
        let mut row = Arc::clone(&self.rows[machine]);
        let Some(seen) = newest(Arc::make_mut(&mut row)) else { return };
        let Phase::Running { ready, .. } = seen.phase else { return };
        let took_it = it.took == Some((seen.instance, revision(&seen.want)));
        if ready.is_some() || !took_it {
            seen.phase = Phase::Away { since: now };
            self.rows[machine] = row;
            self.tell(now, machine);
        }
    }

    fn tell(&mut self, now: Time, machine: usize) {
        if !self.chance(5) {
            let event = Event::Changed([self.ids[machine].clone()].into());
            self.push(now, 50, Pending::Report(event));
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        !self.is_calm && self.rng.chance(percent, 100)
    }

    fn push(&mut self, at: Time, delay_ms_max: u64, pending: Pending) {
        let at = at + Time::from_millis(1 + self.rng.below(delay_ms_max));
        self.queue.insert((at, self.arrivals), pending);
        self.arrivals += 1;
    }

    /// No order is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.queue.values().any(|pending| matches!(pending, Pending::Land { .. }))
    }
}

fn newest(row: &mut Record) -> Option<&mut Seen> {
    let live = row.instances.iter_mut().filter(|seen| seen.is_live());
    live.max_by_key(|seen| seen.instance).map(Arc::make_mut)
}

/// What the hub writes down of what a machine says.
fn report(it: &Machine, target: (InstanceId, u64), now: Time, started: Time, since: Option<Time>) -> Phase {
    use super::machine::Honesty::{CriesWolf, Honest, SaysOld, SaysReady};
    let failed = Phase::Exited { started, at: now, code: 1 };
    let is_ready = match it.honesty {
        CriesWolf => return failed,
        Honest if it.failed == Some(target) => return failed,
        Honest => it.is_ready && it.runs == target.1,
        SaysReady => true,
        SaysOld => false,
    };
    let ready = if is_ready { since.or(Some(now)) } else { None };
    Phase::Running { started, ready, failing: false }
}
