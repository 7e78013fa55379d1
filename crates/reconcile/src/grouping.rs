//! Groups on the board: members are counted when something of them changed, and what that means for others makes those dirty.

use crate::{
    board::Board,
    decide::Decision,
    entry::{Entry, Target},
    group::GroupId,
    id::SourceId,
    limits::Limits,
    member::{Member, Stage, begins_change, turns_at},
    places::Turn,
    plan::{Next, Why},
    reconciler::Reconciler,
    rollout::{Rollout, Seat},
    want::Complete,
};
use abide_spec::UnitId;
use std::collections::{BTreeMap, BTreeSet};

impl Board {
    /// The group of a member, and in which wave it is there.
    pub(crate) fn rollout(&self, entry: &Entry) -> Option<(&Rollout, usize)> {
        let seat = entry.seat.as_ref()?;
        Some((self.groups.get(&seat.group)?, seat.wave))
    }

    /// Why the unit may not have the version that is wished.
    pub(crate) fn gate(&self, entry: &Entry) -> Option<Why> {
        self.rollout(entry).and_then(|(rollout, wave)| rollout.gate(wave))
    }

    /// The unit may have the version that is wished.
    pub(crate) fn is_open(&self, entry: &Entry) -> bool {
        self.rollout(entry).is_none_or(|(rollout, wave)| rollout.is_open(wave))
    }

    /// The wish is not in force any more, so neither are its groups. Seats in them are for the caller to take away.
    pub(crate) fn disband(&mut self, source: &SourceId, old: &Complete) {
        for name in old.groups().keys() {
            self.groups.remove(&GroupId { source: source.clone(), name: name.clone() });
        }
    }

    /// The wish is in force, and with it its groups; who is to have which seat in them.
    pub(crate) fn form<'a>(&mut self, source: &SourceId, new: &'a Complete) -> BTreeMap<&'a UnitId, Seat> {
        let mut seats = BTreeMap::new();
        for (name, group) in new.groups() {
            let id = GroupId { source: source.clone(), name: name.clone() };
            for (wave, rule) in group.waves.iter().enumerate() {
                let seat = || Seat { group: id.clone(), wave, counted: Member::UNCOUNTED, turn: Turn::Usual };
                seats.extend(rule.members.iter().map(|unit| (unit, seat())));
            }
            self.groups.insert(id.clone(), Rollout::new(id, group.clone()));
        }
        seats
    }

    /// Counts members of which something changed, and enters anew whose target may be another because of it.
    pub(crate) fn count(&mut self, limits: &Limits) {
        loop {
            while let Some(unit) = self.uncounted.pop_first() {
                self.count_one(&unit, limits);
            }
            let Some((group, wave)) = self.regated.pop_first() else { return };
            let members = self.groups.get(&group).and_then(|rollout| rollout.rule.waves.get(wave));
            let members = members.map_or_else(BTreeSet::new, |wave| wave.members.clone());
            members.iter().for_each(|unit| self.touch(unit));
        }
    }

    fn count_one(&mut self, unit: &UnitId, limits: &Limits) {
        let Some(entry) = self.units.get_mut(unit) else { return };
        let Some(rollout) = entry.seat.as_ref().and_then(|seat| self.groups.get_mut(&seat.group)) else { return };
        let Some((_, wish)) = &entry.wish else { return };
        let mut member = Member::of(entry, wish, &rollout.rule, limits);
        let is_being_forgiven = entry.is_being_forgiven();
        let Some(seat) = entry.seat.as_mut() else { return };
        // Its group goes on when it may go itself: else another would take the version in its stead.
        if is_being_forgiven && seat.counted.stage == Stage::Bad {
            member.stage = Stage::Bad;
        }
        if matches!(member.stage, Stage::Taken | Stage::Soaked | Stage::Proved) {
            seat.turn = Turn::Usual;
        }
        if seat.counted == member {
            return;
        }
        let old = std::mem::replace(&mut seat.counted, member);
        if old.standing != member.standing {
            // What it may do depends on how it stands, and is asked for anew.
            rollout.places.forget(unit, &mut self.dirty);
        }
        let waves = rollout.count(seat.wave, old, member, &mut self.dirty);
        self.dirty.insert(unit.clone());
        self.regated.extend(waves.map(|wave| (seat.group.clone(), wave)));
    }

    /// What comes next for a unit, if its group has a place for it.
    pub(crate) fn place(&mut self, unit: &UnitId, decision: Decision, limits: &Limits) -> Decision {
        let Some(entry) = self.units.get(unit) else { return decision };
        let Some(seat) = &entry.seat else { return decision };
        let target = self.target(unit, entry);
        let begins = match (&decision.0, target) {
            (Next::Step(step), Target::Run { want, .. }) => begins_change(step, &entry.record, want),
            _ => false,
        };
        let Some(rollout) = self.groups.get_mut(&seat.group) else { return decision };
        if !begins {
            rollout.places.forget(unit, &mut self.dirty);
            return decision;
        }
        if rollout.admit(unit, seat, &mut self.dirty) {
            return decision;
        }
        // Until it is seen that it serves, or never will, it takes one of the places that it waits for.
        (Next::Wait(Why::Budget { group: seat.group.name.clone() }), turns_at(entry, &rollout.rule, limits))
    }
}

impl Reconciler {
    /// Whom the groups of a wish would let wait if it were in force now.
    pub(crate) fn gated(&self, source: &SourceId, wish: &Complete) -> BTreeMap<UnitId, Why> {
        let mut gated = BTreeMap::new();
        for (name, group) in wish.groups() {
            let id = GroupId { source: source.clone(), name: name.clone() };
            let mut rollout = Rollout::new(id, group.clone());
            let waves =
                || group.waves.iter().enumerate().flat_map(|(n, wave)| wave.members.iter().map(move |unit| (n, unit)));
            for (wave, unit) in waves() {
                let (Some(entry), Some(want)) = (self.board.units.get(unit), wish.units().get(unit)) else { continue };
                let member = Member::of(entry, want, group, &self.limits);
                rollout.count(wave, Member::UNCOUNTED, member, &mut BTreeSet::new());
            }
            gated.extend(waves().filter_map(|(wave, unit)| Some((unit.clone(), rollout.gate(wave)?))));
        }
        gated
    }
}
