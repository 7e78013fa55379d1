//! The one loop, as a state machine without I/O, clock or tasks.
//!
//! The driver's whole duty is: hand in an [`Event`], take [`Command`]s from [`Reconciler::poll`] until there is none, then
//! sleep until the next event or [`Reconciler::wake_at`].

use crate::{
    agenda::Agenda,
    board::Board,
    decide::decide,
    flights::Flights,
    guard::{Held, Moment},
    id::{SourceId, Ticket, Time},
    limits::Limits,
    look::Looks,
    mutant::{self, Mutant},
    order::{Accepted, Command, Event, Look},
    places::Turn,
    plan::{Next, Plan},
    seen::Observed,
    source::{Accepting, Says, Source},
};
use abide_spec::UnitId;
use std::{collections::BTreeSet, sync::Arc};

/// The one state machine that decides about units.
#[derive(Debug)]
pub struct Reconciler {
    pub(crate) limits: Limits,
    pub(crate) tickets: Ticket,
    pub(crate) board: Board,
    pub(crate) looks: Looks,
    agenda: Agenda,
    timers: BTreeSet<(Time, UnitId)>,
    pub(crate) flights: Flights,
}

impl Reconciler {
    /// `epoch` is durable and larger than that of any agent before on the same machine.
    pub fn new(limits: Limits, epoch: u64) -> Self {
        let epoch = if mutant::is(Mutant::ForgetEpoch) { 0 } else { epoch };
        Self {
            limits,
            tickets: Ticket { epoch, n: 0 },
            board: Board::default(),
            looks: Looks::default(),
            agenda: Agenda::default(),
            timers: BTreeSet::new(),
            flights: Flights::default(),
        }
    }

    /// One that knows this world and nothing else, to ask it for a [`crate::preview()`] where no agent runs.
    pub fn of_world(limits: Limits, world: Observed) -> Self {
        let mut core = Self::new(limits, 0);
        // The first thing that any wants is to see the world.
        if let Some(Command::Observe { ticket, .. }) = core.poll(Time::ZERO) {
            core.handle(Time::ZERO, Event::Seen { ticket, world });
        }
        core
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Time, event: Event) {
        match event {
            Event::Restored { source, accepted } => self.board.source(&source).restored = Some(accepted),
            Event::Wish { source, generation, wish } => {
                if self.board.source(&source).hear(generation, wish) {
                    self.board.rejudge(&source);
                    let owned: Vec<UnitId> = self.board.source(&source).owned.keys().cloned().collect();
                    self.board.dirty.extend(owned);
                }
            }
            Event::Retry(unit) => {
                if self.board.units.contains_key(&unit) {
                    self.board.change(&unit, |entry| {
                        entry.orders.trouble = None;
                        entry.retry = true;
                        entry.seat.iter_mut().for_each(|seat| seat.turn = Turn::First);
                    });
                }
            }
            Event::Changed(units) => self.looks.want(units),
            Event::Seen { ticket, world } => self.see(ticket, world),
            Event::Blind(ticket) => self.looks.fail(ticket, now + self.limits.retry_min),
            Event::Progress(ticket) => self.progress(now, ticket),
            Event::Done { ticket, unit, result } => self.end(now, ticket, &unit, result),
            Event::Accepted { ticket, result } => self.accepted(now, ticket, result.is_ok()),
        }
    }

    /// The next thing for the driver to do. Call it until there is none.
    pub fn poll(&mut self, now: Time) -> Option<Command> {
        self.fire_timers(now);
        self.refresh(now);
        if let Some(ticket) = self.give_up(now) {
            return Some(Command::Cancel(ticket));
        }
        if let Some(command) = self.accept(now) {
            return Some(command);
        }
        self.looks.give_up(now);
        if let Some(what) = self.looks.next(now, self.tickets, &self.limits) {
            return Some(Command::Observe { ticket: self.take_ticket(), what });
        }
        let is_free = self.flights.prepares() < self.limits.prepares_max;
        if let Some(unit) = is_free.then(|| self.agenda.prepares.pop_first()).flatten() {
            return Some(self.issue(now, &unit));
        }
        let is_free = self.flights.others() < self.limits.orders_max;
        let unit = is_free.then(|| self.agenda.steps.pop_first()).flatten()?;
        Some(self.issue(now, &unit))
    }

    /// When to poll again if nothing happens before. Always later than `now`: what is due was done by [`Self::poll`].
    pub fn wake_at(&self, now: Time) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let accepts = self.board.sources.values().filter_map(|source| source.accepting.as_ref());
        let accepts = accepts.map(|accepting| accepting.asked.map_or(accepting.not_before, |(_, deadline)| deadline));
        let all = self.flights.deadline().into_iter().chain(timer).chain([self.looks.wake_at()]).chain(accepts);
        all.filter(|at| *at > now).min()
    }

    /// The plan as things stand after the last [`Reconciler::poll`].
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        for (id, source) in &self.board.sources {
            if let Some((moment, held)) = self.asks(id, source) {
                let asked = if moment == Moment::Before { &mut plan.held } else { &mut plan.late };
                asked.insert(id.clone(), held.permit);
            }
        }
        for unit in self.agenda.iter() {
            match self.board.units.get(unit).map(|entry| &entry.next) {
                Some(Next::Step(step)) => {
                    plan.steps.insert(unit.clone(), step.clone());
                }
                Some(Next::Wait(why)) => {
                    plan.waiting.insert(unit.clone(), why.clone());
                }
                Some(Next::Settled) | None => {}
            }
        }
        plan
    }

    /// Nothing to do, nothing to wait for.
    pub fn is_settled(&self) -> bool {
        let is_asking = |(id, source)| self.asks(id, source).is_some();
        let accepts = self.board.sources.values().any(|source| source.accepting.is_some());
        self.agenda.is_empty() && self.is_up_to_date() && !accepts && !self.board.sources.iter().any(is_asking)
    }

    /// The plan is that of all that is known. It isn't before the world was seen, and between an event and the next poll.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.looks.has_seen_all() && self.board.is_judged()
    }

    /// Decides everything anew, as if all had changed: what comes out must be what the plan says already.
    pub fn plan_from_scratch(&mut self, now: Time) -> Plan {
        self.board.dirty.extend(self.board.units.keys().cloned());
        self.refresh(now);
        self.plan()
    }

    /// What a person is asked to permit for this source: of a wish that is held, or of late finds.
    pub(crate) fn asks(&self, id: &SourceId, source: &Source) -> Option<(Moment, Held)> {
        let guard = |wish, removals, moment| {
            let held = source.guard(id, wish, removals, moment, &self.board.permits, &self.limits).err()?;
            Some((moment, held))
        };
        match (&source.says, &source.held, &source.in_force) {
            (Says::Complete, Some(wish), _) => guard(wish, &source.removals(Some(wish)), Moment::Before),
            (Says::Complete, None, Some(wish)) => guard(wish, &source.going, Moment::Late),
            _ => None,
        }
    }

    fn see(&mut self, ticket: Ticket, world: Observed) {
        let Some((what, asked)) = self.looks.end(ticket) else { return };
        let nothing_of: Vec<UnitId> = match what {
            Look::All => self.board.units.keys().filter(|unit| !world.units.contains_key(unit)).cloned().collect(),
            Look::Units(units) => units.into_iter().filter(|unit| !world.units.contains_key(unit)).collect(),
        };
        if self.board.permits != world.permits {
            self.board.permits = world.permits;
            self.board.rejudge_all();
        }
        for unit in nothing_of {
            self.board.set_record(&unit, &Arc::default());
            self.freshen(ticket, asked, &unit);
        }
        for (unit, record) in world.units {
            self.board.set_record(&unit, &record);
            self.freshen(ticket, asked, &unit);
        }
    }

    /// A look that was asked for after the unit's last order ended knows how it ended.
    fn freshen(&mut self, look: Ticket, asked: Time, unit: &UnitId) {
        let Some(entry) = self.board.units.get_mut(unit) else { return };
        entry.seen_at = asked;
        if entry.seat.as_ref().is_some_and(|seat| !seat.counted.is_at_rest()) {
            self.board.uncounted.insert(unit.clone());
        }
        // What is ready for so long is judged by when it was seen.
        if entry.next != Next::Settled {
            self.board.dirty.insert(unit.clone());
        }
        if entry.orders.stale.as_ref().is_some_and(|stale| look >= stale.until) {
            self.board.change(unit, |entry| entry.orders.stale = None);
        }
    }

    /// Brings the plan up to date with what changed.
    fn refresh(&mut self, now: Time) {
        if !self.looks.has_seen_all() {
            return;
        }
        self.board.judge(now, &self.limits);
        self.board.count(&self.limits);
        while let Some(unit) = self.board.dirty.pop_first() {
            let Some(entry) = self.board.units.get(&unit) else { continue };
            let decision = decide(&self.board, &self.limits, now, &unit, entry);
            self.flights.judge(&self.board, &unit, entry);
            let (next, again_at) = self.board.place(&unit, decision, &self.limits);
            let Some(entry) = self.board.units.get_mut(&unit) else { continue };
            self.agenda.change(&unit, &entry.next, &next);
            if entry.next != next {
                self.board.changed.insert(unit.clone());
            }
            let timer = again_at.filter(|at| *at > now);
            if again_at.is_some() && timer.is_none() {
                // It came while the look was under way: as in `fire_timers`, but nothing is left to fire.
                self.looks.want([unit.clone()].into());
            }
            if entry.timer != timer {
                if let Some(old) = std::mem::replace(&mut entry.timer, timer) {
                    self.timers.remove(&(old, unit.clone()));
                }
                self.timers.extend(timer.map(|at| (at, unit.clone())));
            }
            if next == Next::Settled && entry.is_empty() {
                self.board.units.remove(&unit);
            } else {
                entry.next = next;
            }
        }
    }

    /// A time that was waited for asks for a look: what is ready for so long is judged by what is seen, not by the clock.
    fn fire_timers(&mut self, now: Time) {
        while let Some((_, unit)) = self.timers.pop_first_if(|(at, _)| *at <= now) {
            if let Some(entry) = self.board.units.get_mut(&unit) {
                entry.timer = None;
            }
            self.looks.want([unit.clone()].into());
            self.board.dirty.insert(unit);
        }
    }

    /// A wish that passed the guard, to be written before anything is done about it.
    fn accept(&mut self, now: Time) -> Option<Command> {
        let ticket = self.tickets;
        let deadline = now + self.limits.silence_max;
        let (source, accepted) = self.board.sources.iter_mut().find_map(|(id, source)| {
            let accepting = source.accepting.as_mut()?;
            let is_due = accepting.asked.map_or(now >= accepting.not_before, |(_, deadline)| now >= deadline);
            if !is_due {
                return None;
            }
            accepting.asked = Some((ticket, deadline));
            Some((id.clone(), accepting.accepted.clone()))
        })?;
        self.take_ticket();
        Some(Command::Accept { ticket, source, accepted })
    }

    fn accepted(&mut self, now: Time, ticket: Ticket, is_written: bool) {
        let is_it = |accepting: &Accepting| accepting.asked.is_some_and(|(asked, _)| asked == ticket);
        let found = self.board.sources.iter_mut().find(|(_, source)| source.accepting.as_ref().is_some_and(is_it));
        let Some((id, source)) = found else { return };
        let Some(mut accepting) = source.accepting.take() else { return };
        let id = id.clone();
        if is_written {
            self.board.put_in_force(&id, accepting.accepted);
        } else {
            accepting.asked = None;
            accepting.not_before = now + self.limits.retry_min;
            source.accepting = Some(accepting);
        }
    }

    pub(crate) fn take_ticket(&mut self) -> Ticket {
        let ticket = self.tickets;
        self.tickets.n += 1;
        ticket
    }

    /// Units whose [`Reconciler::unit_status`] may be another since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<UnitId> {
        std::mem::take(&mut self.board.changed)
    }

    /// What is in force of a source, if anything.
    pub fn in_force(&self, source: &SourceId) -> Option<&Accepted> {
        self.board.sources.get(source).filter(|source| source.in_force.is_some()).map(|source| &source.accepted)
    }
}

/// `BTreeSet::pop_first` with a condition.
trait PopFirstIf<T> {
    fn pop_first_if(&mut self, condition: impl FnOnce(&T) -> bool) -> Option<T>;
}

impl<T: Ord> PopFirstIf<T> for BTreeSet<T> {
    fn pop_first_if(&mut self, condition: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.first().is_some_and(condition) { self.pop_first() } else { None }
    }
}
