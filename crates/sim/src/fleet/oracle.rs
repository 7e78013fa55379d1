//! What must never happen in a fleet: judged on what the hub knew, and on its rows.

use super::{
    hub::{Hub, Told},
    machine::Honesty,
    revision::{Roster, revision},
};
use abide_reconcile::{Away, Look, Observed, Phase, Record, Step, UnitId};
use std::collections::{BTreeMap, BTreeSet};

/// What was wished under a generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) unavailable_max: usize,
    pub(crate) away: Away,
    pub(crate) paused: bool,
    pub(crate) revision: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) rules: BTreeMap<u64, Rules>,
    /// Machines that served, were told something, and were not ready since.
    disturbed: BTreeSet<usize>,
    /// What the core was shown last, since the hub was started.
    seen_down: BTreeSet<usize>,
    seen_away: BTreeSet<usize>,
    seen_ready: BTreeSet<usize>,
}

impl Oracle {
    pub(crate) fn restart(&mut self) {
        self.seen_down.clear();
        self.seen_away.clear();
        self.seen_ready.clear();
    }

    /// The core is shown these.
    pub(crate) fn show(&mut self, hub: &Hub, look: &Look, world: &Observed) {
        match look {
            Look::All => self.restart(),
            Look::Units(units) => units.iter().for_each(|unit| self.forget(hub.number(unit))),
        }
        for (unit, record) in &world.units {
            let machine = hub.number(unit);
            let is_away = record.live().any(|seen| matches!(seen.phase, Phase::Away { .. }));
            let is_ready = record.serving().is_some();
            let seen = match (is_away, is_ready) {
                (true, _) => &mut self.seen_away,
                (false, true) => &mut self.seen_ready,
                (false, false) => &mut self.seen_down,
            };
            seen.insert(machine);
        }
    }

    fn forget(&mut self, machine: usize) {
        for seen in [&mut self.seen_away, &mut self.seen_ready, &mut self.seen_down] {
            seen.remove(&machine);
        }
    }

    /// An order is given.
    pub(crate) fn order(
        &self,
        hub: &Hub,
        roster: &Roster,
        under: u64,
        unit: &UnitId,
        step: &Step,
    ) -> Result<(), String> {
        let (Step::Start { want, .. } | Step::Update { to: want, .. }) = step else { return Ok(()) };
        let Some(rules) = self.rules.get(&under) else { return Err(format!("{unit} told something under no wish")) };
        let (machine, told) = (hub.number(unit), revision(want));
        let row = &hub.rows[machine];
        if rules.paused && told == rules.revision && !has(row, told) {
            return Err(format!("{unit} told {told} in a pause"));
        }
        if row.bad.contains(&want.digest) && row.good.as_ref().is_some_and(|good| good.digest != want.digest) {
            return Err(format!("{unit} told {told}, which is marked bad"));
        }
        // Who failed with it and has no way back may try again.
        if !has(row, told) {
            self.check_wave(hub, roster, machine, told)?;
        }
        let away = if rules.away == Away::Counts { self.seen_away.len() } else { 0 };
        let down = self.seen_down.len() + away;
        if self.seen_ready.contains(&machine) && down >= rules.unavailable_max {
            return Err(format!("{unit} told {told} with {down} down already, {} allowed", rules.unavailable_max));
        }
        Ok(())
    }

    /// What works nowhere stays in the first wave, unless somebody there lied for it.
    fn check_wave(&self, hub: &Hub, roster: &Roster, machine: usize, told: u64) -> Result<(), String> {
        let is_bad = hub.healths.get(&told).is_some_and(|health| health.is_bad_everywhere());
        if !is_bad || roster.wave_of[machine] == 0 {
            return Ok(());
        }
        let first = (0..hub.machines.len()).filter(|machine| roster.wave_of[*machine] == 0);
        let mut liars = first.filter(|machine| hub.machines[*machine].honesty == Honesty::SaysReady);
        match liars.next() {
            None => Err(format!("machine {machine} of wave {} told {told}, which is bad", roster.wave_of[machine] + 1)),
            Some(_) => Ok(()),
        }
    }

    /// The rows moved on.
    pub(crate) fn watch(&mut self, hub: &Hub, told: &[Told]) -> Result<(), String> {
        let in_force = hub.accepted.as_ref().and_then(|accepted| self.rules.get(&accepted.generation));
        // Who leaves and comes back is down for reasons of its own, unless it counts all the time.
        let away_counts = in_force.is_some_and(|rules| rules.away == Away::Counts);
        self.disturbed.retain(|machine| {
            let row = &hub.rows[*machine];
            is_out(row) && (away_counts || !is_away(row))
        });
        for Told { machine, under, .. } in told.iter().filter(|told| told.was_ready) {
            self.disturbed.insert(*machine);
            // An order may land late, when others are given under other rules.
            let rules = self.rules.get(under).into_iter().chain(in_force);
            let allowed = rules.map(|rules| rules.unavailable_max).max().unwrap_or_default();
            if self.disturbed.len() > allowed {
                return Err(format!("{} taken down, {allowed} allowed", self.disturbed.len()));
            }
        }
        Ok(())
    }
}

fn has(row: &Record, told: u64) -> bool {
    let good = row.good.as_ref().map(|good| revision(good));
    row.instances.iter().map(|seen| revision(&seen.want)).chain(good).any(|revision| revision == told)
}

fn is_away(row: &Record) -> bool {
    row.live().any(|seen| matches!(seen.phase, Phase::Away { .. }))
}

fn is_out(row: &Record) -> bool {
    *row != Record::NOTHING && row.serving().is_none()
}
