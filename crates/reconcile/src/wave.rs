//! What a wave amounts to: counters of its members, and what follows from them.

use crate::{
    group::Wave,
    member::{Member, Stage, Standing},
    mutant::{self, Mutant},
};

/// Counters of one wave's members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) members: usize,
    /// In reach, and on the way to the version that is wished.
    pub(crate) pending: usize,
    pub(crate) soaked: usize,
    pub(crate) proved: usize,
    pub(crate) bad: usize,
    pub(crate) away: usize,
}

impl Tally {
    /// Of a wave of which nobody was counted.
    pub(crate) fn uncounted(members: usize) -> Self {
        Self { members, pending: members, ..Self::default() }
    }

    /// A member is not as it was counted before.
    pub(crate) fn count(&mut self, old: Member, new: Member) {
        self.each(old, |counter| *counter -= 1);
        self.each(new, |counter| *counter += 1);
    }

    fn each(&mut self, member: Member, change: fn(&mut usize)) {
        if member.is_pending() {
            change(&mut self.pending);
        }
        if member.standing == Standing::Away {
            change(&mut self.away);
        }
        match member.stage {
            Stage::Before | Stage::Taken => {}
            Stage::Soaked => change(&mut self.soaked),
            Stage::Proved => change(&mut self.proved),
            Stage::Bad => change(&mut self.bad),
        }
    }

    /// Too many of its members are bad.
    pub(crate) fn is_bad(&self, rule: &Wave) -> bool {
        self.bad > rule.bad_max && !mutant::is(Mutant::StopIgnored)
    }

    /// The version that is wished is proven here. Marks are given to a whole wave, so the first of them tells that; one that
    /// came here from another wave doesn't, which is why most have to have it.
    pub(crate) fn has_passed(&self, rule: &Wave) -> bool {
        let is_early = mutant::is(Mutant::NextWaveOpensEarly) && self.pending < self.members;
        self.members == 0 || (self.proved > self.pending || is_early) && !self.is_bad(rule)
    }

    /// Members may be marked good: none in reach is on the way, or the wave has passed before.
    pub(crate) fn may_prove(&self, rule: &Wave) -> bool {
        let is_complete = self.pending == 0 || mutant::is(Mutant::ProveAlone);
        self.has_passed(rule) || is_complete && !self.is_bad(rule)
    }
}
