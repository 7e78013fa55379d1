//! A machine that obeys at once, unless it is told not to.
//!
//! What a container does follows from its image: `exits:…` ends with 1 as soon as it starts, `job:…` with 0, `unready:…`
//! never becomes ready, and `missing:…` can't be prepared. Every other one is ready when it has started.

use abide_reconcile::{
    Accepted, Command, Event, Fault, Look, Observed, Permit, Phase, Reconciler, Record, SourceId, Step, Time, UnitId,
    UnitSpec, Want,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) units: BTreeMap<UnitId, Record>,
    pub(crate) permits: BTreeSet<Arc<Permit>>,
    pub(crate) accepted: BTreeMap<SourceId, Accepted>,
    /// Orders to these are sat upon; so are looks, if there is no unit.
    pub(crate) hung: BTreeMap<Option<UnitId>, Vec<Command>>,
    /// Steps to these fail.
    pub(crate) faults: BTreeMap<UnitId, Fault>,
    /// Nothing can be written.
    pub(crate) disk_is_full: bool,
}

impl Machine {
    /// Carries out a command, and answers if it is told by then.
    pub(crate) fn obey(&mut self, now: Time, command: Command) -> Option<Event> {
        let unit = match &command {
            Command::Run { unit, .. } => Some(unit.clone()),
            Command::Observe { .. } => None,
            Command::Accept { .. } | Command::Cancel(_) => return self.carry_out(now, command),
        };
        match self.hung.get_mut(&unit) {
            Some(sat_upon) => {
                sat_upon.push(command);
                None
            }
            None => self.carry_out(now, command),
        }
    }

    fn carry_out(&mut self, now: Time, command: Command) -> Option<Event> {
        match command {
            Command::Observe { ticket, what } => {
                let is_covered = |unit: &UnitId| match &what {
                    Look::All => true,
                    Look::Units(units) => units.contains(unit),
                };
                let seen = self.units.iter().filter(|(unit, _)| is_covered(unit));
                let units = seen.map(|(unit, record)| (unit.clone(), Arc::new(record.clone()))).collect();
                Some(Event::Seen { ticket, world: Observed { units, permits: self.permits.clone() } })
            }
            Command::Run { ticket, unit, step, .. } => {
                let fault = self.faults.get(&unit).cloned().or_else(|| refusal(&step));
                let result = fault.map_or(Ok(()), Err);
                if result.is_ok() {
                    let record = self.units.entry(unit.clone()).or_default();
                    let booted = matches!(step, Step::Start { .. }).then_some(ticket);
                    abide_sim::apply(record, now, ticket, unit.kind, step);
                    for seen in record.instances.iter_mut().filter(|seen| Some(seen.instance) == booted) {
                        let phase = fate(now, &seen.want, seen.phase);
                        Arc::make_mut(seen).phase = phase;
                    }
                    self.units.retain(|_, record| *record != Record::NOTHING);
                }
                Some(Event::Done { ticket, unit, result })
            }
            Command::Accept { ticket, source, accepted } => {
                if self.disk_is_full {
                    return Some(Event::Accepted { ticket, result: Err(Fault::Again("disk full".into())) });
                }
                self.accepted.insert(source, accepted);
                Some(Event::Accepted { ticket, result: Ok(()) })
            }
            Command::Cancel(cancelled) => {
                let sat_upon = self.hung.values_mut().flat_map(|commands| {
                    let is_it = |command: &mut Command| {
                        matches!(command, Command::Run { ticket, step: Step::Prepare { .. }, .. } if *ticket == cancelled)
                    };
                    commands.extract_if(.., is_it).collect::<Vec<_>>()
                });
                sat_upon.last().and_then(|command| match command {
                    Command::Run { ticket, unit, .. } => {
                        Some(Event::Done { ticket, unit, result: Err(Fault::Cancelled) })
                    }
                    _ => None,
                })
            }
        }
    }

    /// What was sat upon is done after all.
    pub(crate) fn land(&mut self, now: Time, unit: &Option<UnitId>) -> Vec<Event> {
        let sat_upon = self.hung.remove(unit).unwrap_or_default();
        sat_upon.into_iter().filter_map(|command| self.carry_out(now, command)).collect()
    }

    /// Something happens to what lives of a unit.
    pub(crate) fn set_phase(&mut self, unit: &UnitId, change: impl Fn(Time) -> Phase) -> Event {
        let record = self.units.get_mut(unit).unwrap();
        let newest = record.instances.iter_mut().filter(|seen| seen.is_live()).max_by_key(|seen| seen.instance);
        if let Some(seen) = newest
            && let Phase::Running { started, .. } = seen.phase
        {
            Arc::make_mut(seen).phase = change(started);
        }
        Event::Changed([unit.clone()].into())
    }

    /// A person wants it tried again: that is written before the core hears of it.
    pub(crate) fn forgive(&mut self, unit: &UnitId) -> Event {
        if let Some(record) = self.units.get_mut(unit) {
            record.bad.clear();
            record.completed = None;
        }
        Event::Retry(unit.clone())
    }

    /// All that runs is gone, and what happened to it forgotten.
    pub(crate) fn reboot(&mut self) {
        for (_, record) in self.units.iter_mut().filter(|(unit, _)| unit.kind != abide_reconcile::Kind::Volume) {
            record.instances.clear();
        }
    }
}

/// Lets time pass and permits everything, until there is nothing left to do or to wait for; says whether it came to that.
pub(crate) fn settle(core: &mut Reconciler, machine: &mut Machine, now: &mut Time) -> bool {
    for _ in 0..200 {
        while let Some(command) = core.poll(*now) {
            if let Some(event) = machine.obey(*now, command) {
                core.handle(*now, event);
            }
        }
        if core.is_settled() {
            return true;
        }
        let plan = core.plan();
        machine.permits.extend(plan.held.into_values().chain(plan.late.into_values()).map(Arc::new));
        *now = core.wake_at(*now).unwrap();
    }
    false
}

fn image(want: &Want) -> &str {
    match &want.unit.spec {
        UnitSpec::Container(spec) => spec.image.split(':').next().unwrap(),
        UnitSpec::VirtualMachine(_) | UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => "",
    }
}

fn refusal(step: &Step) -> Option<Fault> {
    match step {
        Step::Prepare { want } if image(want) == "missing" => Some(Fault::Never("no such image".into())),
        _ => None,
    }
}

fn fate(now: Time, want: &Want, phase: Phase) -> Phase {
    let exited = |code| Phase::Exited { started: now, at: now, code };
    match image(want) {
        "exits" => exited(1),
        "job" => exited(0),
        "unready" => phase,
        _ => Phase::Running { started: now, ready: Some(now), failing: false },
    }
}
