//! One group while its wish is in force: how far its waves are, who may have the version that is wished, who may be taken
//! down for it. Counters alone, kept as members change.

use crate::{
    group::{Away, Group, GroupId},
    member::{Member, Stage, Standing},
    mutant::{self, Mutant},
    places::{Moved, Places, Turn},
    plan::Why,
    wave::Tally,
};
use abide_spec::UnitId;
use std::ops::Range;

/// Where a unit is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) group: GroupId,
    pub(crate) wave: usize,
    /// As its group counts it.
    pub(crate) counted: Member,
    /// When it gets a place there.
    pub(crate) turn: Turn,
}

#[derive(Debug)]
pub(crate) struct Rollout {
    pub(crate) id: GroupId,
    pub(crate) rule: Group,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) places: Places,
    pub(crate) progress: Progress,
}

/// How far the waves are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// So many have passed, each after the ones before it: as many and one more are open.
    pub(crate) passed: usize,
    /// The one that stopped the group.
    pub(crate) stopped: Option<usize>,
}

impl Rollout {
    pub(crate) fn new(id: GroupId, rule: Group) -> Self {
        let tallies = rule.waves.iter().map(|wave| Tally::uncounted(wave.members.len())).collect();
        let places = Places::new(rule.unavailable_max.get());
        let mut rollout = Self { id, rule, tallies, places, progress: Progress::default() };
        rollout.progress = rollout.look();
        rollout
    }

    /// Counts a member that changed; of which waves the members are to be decided anew.
    pub(crate) fn count(&mut self, wave: usize, old: Member, new: Member, moved: &mut Moved) -> Range<usize> {
        let could_prove = self.may_prove(wave);
        let Some(tally) = self.tallies.get_mut(wave) else { return 0..0 };
        tally.count(old, new);
        self.places.count(self.is_down(old), self.is_down(new), moved);
        let progress = self.look();
        let is_news = std::mem::replace(&mut self.progress, progress) != progress;
        match is_news {
            // Who waits for a wave is told which one it is.
            true => 0..self.tallies.len(),
            false if could_prove != self.may_prove(wave) => wave..wave + 1,
            false => 0..0,
        }
    }

    /// Why members of this wave may not have the version that is wished.
    pub(crate) fn gate(&self, wave: usize) -> Option<Why> {
        let (group, of) = (self.id.name.clone(), self.tallies.len());
        if let Some(wave) = self.progress.stopped {
            return Some(Why::Stopped { group, wave: wave + 1, of });
        }
        if self.is_paused() {
            return Some(Why::Paused { group });
        }
        (wave > self.progress.passed).then(|| Why::Wave { group, wave: self.progress.passed + 1, of })
    }

    /// Whether members of this wave may have the version that is wished.
    pub(crate) fn is_open(&self, wave: usize) -> bool {
        !self.is_stopped() && !self.is_paused() && wave <= self.progress.passed
    }

    fn is_paused(&self) -> bool {
        self.rule.paused && !mutant::is(Mutant::PauseIgnored)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.progress.stopped.is_some()
    }

    /// Whether members of this wave may be marked good.
    pub(crate) fn may_prove(&self, wave: usize) -> bool {
        let wave = self.tallies.get(wave).zip(self.rule.waves.get(wave));
        wave.is_some_and(|(tally, rule)| tally.may_prove(rule))
    }

    /// Whether a change may be begun of this member that takes it down.
    pub(crate) fn admit(&mut self, unit: &UnitId, seat: &Seat, moved: &mut Moved) -> bool {
        let Seat { counted: member, turn, .. } = *seat;
        match member.standing {
            Standing::Broken | Standing::Away | Standing::Absent => {
                self.places.forget(unit, moved);
                true
            }
            Standing::Coming => self.places.ask(unit, turn, true, moved),
            Standing::Available if member.stage == Stage::Bad && mutant::is(Mutant::TakenBackAtOnce) => true,
            Standing::Available => self.places.ask(unit, turn, false, moved),
        }
    }

    fn is_down(&self, member: Member) -> bool {
        match member.standing {
            Standing::Available | Standing::Absent => false,
            Standing::Coming | Standing::Broken => true,
            Standing::Away => self.rule.away == Away::Counts,
        }
    }

    fn look(&self) -> Progress {
        let waves = || self.tallies.iter().zip(&self.rule.waves);
        Progress {
            passed: waves().take_while(|(tally, rule)| tally.has_passed(rule)).count(),
            stopped: waves().position(|(tally, rule)| tally.is_bad(rule)),
        }
    }
}
