//! The board: every unit's [`Entry`], the sources, and the indexes that tell whom a change concerns. Its rule: who changes
//! a fact of a unit does it in [`Board::change`], which marks everybody whom it concerns.

use crate::{
    entry::{Entry, Target},
    group::GroupId,
    guard::Moment,
    id::{SourceId, Time},
    limits::Limits,
    mutant::{self, Mutant},
    rollout::Rollout,
    seen::{Permit, Record},
    source::{Accepting, Says, Source},
    want::{Claim, Complete},
};
use abide_spec::UnitId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) units: BTreeMap<UnitId, Entry>,
    pub(crate) sources: BTreeMap<SourceId, Source>,
    pub(crate) permits: BTreeSet<Arc<Permit>>,
    pub(crate) claims: BTreeMap<Claim, ClaimUse>,
    pub(crate) groups: BTreeMap<GroupId, Rollout>,
    /// Units whose next step has to be decided anew.
    pub(crate) dirty: BTreeSet<UnitId>,
    /// Units of which there may be something new to tell.
    pub(crate) changed: BTreeSet<UnitId>,
    /// Members of groups that may have to be counted anew.
    pub(crate) uncounted: BTreeSet<UnitId>,
    /// Waves that may go on now, or have to stop: the targets of their members may be others.
    pub(crate) regated: BTreeSet<(GroupId, usize)>,
    /// Sources whose removals have to be judged anew.
    unjudged: BTreeSet<SourceId>,
}

#[derive(Debug, Default)]
pub(crate) struct ClaimUse {
    /// Who has it, or will as soon as an order lands.
    pub(crate) holders: BTreeSet<UnitId>,
    /// Whose target wants it.
    pub(crate) claimants: BTreeSet<UnitId>,
}

impl Board {
    /// The change a caller wants to make to a unit, and all that follows from it.
    pub(crate) fn change<T>(&mut self, unit: &UnitId, change: impl FnOnce(&mut Entry) -> T) -> T {
        // Not `entry()`: most changes are of units that are there, and need no copy of the id.
        let result = match self.units.get_mut(unit) {
            Some(entry) => change(entry),
            None => change(self.units.entry(unit.clone()).or_default()),
        };
        self.touch(unit);
        result
    }

    pub(crate) fn set_record(&mut self, unit: &UnitId, record: &Arc<Record>) {
        let old = self.units.get(unit).map(|entry| &entry.record);
        if old.map_or(**record == Record::default(), |old| old == record) {
            return;
        }
        let old = self.change(unit, |entry| std::mem::replace(&mut entry.record, Arc::clone(record)));
        if old.owner == record.owner {
            return;
        }
        // Judging costs what the source owns, so it is done where the verdict can change, and not for each unit that comes up.
        if let Some(owner) = &old.owner {
            let source = self.source(&owner.source);
            source.owned.remove(unit);
            if source.held.is_some() || source.going.contains(unit) {
                self.unjudged.insert(owner.source.clone());
            }
        }
        if let Some(owner) = &record.owner {
            let is_wanted = self.units.get(unit).is_some_and(|entry| entry.wish.is_some());
            let source = self.source(&owner.source);
            source.owned.insert(unit.clone(), owner.reclaim);
            if source.held.is_some() || !is_wanted {
                self.unjudged.insert(owner.source.clone());
            }
        }
    }

    pub(crate) fn source(&mut self, id: &SourceId) -> &mut Source {
        self.sources.entry(id.clone()).or_default()
    }

    /// Nothing has to be judged or decided anew.
    pub(crate) fn is_judged(&self) -> bool {
        self.dirty.is_empty() && self.unjudged.is_empty() && self.uncounted.is_empty()
    }

    pub(crate) fn rejudge(&mut self, id: &SourceId) {
        self.unjudged.insert(id.clone());
    }

    pub(crate) fn rejudge_all(&mut self) {
        self.unjudged.extend(self.sources.keys().cloned());
    }

    pub(crate) fn target<'a>(&'a self, unit: &UnitId, entry: &'a Entry) -> Target<'a> {
        if let Some(wish) = &entry.wish {
            let target = Target::of_wish(wish, &entry.record);
            return if self.is_open(entry) { target } else { target.kept(&entry.record) };
        }
        let Some(owner) = &entry.record.owner else { return Target::Undecided };
        let Some(source) = self.sources.get(&owner.source) else { return Target::Undecided };
        let has_passed = source.accepted.removals.contains_key(unit) || source.says == Says::Unknown;
        if source.may_prune() && has_passed { Target::Leave } else { Target::Undecided }
    }

    /// Enters a unit's facts into the indexes, and marks everybody whom they concern.
    pub(crate) fn touch(&mut self, unit: &UnitId) {
        self.dirty.insert(unit.clone());
        self.changed.insert(unit.clone());
        let Some(entry) = self.units.get(unit) else { return };
        if entry.seat.is_some() {
            self.uncounted.insert(unit.clone());
        }
        // The last good version, where it is the target, may need others than the wish.
        let target = self.target(unit, entry).want();
        let wanted = entry.wish.iter().map(|(_, want)| want).chain(target).flat_map(|want| want.needs.keys());
        let needs: BTreeSet<UnitId> = wanted.chain(entry.stands_on()).cloned().collect();
        let holds = entry.held_claims();
        let claims = target.map_or_else(BTreeSet::new, |want| want.claims.clone());
        for claim in holds.iter().chain(&claims).chain(&entry.holds).chain(&entry.claims) {
            if let Some(others) = self.claims.get(claim) {
                self.dirty.extend(others.holders.iter().chain(&others.claimants).cloned());
            }
        }
        if !mutant::is(Mutant::LostInvalidation) {
            self.dirty.extend(entry.users.iter().cloned());
        }
        self.dirty.extend(entry.needs.iter().chain(&needs).cloned());

        let Some(entry) = self.units.get_mut(unit) else { return };
        let old_needs = std::mem::replace(&mut entry.needs, needs.clone());
        let old_holds = std::mem::replace(&mut entry.holds, holds.clone());
        let old_claims = std::mem::replace(&mut entry.claims, claims.clone());
        for need in old_needs.difference(&needs) {
            if let Some(entry) = self.units.get_mut(need) {
                entry.users.remove(unit);
            }
        }
        for need in needs.difference(&old_needs) {
            self.units.entry(need.clone()).or_default().users.insert(unit.clone());
        }
        index(&mut self.claims, unit, &old_holds, &holds, |claim| &mut claim.holders);
        index(&mut self.claims, unit, &old_claims, &claims, |claim| &mut claim.claimants);
    }

    /// Judges removals where something changed. What passes is to be accepted before it is in force.
    pub(crate) fn judge(&mut self, now: Time, limits: &Limits) {
        while let Some(id) = self.unjudged.pop_first() {
            let source = self.source(&id);
            match (&source.says, source.held.clone()) {
                (Says::Withdrawn, _) => {
                    if let Some(old) = source.in_force.take() {
                        self.replace_wish(&id, Some(&old), None);
                    }
                    self.touch_owned(&id);
                }
                (_, Some(held)) => self.judge_held(now, &id, &held, limits),
                (_, None) => self.judge_late(now, &id, limits),
            }
        }
    }

    fn judge_held(&mut self, now: Time, id: &SourceId, held: &Arc<Complete>, limits: &Limits) {
        let Some(source) = self.sources.get_mut(id) else { return };
        let restored = source.restored.take_if(|restored| restored.generation <= source.generation);
        if let Some(accepted) = restored.filter(|restored| restored.generation == source.generation) {
            let accepted =
                if mutant::is(Mutant::GuardForgetsAtRestart) { source.acceptance(&[].into()) } else { accepted };
            return self.put_in_force(id, accepted);
        }
        let removals = source.removals(Some(held));
        let verdict = source.guard(id, held, &removals, Moment::Before, &self.permits, limits);
        if verdict.is_err() && !mutant::is(Mutant::GuardNotHolding) {
            source.accepting = None;
            return;
        }
        let accepted = source.acceptance(&removals);
        if mutant::is(Mutant::AcceptNotAwaited) {
            return self.put_in_force(id, accepted);
        }
        source.accept(now, accepted);
    }

    /// Units that turned up after the wish was judged: an order landed late, or an owner came back.
    fn judge_late(&mut self, now: Time, id: &SourceId, limits: &Limits) {
        let Some(source) = self.sources.get_mut(id).filter(|source| source.may_prune()) else { return };
        let Some(in_force) = source.in_force.clone() else { return };
        let mut going = source.removals(Some(&in_force));
        going.retain(|unit| !source.accepted.removals.contains_key(unit));
        let passes = source.guard(id, &in_force, &going, Moment::Late, &self.permits, limits).is_ok();
        if passes && !going.is_empty() {
            let accepted = source.acceptance(&going);
            source.accept(now, accepted);
            source.going.clear();
        } else {
            source.going.clone_from(&going);
        }
        for unit in &going {
            self.touch(unit);
        }
    }

    /// The acceptance is written: what it says holds from now on.
    pub(crate) fn put_in_force(&mut self, id: &SourceId, accepted: crate::order::Accepted) {
        let source = self.source(id);
        source.accepting = None;
        source.accepted = accepted;
        if let Some(wish) = source.held.take() {
            let old = source.in_force.replace(Arc::clone(&wish));
            self.replace_wish(id, old.as_deref(), Some(&wish));
        }
        // What it owns and doesn't want may go from now on; what turned up meanwhile is judged.
        self.touch_owned(id);
        self.unjudged.insert(id.clone());
    }

    fn touch_owned(&mut self, id: &SourceId) {
        let owned: Vec<UnitId> = self.source(id).owned.keys().cloned().collect();
        for unit in owned {
            let is_wanted = self.units.get(&unit).is_some_and(|entry| entry.wish.is_some());
            if !is_wanted {
                self.touch(&unit);
            }
        }
    }

    /// Other units are wanted, or in other groups. Each that this concerns is touched once: there may be many.
    fn replace_wish(&mut self, id: &SourceId, old: Option<&Complete>, new: Option<&Complete>) {
        old.into_iter().for_each(|old| self.disband(id, old));
        let mut seats = new.map_or_else(BTreeMap::new, |new| self.form(id, new));
        let is_in = |wish: Option<&Complete>, unit: &UnitId| wish.is_some_and(|wish| wish.units().contains_key(unit));
        for unit in old.iter().flat_map(|old| old.units().keys()).filter(|unit| !is_in(new, unit)) {
            self.change(unit, |entry| (entry.wish, entry.seat) = (None, None));
        }
        for (unit, want) in new.iter().flat_map(|new| new.units()) {
            let seat = seats.remove(unit);
            let is_same = |entry: &Entry| {
                let is_wanted = entry.wish.as_ref().is_some_and(|(_, before)| before == want);
                is_wanted && entry.seat.is_none() && seat.is_none()
            };
            if !self.units.get(unit).is_some_and(is_same) {
                self.change(unit, |entry| (entry.wish, entry.seat) = (Some((id.clone(), Arc::clone(want))), seat));
            }
        }
    }
}

impl Source {
    /// Has this written, unless it is being written already.
    fn accept(&mut self, now: Time, accepted: crate::order::Accepted) {
        if self.accepting.as_ref().is_none_or(|accepting| accepting.accepted != accepted) {
            self.accepting = Some(Accepting { accepted, asked: None, not_before: now });
        }
    }
}

fn index(
    claims: &mut BTreeMap<Claim, ClaimUse>,
    unit: &UnitId,
    old: &BTreeSet<Claim>,
    new: &BTreeSet<Claim>,
    side: fn(&mut ClaimUse) -> &mut BTreeSet<UnitId>,
) {
    for claim in old.difference(new) {
        if let Some(uses) = claims.get_mut(claim) {
            side(uses).remove(unit);
            if uses.holders.is_empty() && uses.claimants.is_empty() {
                claims.remove(claim);
            }
        }
    }
    for claim in new.difference(old) {
        side(claims.entry(claim.clone()).or_default()).insert(unit.clone());
    }
}
