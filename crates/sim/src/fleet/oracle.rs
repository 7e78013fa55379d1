//! What must never happen in a fleet: judged on what the hub knew, and on its rows.

use super::{
    hub::{Hub, Told},
    revision::{revision, want},
};
use abide_reconcile::{Away, Look, Observed, Phase, Record, Step, UnitId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What was wished under a generation.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) unavailable_max: usize,
    pub(crate) away: Away,
    pub(crate) paused: bool,
    pub(crate) revision: u64,
    /// Machines that are no part of the fleet: neither among those that are down nor among those that may be.
    pub(crate) left_out: BTreeSet<usize>,
    /// Of each machine.
    pub(crate) wave_of: Vec<usize>,
    /// So many of the first wave may turn out bad.
    pub(crate) bad_max: usize,
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
    seen: BTreeMap<usize, Arc<Record>>,
    /// The highest number that each machine took. No backup of the hub takes it back.
    taken: BTreeMap<usize, u64>,
}

impl Oracle {
    pub(crate) fn restart(&mut self) {
        self.seen_down.clear();
        self.seen_away.clear();
        self.seen_ready.clear();
        self.seen.clear();
    }

    /// The hub was restored from a backup: it doesn't know what it told since.
    pub(crate) fn forget_all(&mut self) {
        self.restart();
        self.disturbed.clear();
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
            // Nobody misses who never proved that it serves.
            if is_away || is_ready || record.good.is_some() {
                seen.insert(machine);
            }
            self.seen.insert(machine, Arc::clone(record));
        }
    }

    fn forget(&mut self, machine: usize) {
        for seen in [&mut self.seen_away, &mut self.seen_ready, &mut self.seen_down] {
            seen.remove(&machine);
        }
        self.seen.remove(&machine);
    }

    /// An order is given.
    pub(crate) fn order(&self, hub: &Hub, under: u64, unit: &UnitId, step: &Step) -> Result<(), String> {
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
            self.check_wave(hub, rules, machine, told)?;
        }
        let members = |seen: &BTreeSet<usize>| seen.difference(&rules.left_out).count();
        let away = if rules.away == Away::Counts { members(&self.seen_away) } else { 0 };
        let down = members(&self.seen_down) + away;
        if self.seen_ready.contains(&machine) && down >= rules.unavailable_max {
            return Err(format!("{unit} told {told} with {down} down already, {} allowed", rules.unavailable_max));
        }
        Ok(())
    }

    /// What works nowhere stays in the first wave, unless somebody there lied for it: and also then, if more of the others
    /// found out than may.
    fn check_wave(&self, hub: &Hub, rules: &Rules, machine: usize, told: u64) -> Result<(), String> {
        let is_bad = hub.healths.get(&told).is_some_and(|health| health.is_bad_everywhere());
        if !is_bad || rules.wave_of[machine] == 0 {
            return Ok(());
        }
        let first = || (0..hub.machines.len()).filter(|machine| rules.wave_of[*machine] == 0);
        let is_known_bad = |machine: &usize| {
            let is_marked = |seen: &Arc<Record>| seen.bad.contains(&want(*machine, told).digest);
            !rules.left_out.contains(machine) && self.seen.get(machine).is_some_and(is_marked)
        };
        let known_bad = first().filter(is_known_bad).count();
        let has_liar = first().any(|machine| hub.machines[machine].honesty.lends_votes());
        if has_liar && known_bad <= rules.bad_max {
            return Ok(());
        }
        let wave = rules.wave_of[machine] + 1;
        Err(format!("machine {machine} of wave {wave} told {told}, which is bad; {known_bad} of wave 1 said so"))
    }

    /// Machines took these targets. A hub that forgot what it told since sends nobody back.
    pub(crate) fn check_taken(&mut self, took: &[(usize, u64)]) -> Result<(), String> {
        for (machine, number) in took {
            if let Some(before) = self.taken.insert(*machine, *number).filter(|before| before > number) {
                return Err(format!("machine {machine} took target {number} after {before}"));
            }
        }
        Ok(())
    }

    /// Somebody put a machine in order, which remembers nothing of what it took.
    pub(crate) fn begin_anew(&mut self, machine: usize) {
        self.taken.remove(&machine);
    }

    /// The rows moved on.
    pub(crate) fn watch(&mut self, hub: &Hub, told: &[Told]) -> Result<(), String> {
        let in_force = hub.accepted.as_ref().and_then(|accepted| self.rules.get(&accepted.generation));
        // Who leaves and comes back is down for reasons of its own, unless it counts all the time.
        let away_counts = in_force.is_some_and(|rules| rules.away == Away::Counts);
        self.disturbed.retain(|machine| {
            let row = &hub.rows[*machine];
            let is_member = in_force.is_none_or(|rules| !rules.left_out.contains(machine));
            is_member && is_out(row) && (away_counts || !is_away(row))
        });
        for Told { machine, under, .. } in told.iter().filter(|told| told.was_missed) {
            self.disturbed.insert(*machine);
            // An order may land late, when others are given under other rules.
            let rules = self.rules.get(under).into_iter().chain(in_force);
            let allowed = rules.map(|rules| rules.unavailable_max).max().unwrap_or_default();
            if self.disturbed.len() > allowed {
                return Err(format!("{allowed} may be down, but these were taken: {:?}", self.disturbed));
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
