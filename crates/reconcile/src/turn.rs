//! What its group says to a member: when it goes back, what it waits for, and when its version counts as good.

use crate::{
    decide::{Decision, step, wait, wait_until},
    id::Time,
    member::Stage,
    order::{Step, Verdict},
    plan::{Next, Why},
    running::Running,
    seen::Seen,
};
use std::sync::Arc;

impl Running<'_> {
    /// What comes before anything else: where the group is stopped, whoever has the version that did it goes back; and there
    /// may be nothing that a member could keep while it waits.
    pub(crate) fn by_its_group(&self) -> Option<Decision> {
        let (rollout, wave) = self.unit.board.rollout(self.unit.entry)?;
        let record = self.unit.record;
        if rollout.is_stopped() && record.has(self.wish.digest) {
            return self.bad();
        }
        let has_nothing = record.instances.is_empty() && record.good.is_none();
        rollout.gate(wave).filter(|_| has_nothing).map(wait)
    }

    /// It serves and has proved itself. In a group it is good when its wave is, and until then nothing but leftovers go.
    pub(crate) fn mark_good(&self, seen: &Seen, ready: Time) -> Decision {
        let good = step(Step::Mark(Verdict::Good(Arc::clone(&seen.want))));
        let Some((rollout, wave)) = self.unit.board.rollout(self.unit.entry) else { return good };
        let is_soaked = self.unit.entry.seat.as_ref().is_some_and(|seat| seat.counted.stage == Stage::Soaked);
        if is_soaked && rollout.may_prove(wave) {
            return good;
        }
        let left = self.clear_away(Some(seen));
        if matches!(left, (Next::Step(_), _)) || seen.want.digest != self.wish.digest {
            return left;
        }
        let (group, of) = (rollout.id.name.clone(), rollout.tallies.len());
        let why = Why::Soaking { group, wave: wave + 1, of };
        let soaked = ready + rollout.rule.soak;
        if self.unit.entry.seen_at < soaked { wait_until(soaked, why) } else { wait(why) }
    }

    /// What serves is the way back from a change. In a group it isn't if there is an older one that is good: that is the one
    /// that its wave would go back to.
    pub(crate) fn leave_way_back(&self) -> Option<Decision> {
        let serving = self.unit.record.standing()?;
        let is_in_group = self.unit.entry.seat.is_some();
        let is_wanted = !is_in_group || self.unit.record.good.is_none();
        let is_due = is_wanted && self.is_proven(serving) && self.is_not_marked(serving);
        is_due.then(|| step(Step::Mark(Verdict::Good(Arc::clone(&serving.want)))))
    }
}
