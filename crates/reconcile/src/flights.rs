//! Orders under way: how they are given, how they end, and what is believed of those that don't.

use crate::{
    board::Board,
    entry::{Entry, Flight, Orders},
    id::{Ticket, Time},
    order::{Command, Fault, Step, Verdict},
    plan::Next,
    reconciler::Reconciler,
};
use abide_spec::UnitId;
use std::collections::{BTreeMap, BTreeSet};

/// Which orders are under way. What each is, is in its unit's entry.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    tickets: BTreeMap<Ticket, Aloft>,
    prepares: usize,
    /// Preparations of what is no target any more.
    obsolete: BTreeSet<Ticket>,
}

#[derive(Debug)]
struct Aloft {
    unit: UnitId,
    /// Without a sign of life until then it is given up.
    deadline: Time,
}

impl Flights {
    pub(crate) fn prepares(&self) -> usize {
        self.prepares
    }

    pub(crate) fn others(&self) -> usize {
        self.tickets.len() - self.prepares
    }

    /// When the first of them is given up.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.tickets.values().map(|aloft| aloft.deadline).min()
    }

    /// What becomes of the unit may be something else now: whether its order still has a purpose.
    pub(crate) fn judge(&mut self, board: &Board, unit: &UnitId, entry: &Entry) {
        let Some(Flight { ticket, step: Step::Prepare { want }, cancelled: false, .. }) = &entry.orders.flight else {
            return;
        };
        let is_wanted = board.target(unit, entry).want().is_some_and(|target| target.digest == want.digest);
        if is_wanted {
            self.obsolete.remove(ticket)
        } else {
            self.obsolete.insert(*ticket)
        };
    }
}

impl Reconciler {
    /// Gives the order that is next for the unit.
    pub(crate) fn issue(&mut self, now: Time, unit: &UnitId) -> Command {
        let ticket = self.take_ticket();
        let deadline = now + self.limits.silence_max;
        let version = self.board.units.get(unit).and_then(|entry| self.board.target(unit, entry).want());
        let version = version.map(|want| want.digest);
        let (step, stamp) = self.board.change(unit, |entry| {
            let Next::Step(step) = &entry.next else { unreachable!("the fronts hold units with a step") };
            let step = step.clone();
            entry.orders.flight = Some(Flight { ticket, step: step.clone(), version, cancelled: false });
            (step, entry.record.stamp)
        });
        self.flights.tickets.insert(ticket, Aloft { unit: unit.clone(), deadline });
        self.flights.prepares += usize::from(matches!(step, Step::Prepare { .. }));
        Command::Run { ticket, unit: unit.clone(), step, stamp }
    }

    pub(crate) fn progress(&mut self, now: Time, ticket: Ticket) {
        if let Some(aloft) = self.flights.tickets.get_mut(&ticket) {
            aloft.deadline = now + self.limits.silence_max;
        }
    }

    /// An order that is not heard of any more, or whose purpose is gone.
    pub(crate) fn give_up(&mut self, now: Time) -> Option<Ticket> {
        let silent = self.flights.tickets.iter().find(|(_, aloft)| now >= aloft.deadline);
        if let Some((ticket, unit)) = silent.map(|(ticket, aloft)| (*ticket, aloft.unit.clone())) {
            let limits = self.limits;
            self.land(ticket, &unit, |orders, flight| {
                let fault = Fault::Again(format!("no sign of life for {:?}", limits.silence_max).into());
                orders.fail(now, &limits, flight.version, &fault);
                if flight.step != Step::Fence {
                    orders.doubts.push(flight);
                }
            });
            return Some(ticket);
        }
        let ticket = self.flights.obsolete.pop_first()?;
        let unit = &self.flights.tickets.get(&ticket)?.unit;
        if let Some(flight) = self.board.units.get_mut(unit).and_then(|entry| entry.orders.flight.as_mut()) {
            flight.cancelled = true;
        }
        Some(ticket)
    }

    pub(crate) fn end(&mut self, now: Time, ticket: Ticket, unit: &UnitId, result: Result<(), Fault>) {
        if !self.flights.tickets.contains_key(&ticket) {
            self.end_doubt(ticket, unit);
            return;
        }
        let (limits, until) = (self.limits, self.tickets);
        let is_retried = self.land(ticket, unit, |orders, flight| match result {
            Ok(()) => {
                orders.succeed(&flight, until);
                flight.step == Step::Mark(Verdict::Retry)
            }
            Err(Fault::Cancelled) if flight.cancelled => false,
            Err(fault) => {
                orders.fail(now, &limits, flight.version, &fault);
                false
            }
        });
        if is_retried {
            self.board.change(unit, |entry| entry.retry = false);
        }
    }

    /// Late news of an order that was given up: at least it is over now.
    fn end_doubt(&mut self, ticket: Ticket, unit: &UnitId) {
        let until = self.tickets;
        let doubts = self.board.units.get(unit).map(|entry| &entry.orders.doubts);
        if doubts.is_some_and(|doubts| doubts.iter().any(|doubt| doubt.ticket == ticket)) {
            self.board.change(unit, |entry| {
                let over: Vec<Flight> = entry.orders.doubts.extract_if(.., |doubt| doubt.ticket == ticket).collect();
                entry.orders.unseen(until, over.into_iter().map(|flight| flight.step));
            });
            self.looks.want([unit.clone()].into());
        }
    }

    /// Takes a flight off the list; the unit is not known any more before it is looked at.
    fn land<T>(&mut self, ticket: Ticket, unit: &UnitId, end: impl FnOnce(&mut Orders, Flight) -> T) -> T {
        self.flights.tickets.remove(&ticket);
        self.flights.obsolete.remove(&ticket);
        let until = self.tickets;
        let (is_prepare, result) = self.board.change(unit, |entry| {
            let flight = entry.orders.flight.take().expect("listed flights are under way");
            let is_prepare = matches!(flight.step, Step::Prepare { .. });
            entry.orders.unseen(until, [flight.step.clone()]);
            (is_prepare, end(&mut entry.orders, flight))
        });
        self.flights.prepares -= usize::from(is_prepare);
        self.looks.want([unit.clone()].into());
        result
    }
}
