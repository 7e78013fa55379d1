//! Orders under way: how they are given, how they end, and what is believed of those that don't.

use crate::{
    board::Board,
    entry::{Flight, Orders},
    id::{Ticket, Time},
    order::{Command, Fault, Step, Verdict},
    plan::Next,
    reconciler::Reconciler,
};
use abide_spec::UnitId;
use std::collections::BTreeMap;

/// Which unit an order is for. The order itself is in the unit's entry.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    units: BTreeMap<Ticket, UnitId>,
    prepares: usize,
}

impl Flights {
    pub(crate) fn prepares(&self) -> usize {
        self.prepares
    }

    pub(crate) fn others(&self) -> usize {
        self.units.len() - self.prepares
    }

    /// When the first of them is given up.
    pub(crate) fn deadline(&self, board: &Board) -> Option<Time> {
        let flights = self.units.values().filter_map(|unit| board.units.get(unit)?.orders.flight.as_ref());
        flights.map(|flight| flight.deadline).min()
    }
}

impl Reconciler {
    /// Gives the order that is next for the unit.
    pub(crate) fn issue(&mut self, now: Time, unit: &UnitId) -> Command {
        let ticket = self.take_ticket();
        let deadline = now + self.limits.silence_max;
        let version = self.board.units.get(unit).and_then(|entry| self.board.target(unit, entry).want());
        let version = version.map(|want| want.digest);
        let step = self.board.change(unit, |entry| {
            let Next::Step(step) = &entry.next else { unreachable!("the fronts hold units with a step") };
            let step = step.clone();
            entry.orders.flight = Some(Flight { ticket, step: step.clone(), version, deadline, cancelled: false });
            step
        });
        self.flights.units.insert(ticket, unit.clone());
        self.flights.prepares += usize::from(matches!(step, Step::Prepare { .. }));
        Command::Run { ticket, unit: unit.clone(), step }
    }

    pub(crate) fn progress(&mut self, now: Time, ticket: Ticket) {
        let deadline = now + self.limits.silence_max;
        if let Some(flight) = self.flight(ticket) {
            flight.deadline = deadline;
        }
    }

    /// An order that is not heard of any more, or whose purpose is gone.
    pub(crate) fn give_up(&mut self, now: Time) -> Option<Ticket> {
        let (ticket, unit, is_silent) = self.flights.units.iter().find_map(|(ticket, unit)| {
            let entry = self.board.units.get(unit)?;
            let flight = entry.orders.flight.as_ref()?;
            let is_silent = now >= flight.deadline;
            let target = self.board.target(unit, entry).want();
            let is_obsolete = !flight.cancelled
                && matches!(&flight.step, Step::Prepare { want }
                    if target.is_none_or(|target| target.digest != want.digest));
            (is_silent || is_obsolete).then(|| (*ticket, unit.clone(), is_silent))
        })?;
        if is_silent {
            let limits = self.limits;
            self.land(ticket, &unit, |orders, flight| {
                let fault = Fault::Again(format!("no sign of life for {:?}", limits.silence_max).into());
                orders.fail(now, &limits, flight.version, &fault);
                if flight.step != Step::Fence {
                    orders.doubts.push(flight);
                }
            });
        } else if let Some(flight) = self.flight(ticket) {
            flight.cancelled = true;
        }
        Some(ticket)
    }

    pub(crate) fn end(&mut self, now: Time, ticket: Ticket, unit: &UnitId, result: Result<(), Fault>) {
        if !self.flights.units.contains_key(&ticket) {
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
        self.flights.units.remove(&ticket);
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

    fn flight(&mut self, ticket: Ticket) -> Option<&mut Flight> {
        let unit = self.flights.units.get(&ticket)?;
        self.board.units.get_mut(unit)?.orders.flight.as_mut()
    }
}
