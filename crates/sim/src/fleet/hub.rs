//! The hub's rows, and the world around it. This is what a backend for machines owes the core:
//!
//! - To start a machine, or to update it, is to write its target, whether it is in reach or not. From then on it isn't ready
//!   until it says that it is, with that target; `started` is when it was told, or when it came back. A row has room for one
//!   target: a new one takes the place of one that failed.
//! - An order is carried out on a row as it was seen when that was decided, or not at all: a machine that was out of reach, or
//!   not ready, and is it again, must not be taken down for free.
//! - Who leads is who was last made to: what others ordered doesn't land, and nothing is accepted for them.
//! - `Away` is who was silent before it took its target, or after it was ready with it. Who took it and was never heard to be
//!   ready isn't away: it isn't ready, and in time that is a bad commit.
//! - A machine that says that its target failed there has exited. What it says of any other target counts for nothing, but for
//!   one that the hub forgot: a hub that was restored from a backup learns what it told since, of who is well with it.

use super::{
    machine::{Happens, Machine, Report, State, Target},
    revision::{Health, Roster, revision, want},
};
use crate::{effect::apply, rng::Rng};
use abide_reconcile::{
    Accepted, Command, Event, Fault, Kind, Look, Mutant, Observed, Phase, Record, Role, Seen, Step, Ticket, Time,
    UnitId, mutant,
};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug)]
enum Pending {
    Land { ticket: Ticket, machine: usize, step: Step, stamp: u64, under: u64, fails: bool, is_heard_of: bool },
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
    /// It served, as far as the hub knew, and had proved that it does.
    pub(crate) was_missed: bool,
    pub(crate) under: u64,
}

#[derive(Debug)]
pub(crate) struct Hub {
    rng: Rng,
    pub(crate) is_calm: bool,
    pub(crate) machines: Vec<Machine>,
    pub(crate) rows: Vec<Arc<Record>>,
    /// The highest number of a target, of each row: where there is a target, its own.
    numbered: Vec<u64>,
    stamps: u64,
    backup: Option<Backup>,
    /// The newest epoch that leads.
    epoch: u64,
    /// When a process was started on these rows.
    started: Time,
    numbers: BTreeMap<UnitId, usize>,
    ids: Vec<UnitId>,
    pub(crate) healths: BTreeMap<u64, Health>,
    pub(crate) accepted: Option<Accepted>,
    pub(crate) told: Vec<Told>,
    /// Machines that took something, and the number of that.
    pub(crate) took: Vec<(usize, u64)>,
    fences: BTreeMap<usize, Ticket>,
    queue: BTreeMap<(Time, u64), Pending>,
    arrivals: u64,
}

/// A hub's database as it once was.
#[derive(Clone, Debug)]
struct Backup {
    rows: Vec<Arc<Record>>,
    numbered: Vec<u64>,
    accepted: Option<Accepted>,
}

impl Hub {
    pub(crate) fn new(mut rng: Rng, roster: &Roster, has_liars: bool) -> Self {
        let size = roster.ids.len();
        Self {
            is_calm: false,
            machines: (0..size).map(|_| Machine::new(&mut rng, has_liars)).collect(),
            rows: vec![Arc::default(); size],
            numbered: vec![0; size],
            stamps: 0,
            backup: None,
            epoch: 0,
            started: Time::ZERO,
            numbers: roster.ids.iter().cloned().zip(0..).collect(),
            ids: roster.ids.clone(),
            healths: BTreeMap::new(),
            accepted: None,
            told: Vec::new(),
            took: Vec::new(),
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
        self.queue.retain(|_, pending| {
            !matches!(pending, Pending::Accept { .. } | Pending::Report(_) | Pending::Look { .. })
        });
    }

    /// A process of this epoch leads from now on.
    pub(crate) fn lead(&mut self, now: Time, epoch: u64) {
        self.epoch = epoch;
        self.started = now;
        self.fences.clear();
    }

    /// The database is put aside.
    pub(crate) fn back_up(&mut self) {
        let (rows, numbered) = (self.rows.clone(), self.numbered.clone());
        self.backup = Some(Backup { rows, numbered, accepted: self.accepted.clone() });
    }

    /// What was put aside takes the place of what there is. Whom the machines called then is no more: who was well is away
    /// until it calls, and proves itself anew. Whether there was anything.
    pub(crate) fn restore(&mut self, now: Time) -> bool {
        let Some(Backup { rows, numbered, accepted }) = self.backup.clone() else { return false };
        (self.rows, self.numbered, self.accepted) = (rows, numbered, accepted);
        self.queue.retain(|_, pending| {
            matches!(pending, Pending::Happen { .. } | Pending::Link { .. } | Pending::Poll(_) | Pending::Silence(_))
        });
        for machine in 0..self.machines.len() {
            if let Some(seen) =
                newest(Arc::make_mut(&mut self.rows[machine])).filter(|seen| seen.ready_since().is_some())
            {
                seen.phase = Phase::Away { since: now };
                self.stamp(machine);
            }
            self.link(now, machine, self.machines[machine].is_linked);
        }
        true
    }

    pub(crate) fn start(&mut self, now: Time, command: Command, under: u64) {
        match command {
            Command::Observe { ticket, what } => {
                if !self.chance(3) {
                    self.push(now, 30, Pending::Look { ticket, what });
                }
            }
            Command::Run { ticket, unit, step, stamp } => {
                let machine = self.number(&unit);
                let (fails, is_slow, is_lost) = (self.chance(3), self.chance(2), self.chance(2));
                let lands = !fails || self.chance(50);
                let delay = if is_slow { 60_000 } else { 100 };
                let order = Pending::Land { ticket, machine, step, stamp, under, fails, is_heard_of: !is_lost };
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
                Pending::Land { ticket, machine, step, stamp, under, fails, is_heard_of } => {
                    let result = self.land(now, ticket, machine, step, stamp, under);
                    let result = if fails { Err(Fault::Again("refused".into())) } else { result };
                    if is_heard_of {
                        events.push(Event::Done { ticket, unit: self.ids[machine].clone(), result });
                    }
                }
                Pending::Report(event) => events.push(event),
                Pending::Look { ticket, what } => events.push(self.look(ticket, what)),
                Pending::Accept { ticket, accepted } => {
                    let result = self.check_leads(ticket).map(|()| self.accepted = Some(accepted));
                    events.push(Event::Accepted { ticket, result });
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

    /// A machine has trouble that is no commit's fault, and gets over it.
    pub(crate) fn stumble(&mut self, now: Time, machine: usize) {
        let Machine { takes, runs, .. } = self.machines[machine];
        if self.healths.get(&runs) != Some(&Health::Works) {
            return;
        }
        self.push(now, 10, Pending::Happen { machine, takes, what: Happens::Unready });
        let back = now + Time::from_secs(5 + self.rng.below(60));
        self.push(back, 10, Pending::Happen { machine, takes, what: Happens::Ready });
    }

    /// What failed on a machine is forgotten.
    pub(crate) fn forgive(&mut self, machine: usize) {
        Arc::make_mut(&mut self.rows[machine]).bad.clear();
    }

    /// The owner of a machine has it take nothing for some time.
    pub(crate) fn suspend(&mut self, now: Time, machine: usize, is_suspended: bool) {
        self.machines[machine].is_suspended = is_suspended;
        self.push(now, 500, Pending::Poll(machine));
    }

    fn check_leads(&self, ticket: Ticket) -> Result<(), Fault> {
        let leads = ticket.epoch == self.epoch || mutant::is(Mutant::OldLeaderObeyed);
        if leads { Ok(()) } else { Err(Fault::Again("another hub leads".into())) }
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
            if **row != Record::NOTHING {
                world.units.insert(self.ids[machine].clone(), Arc::clone(row));
            }
        }
        Event::Seen { ticket, world }
    }

    fn land(
        &mut self,
        now: Time,
        ticket: Ticket,
        machine: usize,
        step: Step,
        stamp: u64,
        under: u64,
    ) -> Result<(), Fault> {
        self.check_leads(ticket)?;
        let fence = self.fences.entry(machine).or_default();
        if ticket < *fence {
            return Err(Fault::Again("too late".into()));
        }
        *fence = ticket;
        let is_told = matches!(step, Step::Start { .. } | Step::Update { .. });
        if is_told && stamp != self.rows[machine].stamp && !mutant::is(Mutant::StampIgnored) {
            return Err(Fault::Again("it isn't as it was seen".into()));
        }
        let was_missed = self.rows[machine].serving().is_some() && self.rows[machine].good.is_some();
        let was_away = self.rows[machine].live().any(|seen| matches!(seen.phase, Phase::Away { .. }));
        let row = Arc::make_mut(&mut self.rows[machine]);
        if matches!(step, Step::Start { .. }) {
            row.instances.clear();
        }
        apply(row, now, ticket, Kind::Machine, step);
        if is_told {
            if let Some(seen) = newest(row) {
                let away = Phase::Away { since: now };
                let told = Phase::Running { started: now, ready: None, failing: false };
                seen.role = Role::Active;
                seen.phase = if was_away { away } else { told };
            }
            self.numbered[machine] = (self.numbered[machine] + 1).max(millis(now));
            self.told.push(Told { machine, was_missed, under });
            if self.machines[machine].is_linked {
                let delay = if self.machines[machine].lags { 8_000 } else { 800 };
                self.push(now, delay, Pending::Poll(machine));
            } else if !was_away {
                self.push(now + Time::from_secs(30), 1_000, Pending::Silence(machine));
            }
        }
        self.stamp(machine);
        Ok(())
    }

    /// A row changed.
    fn stamp(&mut self, machine: usize) {
        self.stamps += 1;
        let row = Arc::make_mut(&mut self.rows[machine]);
        row.stamp = if row.instances.is_empty() { 0 } else { self.stamps };
    }

    /// A machine calls: it says how it is, and hears what it is to be.
    fn poll(&mut self, now: Time, machine: usize) {
        let it = &mut self.machines[machine];
        let Some(seen) = newest(Arc::make_mut(&mut self.rows[machine])).filter(|_| it.is_linked) else { return };
        let target = Target { number: self.numbered[machine], revision: revision(&seen.want) };
        let health = self.healths.get(&target.revision).copied().unwrap_or(Health::Works);
        let before = it.took;
        let coming = it.hear(target, health, machine % 2 == 1, &mut self.rng);
        if it.took != before {
            self.took.push((machine, target.number));
        }
        let (takes, report) = (it.takes, it.report());
        let mut told = None;
        // Numbers are times, and what this process told is in its rows: what is newer is made up.
        let is_forgotten = report.of.number > target.number && report.of.number <= millis(self.started);
        if is_forgotten && report.state == State::Ready {
            seen.want = want(machine, report.of.revision);
            self.numbered[machine] = report.of.number;
            told = Some(Phase::Running { started: now, ready: Some(now), failing: false });
        }
        let phase = told.unwrap_or_else(|| take_in(report, target, now, seen.phase));
        if std::mem::replace(&mut seen.phase, phase) != phase || told.is_some() {
            self.stamp(machine);
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
        let Some(seen) = newest(Arc::make_mut(&mut self.rows[machine])).filter(|_| !it.is_linked) else { return };
        let Phase::Running { ready, .. } = seen.phase else { return };
        let took_it = it.took.is_some_and(|took| took.number == self.numbered[machine]);
        if ready.is_some() || !took_it {
            seen.phase = Phase::Away { since: now };
            self.stamp(machine);
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

/// How a machine that was told `target` is, by what it says.
fn take_in(report: Report, target: Target, now: Time, before: Phase) -> Phase {
    let (started, since) = match before {
        Phase::Running { started, ready, .. } => (started, ready),
        // It came back.
        Phase::Exited { .. } | Phase::Away { .. } => (now, None),
    };
    let running = |ready| Phase::Running { started, ready, failing: false };
    match report.state {
        State::Suspended if matches!(before, Phase::Away { .. }) => before,
        State::Suspended => Phase::Away { since: now },
        _ if report.of.number != target.number => running(None),
        State::Changing => running(None),
        State::Ready => running(since.or(Some(now))),
        State::Failed => Phase::Exited { started, at: now, code: 1 },
    }
}

fn millis(at: Time) -> u64 {
    at.as_millis() as u64
}
