//! How a unit comes to run what it should.
//!
//! ```text
//!                       ┌ shares what can't move: stop the old one (swap) ┐
//!  prepare ─► needs met ┤                                                 ├► start ─► ready ─────────► activate
//!                       └ nothing shared: the old one serves on (surge) ──┘               │
//!                                                                                         ├─► mark good, stop the old
//!     not ready in time, exits again and again, or once it had taken over ─► mark bad ─► the last good one is the
//!                                                                                         target, same way
//! ```
//!
//! What a readiness probe says is enough to take over, for then it serves. Without one nothing is known but that it runs,
//! and it has to do so for a while first. In both cases the old one stays until the new one is good, so the way back is short.
//!
//! A version that differs in live fields alone is an update of what runs. A tombstone remembers a crash loop.

use crate::{
    decide::{Decision, Unit, step, wait, wait_until},
    entry::Target,
    handover::{contender, shared, yielded},
    id::SourceId,
    mutant::{self, Mutant},
    order::{Step, Verdict},
    plan::{Next, Why},
    seen::{Owner, Phase, Role, Seen},
    want::{Claim, Want},
};
use abide_spec::{UnitId, UnitSpec, kind::Condition};
use std::sync::Arc;

pub(crate) struct Running<'a> {
    pub(crate) unit: Unit<'a>,
    pub(crate) want: &'a Arc<Want>,
    pub(crate) wish: &'a Arc<Want>,
    pub(crate) source: &'a SourceId,
}

impl Running<'_> {
    pub(crate) fn next(&self) -> Decision {
        let record = self.unit.record;
        if record.has_completed(self.want) {
            return self.clear_away(None);
        }
        if let Some(decision) = self.by_its_group() {
            return decision;
        }
        let is_superseded = |seen: &&Seen| seen.role == Role::Candidate && seen.want.shape != self.want.shape;
        if let Some(seen) = record.live().find(is_superseded) {
            return step(Step::Stop { instance: seen.instance });
        }
        // Whatever its version: what a liveness probe calls dead serves nobody.
        let is_failing = |seen: &&Seen| matches!(seen.phase, Phase::Running { failing: true, .. });
        if let Some(seen) = record.live().find(is_failing).filter(|_| !mutant::is(Mutant::IgnoreFailing)) {
            return step(Step::Kill { instance: seen.instance });
        }
        if let Some(seen) = record.current(self.want.digest) {
            return self.bring_up(seen);
        }
        let is_updated = |seen: &&Seen| seen.want.shape == self.want.shape && !mutant::is(Mutant::ReplaceLiveChanges);
        match record.live().filter(is_updated).min_by_key(|seen| (seen.role != Role::Active, seen.instance)) {
            Some(seen) => {
                let way_back = self.unit.entry.seat.as_ref().and_then(|_| self.leave_way_back());
                way_back.unwrap_or_else(|| step(Step::Update { instance: seen.instance, to: Arc::clone(self.want) }))
            }
            None => self.bring_in(),
        }
    }

    /// An instance of the right version is there: see that it proves itself and takes over.
    fn bring_up(&self, seen: &Seen) -> Decision {
        let Unit { limits, record, entry, .. } = self.unit;
        let ready = match seen.phase {
            Phase::Away { since } => return wait(Why::Away(since)),
            Phase::Exited { .. } => return wait(Why::NotReady),
            Phase::Running { started, ready: None, .. } => return self.unready(started),
            Phase::Running { ready: Some(ready), .. } => ready,
        };
        let proven = if self.proves_itself() { ready + limits.proof_of(&seen.want) } else { ready };
        let is_proven = entry.seen_at >= proven;
        if seen.role != Role::Active {
            let takes_over = record.live().any(|other| other.role == Role::Active);
            if takes_over && !seen.want.is_probed() && !is_proven && !mutant::is(Mutant::ActivateUnproven) {
                return wait_until(proven, Why::Proving(proven));
            }
            let uses = &self.unit.board.claims;
            let contender = |port| contender(uses.get(port), port, |unit| unit != self.unit.id);
            let mut ports = self.want.claims.iter().filter(|claim| claim.is_movable());
            return match ports.find_map(contender) {
                Some(claimed) => wait(claimed),
                None => step(Step::Activate { instance: seen.instance }),
            };
        }
        if self.proves_itself() && self.is_not_marked(seen) {
            return if is_proven { self.mark_good(seen, ready) } else { wait_until(proven, Why::Proving(proven)) };
        }
        self.clear_away(Some(seen))
    }

    /// It runs, and is not ready: after its time it is bad, if there is one to go back to.
    fn unready(&self, started: crate::id::Time) -> Decision {
        let group = self.unit.board.rollout(self.unit.entry).map(|(rollout, _)| &rollout.rule);
        let give_up = started + group.map_or(self.want.ready_within, |rule| rule.ready_within(self.want));
        match self.bad() {
            Some(bad) if self.unit.entry.seen_at >= give_up => bad,
            Some(_) => wait_until(give_up, Why::NotReady),
            // Then it is free to be changed, and its group to be told so.
            None if self.unit.entry.seat.is_some() && self.unit.entry.seen_at < give_up => {
                wait_until(give_up, Why::NotReady)
            }
            None => wait(Why::NotReady),
        }
    }

    /// No live instance of the right version: find out what stands in the way of one.
    fn bring_in(&self) -> Decision {
        let Unit { record, entry, .. } = self.unit;
        if let Some(seen) = self.spent_tombstone() {
            return step(Step::Stop { instance: seen.instance });
        }
        let of_version = |seen: &&Seen| seen.want.digest == self.want.digest;
        let tombstone = record.exited().filter(of_version).max_by_key(|seen| seen.instance);
        let attempt = match tombstone.map_or(Ok(0), |seen| self.after_exit(seen)) {
            Ok(attempt) => attempt,
            Err(decision) => return decision,
        };
        if entry.orders.prepared != Some(self.want.digest) {
            return step(Step::Prepare { want: Arc::clone(self.want) });
        }
        if let Some(decision) = self.make_way() {
            return decision;
        }
        if let Some(why) = self.missing_need(tombstone.is_some() && record.live().next().is_none()) {
            return wait(why);
        }
        let old = self.old_ones().into_iter().find(|old| shared(&old.want, self.want).is_some());
        if let Some(old) = old {
            return step(Step::Stop { instance: old.instance });
        }
        let mut fixed = self.want.claims.iter().filter(|claim| !claim.is_movable());
        if let Some(why) = fixed.find_map(|claim| self.holder(claim)) {
            return wait(why);
        }
        step(Step::Start { want: Arc::clone(self.want), owner: self.owner(), attempt })
    }

    /// The last tombstone of a version remembers all of its exits in a row. A crash loop must not pile up the others.
    fn spent_tombstone(&self) -> Option<&Seen> {
        let record = self.unit.record;
        let is_later =
            |seen: &Seen, other: &Seen| other.want.digest == seen.want.digest && other.instance > seen.instance;
        record.exited().find(|seen| record.exited().any(|other| is_later(seen, other)))
    }

    /// What a dead instance of the right version means: how many exits in a row, or what to do instead of a start.
    fn after_exit(&self, seen: &Seen) -> Result<u32, Decision> {
        let Unit { now, limits, .. } = self.unit;
        let Phase::Exited { started, at, code } = seen.phase else { return Ok(0) };
        if self.want.is_completed_by(code) {
            return Err(step(Step::Mark(Verdict::Completed(Arc::clone(self.want)))));
        }
        if self.want.is_failed_by(code) {
            return Err(wait(Why::Failed(code)));
        }
        let was_steady = at >= started + limits.steady;
        let attempt = if was_steady || mutant::is(Mutant::BackOffForgotten) { 1 } else { seen.attempt + 1 };
        // What served before is there still, and serves at once again.
        let lost_ports = seen.role == Role::Active && self.unit.record.live().next().is_some();
        let is_spent = attempt >= limits.tries_max || lost_ports && !mutant::is(Mutant::TryWithoutPorts);
        if let (Some(bad), true) = (self.bad(), is_spent) {
            return Err(bad);
        }
        let at = at + limits.restart_wait(attempt);
        if now < at && !mutant::is(Mutant::NoBackOff) {
            return Err(wait_until(at, Why::CrashLoop { attempt, code, at }));
        }
        Ok(attempt)
    }

    /// What old instances have to do before anything is waited for: leave a way back, and let go of what others wait for.
    fn make_way(&self) -> Option<Decision> {
        let way_back = self.leave_way_back().filter(|_| !mutant::is(Mutant::SwapWithoutGoodMark));
        if way_back.is_some() {
            return way_back;
        }
        let yields = self.old_ones().into_iter().find(|old| self.must_yield(old))?;
        Some(step(Step::Stop { instance: yields.instance }))
    }

    /// The unit serves as it should; what is left of earlier instances goes.
    pub(crate) fn clear_away(&self, keep: Option<&Seen>) -> Decision {
        let record = self.unit.record;
        let kept = keep.map(|seen| seen.instance);
        if let Some(rest) = record.instances.iter().find(|seen| Some(seen.instance) != kept) {
            return step(Step::Stop { instance: rest.instance });
        }
        if record.owner.as_ref().is_some_and(|owner| *owner != self.owner()) {
            return step(Step::Adopt(self.owner()));
        }
        if self.want.digest == self.wish.digest {
            return (Next::Settled, None);
        }
        let gate = self.unit.board.gate(self.unit.entry).filter(|_| !record.bad.contains(&self.wish.digest));
        wait(gate.unwrap_or(Why::Rejected(self.wish.digest)))
    }

    fn owner(&self) -> Owner {
        Owner { source: self.source.clone(), reclaim: self.wish.reclaim }
    }

    /// All live instances, the one that serves last.
    fn old_ones(&self) -> Vec<&Seen> {
        let mut old: Vec<&Seen> = self.unit.record.live().collect();
        old.sort_by_key(|seen| seen.role == Role::Active);
        old
    }

    /// The verdict that takes this version back, if it is new and there is one to go back to.
    pub(crate) fn bad(&self) -> Option<Decision> {
        let good = self.unit.record.good.as_ref()?;
        let can_go_back = self.want.digest == self.wish.digest && good.digest != self.want.digest;
        can_go_back.then(|| step(Step::Mark(Verdict::Bad(Arc::clone(self.want)))))
    }

    /// A volume, and what is assigned, have no versions to go back to: they are there or they aren't.
    fn proves_itself(&self) -> bool {
        !matches!(self.want.unit.spec, UnitSpec::Volume(_) | UnitSpec::Assignment(_))
    }

    pub(crate) fn is_proven(&self, seen: &Seen) -> bool {
        let is_proof = |ready| self.unit.entry.seen_at >= ready + self.unit.limits.proof_of(&seen.want);
        self.proves_itself() && seen.role == Role::Active && seen.ready_since().is_some_and(is_proof)
    }

    pub(crate) fn is_not_marked(&self, seen: &Seen) -> bool {
        self.unit.record.good.as_ref().is_none_or(|good| *good != seen.want)
    }

    /// Whether another unit waits for what `old` has and the new version has no use for.
    fn must_yield(&self, old: &Seen) -> bool {
        let is_waited_for = |claim: &Claim| {
            let uses = self.unit.board.claims.get(claim);
            uses.is_some_and(|uses| uses.claimants.iter().any(|unit| unit != self.unit.id))
        };
        yielded(&old.want, self.want, is_waited_for).is_some()
    }

    fn holder(&self, claim: &Claim) -> Option<Why> {
        let holders = self.unit.board.claims.get(claim).map(|uses| &uses.holders);
        let other = holders.into_iter().flatten().find(|unit| *unit != self.unit.id);
        other.filter(|_| !mutant::is(Mutant::IgnoreClaims)).map(|unit| Why::Claimed(claim.clone(), unit.clone()))
    }

    /// A new version starts on needs that are as they should be; a restart only asks that they work, so that a unit that
    /// is being replaced doesn't keep down what uses it.
    fn missing_need(&self, is_restart: bool) -> Option<Why> {
        let is_missing = |(unit, need): &(&UnitId, &Condition)| !self.is_met(unit, **need, is_restart);
        let missing = self.want.needs.iter().find(is_missing);
        missing.filter(|_| !mutant::is(Mutant::IgnoreNeeds)).map(|(unit, need)| Why::Needs(unit.clone(), *need))
    }

    fn is_met(&self, id: &UnitId, need: Condition, is_restart: bool) -> bool {
        let board = self.unit.board;
        let Some(entry) = board.units.get(id) else { return false };
        let Target::Run { want, .. } = board.target(id, entry) else { return false };
        let current = entry.record.current(want.digest);
        match need {
            Condition::Completed => entry.record.has_completed(want) && !entry.is_changing(),
            Condition::Started => current.is_some() && !entry.is_changing(),
            Condition::Ready if is_restart => entry.record.serving().is_some(),
            Condition::Ready => {
                let serves = |seen: &Seen| seen.role == Role::Active && seen.ready_since().is_some();
                current.is_some_and(serves) && !entry.is_changing()
            }
        }
    }
}
