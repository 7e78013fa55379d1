//! How far groups are with the version that is wished: derived, as [`crate::status`] is.

use crate::{group::GroupId, plan::Why, reconciler::Reconciler, rollout::Rollout, wave::Tally};

/// A group as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Which.
    pub id: GroupId,
    /// In one word.
    pub state: GroupState,
    /// Its waves, in their order.
    pub waves: Vec<WaveStatus>,
    /// So many members are unavailable, or may be by what was ordered.
    pub unavailable: usize,
    /// So many may be before one that is available is taken down.
    pub unavailable_max: usize,
}

/// What a group does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// Its waves follow each other.
    Rolling,
    /// Nobody takes the version that is wished.
    Paused,
    /// Too many members of this wave turned out bad; the first is 1.
    Stopped(usize),
    /// Every wave has passed.
    Passed,
}

/// A wave as it is. Each member is at one stage: what is missing in the sum is out of reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaveStatus {
    /// How many members it has.
    pub members: usize,
    /// Its members may take the version that is wished.
    pub is_open: bool,
    /// In reach, and without the version that is wished, or not ready with it for long enough.
    pub pending: usize,
    /// Ready with it for long enough; they wait for the others.
    pub soaked: usize,
    /// Marked good with it.
    pub proved: usize,
    /// Taken back from it.
    pub bad: usize,
    /// Out of reach.
    pub away: usize,
}

impl Reconciler {
    /// All groups as they are. Costs their waves.
    pub fn groups(&self) -> Vec<GroupStatus> {
        self.board.groups.values().map(Rollout::status).collect()
    }
}

impl Rollout {
    fn status(&self) -> GroupStatus {
        let wave = |(n, tally): (usize, &Tally)| {
            let Tally { members, pending, soaked, proved, bad, away } = *tally;
            WaveStatus { members, is_open: self.is_open(n), pending, soaked, proved, bad, away }
        };
        let state = match self.progress.stopped {
            Some(wave) => GroupState::Stopped(wave + 1),
            None if self.rule.paused => GroupState::Paused,
            None if self.progress.passed == self.tallies.len() => GroupState::Passed,
            None => GroupState::Rolling,
        };
        GroupStatus {
            id: self.id.clone(),
            state,
            waves: self.tallies.iter().enumerate().map(wave).collect(),
            unavailable: self.places.down(),
            unavailable_max: self.rule.unavailable_max.get(),
        }
    }

    /// What a member waits for, in numbers: "2 of 10 members have yet to prove themselves".
    pub(crate) fn numbers(&self, why: &Why) -> Option<String> {
        let tally = |wave: &usize| self.tallies.get(wave.checked_sub(1)?);
        match why {
            Why::Wave { wave, .. } | Why::Soaking { wave, .. } => {
                let Tally { members, pending, away, soaked, proved, bad } = *tally(wave)?;
                if pending == 0 && soaked + proved == 0 {
                    return Some(format!("none of {members} members proves it: {away} out of reach, {bad} bad"));
                }
                Some(format!("{pending} of {members} members have yet to prove themselves"))
            }
            Why::Stopped { wave, .. } => {
                let Tally { members, bad, .. } = *tally(wave)?;
                Some(format!("{bad} of {members} members"))
            }
            Why::Budget { .. } => {
                let max = self.rule.unavailable_max;
                Some(format!("{} members are unavailable, and no more than {max} may be", self.places.down()))
            }
            _ => None,
        }
    }
}
