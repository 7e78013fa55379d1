//! What must never happen, judged on the true world and on what the agent was told.

use crate::world::{Landed, World};
use abide_reconcile::{
    Claim, Complete, Digest, InstanceId, Limits, Permit, Phase, Plan, Reclaim, Record, Role, Seen, SourceId, Step,
    Time, UnitId, Verdict, Want,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the running agent was last told by each source, and under which generation. `None`: refused or withdrawn.
pub(crate) type Told = BTreeMap<SourceId, (u64, Option<Arc<Complete>>)>;

/// Of each source the wish in force, and whether it is what the source says still.
pub(crate) type InForce = BTreeMap<SourceId, (Arc<Complete>, bool)>;

/// What the agent can know when it gives an order.
pub(crate) struct Known {
    pub(crate) in_force: InForce,
    /// The unit was looked at then.
    pub(crate) seen_at: Option<Time>,
}

/// Every complete wish that was ever told, by source and generation.
pub(crate) type History = BTreeMap<(SourceId, u64), Arc<Complete>>;

#[derive(Debug)]
pub(crate) struct Oracle {
    limits: Limits,
    /// Exits in a row of a unit's version, and the last one.
    exits: BTreeMap<UnitId, Exits>,
    counted: BTreeSet<InstanceId>,
    /// Units pruned under one generation, over all runs of the agent, and what was owned when it was accepted.
    pruned: BTreeMap<(SourceId, u64), Pruned>,
    permits: BTreeSet<Permit>,
    failing_since: BTreeMap<InstanceId, Time>,
}

#[derive(Debug, Default)]
struct Pruned {
    owned: usize,
    /// So many may go by what was accepted.
    judged: usize,
    units: BTreeSet<UnitId>,
}

#[derive(Clone, Copy, Debug)]
struct Exits {
    version: Digest,
    in_a_row: u32,
    at: Time,
}

/// More of one unit than versions that were tried one after the other leave, and exits that came at once.
const TOMBSTONES_MAX: usize = 8;

type Verdicts = Result<(), String>;

impl Oracle {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            exits: BTreeMap::new(),
            counted: BTreeSet::new(),
            pruned: BTreeMap::new(),
            permits: BTreeSet::new(),
            failing_since: BTreeMap::new(),
        }
    }

    pub(crate) fn permit(&mut self, permit: &Permit) {
        self.permits.insert(permit.clone());
    }

    pub(crate) fn reboot(&mut self) {
        self.exits.clear();
        self.failing_since.clear();
    }

    /// An order is given.
    pub(crate) fn order(
        &mut self,
        now: Time,
        world: &World,
        known: &Known,
        history: &History,
        unit: &UnitId,
        step: &Step,
    ) -> Verdicts {
        let Known { in_force, seen_at } = known;
        let nothing = Record::default();
        let record = world.units.get(unit).unwrap_or(&nothing);
        let wish = in_force.values().find_map(|(wish, _)| wish.units().get(unit));
        match step {
            Step::Start { want, owner, .. } => {
                check_accepted(world, history, record, want, &owner.source)?;
                check_not_bad(unit, record, want)?;
                check_way_back(*seen_at, unit, record, want)?;
                self.check_back_off(now, unit, want.digest)?;
                check_needs(world, unit, want)
            }
            Step::Activate { instance } => self.check_activate(now, unit, record, *instance),
            Step::Stop { instance } => {
                let Some(seen) = record.instances.iter().find(|seen| seen.instance == *instance) else { return Ok(()) };
                match wish {
                    None => check_prune_order(world, in_force, unit, record),
                    Some(wish) => self.check_stop(*seen_at, world, unit, record, seen, wish),
                }
            }
            Step::Forget { reclaim } if wish.is_none() => self.check_forget(in_force, unit, record, *reclaim),
            _ => Ok(()),
        }
    }

    fn check_activate(&self, now: Time, unit: &UnitId, record: &Record, instance: InstanceId) -> Verdicts {
        let Some(seen) = record.instances.iter().find(|seen| seen.instance == instance) else { return Ok(()) };
        let others = record.serving().is_some_and(|other| other.instance != instance);
        let is_proven = seen.ready_since().is_none_or(|ready| now >= ready + self.limits.proof);
        if others && !seen.want.is_probed() && !is_proven {
            Err(format!("{unit} replaced by an unproven one"))
        } else {
            Ok(())
        }
    }

    fn check_back_off(&self, now: Time, unit: &UnitId, version: Digest) -> Verdicts {
        let Some(exits) = self.exits.get(unit).filter(|exits| exits.version == version) else { return Ok(()) };
        let doubled = 2_u32.saturating_pow(exits.in_a_row.saturating_sub(2).min(15));
        let wait =
            if exits.in_a_row <= 1 { Time::ZERO } else { (self.limits.retry_min * doubled).min(self.limits.retry_max) };
        if now < exits.at + wait {
            return Err(format!("{unit} started {:?} after exit {}", now.saturating_sub(exits.at), exits.in_a_row));
        }
        Ok(())
    }

    fn check_forget(&self, in_force: &InForce, unit: &UnitId, record: &Record, reclaim: Reclaim) -> Verdicts {
        let Some(owner) = &record.owner else { return Ok(()) };
        let Some((wish, true)) = in_force.get(&owner.source) else {
            return Err(format!("{unit} pruned, but its source is silent"));
        };
        let permitted = self.permits.iter().any(|permit| {
            permit.source == owner.source && permit.wish == wish.digest() && permit.removals.contains_key(unit)
        });
        if reclaim == Reclaim::Delete && !permitted && !wish.confirmed().contains(unit) {
            return Err(format!("the data of {unit} deleted without permission"));
        }
        Ok(())
    }

    fn check_stop(
        &self,
        seen_at: Option<Time>,
        world: &World,
        unit: &UnitId,
        record: &Record,
        seen: &Seen,
        wish: &Want,
    ) -> Verdicts {
        let serves = seen.role == Role::Active && seen.ready_since().is_some();
        if !serves || !world.is_quiet_about(unit) {
            return Ok(());
        }
        let target = match &record.good {
            Some(good) if record.bad.contains(&wish.digest) => good,
            _ => wish,
        };
        if target.shape == seen.want.shape {
            return Err(format!("{unit} stopped though it is as wanted, or could be changed in place"));
        }
        let fixed = seen.want.claims.iter().any(|claim| !claim.is_movable());
        if !fixed && !record.has_completed(target) && record.current(target.digest).is_none() {
            return Err(format!("{unit} stopped before its successor serves"));
        }
        let was_proven = seen
            .ready_since()
            .is_some_and(|ready| seen_at.is_some_and(|at| at >= ready + self.limits.proof_of(&seen.want)));
        if was_proven && record.good.as_ref().is_none_or(|good| good.digest != seen.want.digest) {
            return Err(format!("{unit} swapped with no way back"));
        }
        Ok(())
    }

    /// The world moved on.
    pub(crate) fn watch(&mut self, world: &World) -> Verdicts {
        check_claims(world)?;
        check_tombstones(world)?;
        self.note_exits(world);
        Ok(())
    }

    /// A step took effect.
    pub(crate) fn note_landed(&mut self, world: &World, history: &History, landed: &Landed) -> Verdicts {
        for (source, accepted) in &world.accepted {
            let pruned = self.pruned.entry((source.clone(), accepted.generation)).or_default();
            pruned.owned = pruned.owned.max(accepted.owned_before);
            pruned.judged = pruned.judged.max(accepted.removals.len());
        }
        let Landed { unit, step, before, under } = landed;
        match step {
            Step::Start { want, .. } | Step::Update { to: want, .. } => {
                self.exits.retain(|of, exits| of != unit || exits.version == want.digest);
            }
            // The last tombstone goes when the version proved itself or is not wanted: the count is over.
            Step::Stop { instance } if is_last_tombstone(before, *instance) => {
                self.exits.remove(unit);
            }
            Step::Mark(Verdict::Completed(_) | Verdict::Retry) => {
                self.exits.remove(unit);
            }
            Step::Forget { .. } => self.exits.retain(|of, _| of != unit),
            _ => {}
        }
        // What an earlier instance left may go while another one runs.
        let is_the_one = |instance: &InstanceId| before.live().map(|seen| seen.instance).eq([*instance]);
        let is_removal = match step {
            Step::Forget { .. } => true,
            Step::Stop { instance } => is_the_one(instance),
            _ => false,
        };
        if let (true, Some(owner)) = (is_removal, &before.owner) {
            self.note_removal(history, unit, &owner.source, *under)?;
        }
        Ok(())
    }

    /// What goes under one wish adds up, over late finds and restarts of the agent, but for what somebody confirmed. What is
    /// left of many that were missing at once is as many as those.
    fn note_removal(&mut self, history: &History, unit: &UnitId, source: &SourceId, under: Option<u64>) -> Verdicts {
        let Some(generation) = under else { return Err(format!("{unit} removed under no wish")) };
        let Some(wish) = history.get(&(source.clone(), generation)) else { return Ok(()) };
        if wish.units().contains_key(unit) || wish.confirmed().contains(unit) {
            return Ok(());
        }
        let Pruned { owned, judged, units } = self.pruned.entry((source.clone(), generation)).or_default();
        units.insert(unit.clone());
        let count = units.len();
        // Late finds were not owned when the wish was accepted.
        let is_many = |count: usize, owned: usize| {
            count > self.limits.removals_max && count * 100 > owned * self.limits.removals_percent_max
        };
        let (together, missing) = (count.max(*judged), wish.missing_at_once());
        let owned_with = *owned + together;
        let is_rest = missing > together && (missing >= owned_with || is_many(missing, owned_with));
        let (is_many, owned) = (is_many(count, *owned + count), *owned + count);
        let permitted = self.permits.iter().any(|permit| permit.source == *source && permit.wish == wish.digest());
        if is_rest && !permitted {
            return Err(format!(
                "{count} of {missing} units of {source} that were missing at once removed without permission"
            ));
        }
        if is_many && !permitted {
            return Err(format!("{count} of {owned} units of {source} removed without permission"));
        }
        Ok(())
    }

    fn note_exits(&mut self, world: &World) {
        for (unit, record) in &world.units {
            for seen in record.exited() {
                let Phase::Exited { started, at, .. } = seen.phase else { continue };
                if !self.counted.insert(seen.instance) {
                    continue;
                }
                let version = seen.want.digest;
                let before = self.exits.get(unit).filter(|exits| exits.version == version);
                let was_steady = at >= started + self.limits.steady;
                let in_a_row = before.filter(|_| !was_steady).map_or(0, |exits| exits.in_a_row) + 1;
                self.exits.insert(unit.clone(), Exits { version, in_a_row, at });
            }
        }
    }

    /// Nobody is asked about what somebody has confirmed.
    pub(crate) fn check_asked(&self, plan: &Plan, told: &Told) -> Verdicts {
        for (source, permit) in plan.held.iter().chain(&plan.late) {
            let Some((_, Some(wish))) = told.get(source) else { continue };
            if let Some(unit) = permit.removals.keys().find(|unit| wish.confirmed().contains(*unit)) {
                return Err(format!("somebody is asked whether {unit} may go, which was said already"));
            }
        }
        Ok(())
    }

    /// What its liveness probe calls dead is killed, and not left to itself.
    pub(crate) fn check_failing(&mut self, now: Time, world: &World, in_force: &InForce) -> Verdicts {
        for (unit, record) in &world.units {
            let is_wanted = in_force.values().any(|(wish, _)| wish.units().contains_key(unit));
            for seen in record.live() {
                let is_failing = is_wanted && matches!(seen.phase, Phase::Running { failing: true, .. });
                if !is_failing {
                    self.failing_since.remove(&seen.instance);
                } else if now > *self.failing_since.entry(seen.instance).or_insert(now) + Time::from_secs(240) {
                    return Err(format!("{unit} fails, and nobody kills it"));
                }
            }
        }
        Ok(())
    }
}

fn is_last_tombstone(record: &Record, instance: InstanceId) -> bool {
    let stopped = record.exited().find(|seen| seen.instance == instance);
    let is_other = |seen: &Seen, of: &Seen| seen.instance != of.instance && seen.want.digest == of.want.digest;
    stopped.is_some_and(|of| !record.exited().any(|seen| is_other(seen, of)))
}

/// Nothing starts that no accepted wish asks for, nor the journal calls good.
fn check_accepted(world: &World, history: &History, record: &Record, want: &Want, source: &SourceId) -> Verdicts {
    let written = world.accepted.get(source).map_or(0, |accepted| accepted.generation);
    let is_asked = history
        .range((source.clone(), 0)..=(source.clone(), written))
        .any(|(_, wish)| wish.units().get(&want.unit.id).is_some_and(|wanted| wanted.digest == want.digest));
    let is_good = record.good.as_ref().is_some_and(|good| good.digest == want.digest);
    if is_asked || is_good { Ok(()) } else { Err(format!("{} started before its wish was accepted", want.unit.id)) }
}

fn check_not_bad(unit: &UnitId, record: &Record, want: &Want) -> Verdicts {
    let can_go_back = record.good.as_ref().is_some_and(|good| good.digest != want.digest);
    if can_go_back && record.bad.contains(&want.digest) {
        return Err(format!("{unit} gets a version marked bad"));
    }
    Ok(())
}

/// A version that took over and exited isn't tried again while the one before it could serve.
fn check_way_back(seen_at: Option<Time>, unit: &UnitId, record: &Record, want: &Want) -> Verdicts {
    let Some(good) = record.good.as_ref().filter(|good| good.digest != want.digest) else { return Ok(()) };
    let is_known =
        |seen: &&Seen| matches!(seen.phase, Phase::Exited { at, .. } if seen_at.is_some_and(|then| then > at));
    let took_over = |seen: &Seen| seen.role == Role::Active && seen.want.digest == want.digest;
    let lost_ports = record.exited().filter(is_known).any(took_over);
    match record.current(good.digest) {
        Some(_) if lost_ports => Err(format!("{unit} tried again while the last good version runs and doesn't serve")),
        _ => Ok(()),
    }
}

fn check_needs(world: &World, unit: &UnitId, want: &Want) -> Verdicts {
    match want.needs.keys().find(|need| !world.units.contains_key(*need)) {
        Some(need) if world.is_quiet() => Err(format!("{unit} started without {need}")),
        _ => Ok(()),
    }
}

fn check_claims(world: &World) -> Verdicts {
    let mut holders: BTreeMap<&Claim, (&UnitId, InstanceId)> = BTreeMap::new();
    for (unit, record) in &world.units {
        for seen in record.live() {
            for claim in seen.claims().filter(|claim| !claim.is_movable()) {
                if let Some((other, _)) = holders.insert(claim, (unit, seen.instance)) {
                    return Err(format!("{unit} and {other} share {claim}"));
                }
            }
        }
    }
    Ok(())
}

/// What a crash loop leaves behind doesn't grow.
fn check_tombstones(world: &World) -> Verdicts {
    let most = world.units.iter().max_by_key(|(_, record)| record.exited().count());
    match most {
        Some((unit, record)) if record.exited().count() > TOMBSTONES_MAX => Err(format!("{unit} piles up tombstones")),
        _ => Ok(()),
    }
}

/// What is pruned goes before what it stands on. Only where the source's last word is in force.
fn check_prune_order(world: &World, in_force: &InForce, unit: &UnitId, record: &Record) -> Verdicts {
    let Some(owner) = &record.owner else { return Ok(()) };
    let Some((wish, true)) = in_force.get(&owner.source) else {
        return Err(format!("{unit} stopped, but its source doesn't say so"));
    };
    let user = world.units.iter().find(|(user, other)| {
        let is_user = other.live().any(|seen| seen.want.needs.contains_key(unit));
        is_user && !wish.units().contains_key(*user)
    });
    match user {
        Some((user, _)) if world.is_quiet_about(user) => Err(format!("{unit} pruned before {user}")),
        _ => Ok(()),
    }
}
