//! What has become of each source's newest commit: written if it settled, told to who follows it.

use super::{Driver, Reach};
use crate::{
    api,
    followed::Told,
    journal::{Record, Suspension},
    news::{About, called},
};
use abide_reconcile::{Digest, Event, Held, Outcome, Reclaim, SourceId, Time, UnitId, Why};
use std::collections::BTreeSet;

/// Judging costs all units of a source. It may take this share of the loop's time, one part in so many.
const SHARE: u32 = 10;

/// Exits or failures in a row after which a unit is said to have failed. It is tried again all the same, but whoever waits
/// for the commit needn't.
const TRIES_MAX: u32 = 3;

const SETTLED: &str = "every unit is as wished";

/// When to judge.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    has_news: bool,
    not_before: Time,
}

impl Judge {
    pub(super) fn has_news(&mut self) {
        self.has_news = true;
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        self.has_news.then_some(self.not_before)
    }
}

impl Driver {
    pub(super) fn judge_all(&mut self, now: Time) {
        let is_late = |told: &Told| now >= told.at + self.patience;
        let runs_out =
            |followed: &crate::followed::Followed| followed.outcome.is_none() && followed.newest().is_some_and(is_late);
        let is_due = self.judge.has_news || self.followed.values().any(runs_out);
        if !is_due || now < self.judge.not_before {
            return;
        }
        for id in self.followed.keys().cloned().collect::<Vec<_>>() {
            self.judge(now, &id);
            self.tell_reporter_of_source(&id);
        }
        let after = self.clock.now();
        self.judge = Judge { has_news: false, not_before: after + after.saturating_sub(now) * SHARE };
    }

    /// When the first commit that has not settled runs out of time.
    pub(super) fn patience_ends(&self) -> Option<Time> {
        let pending = self.followed.values().filter(|followed| followed.outcome.is_none());
        let ends = pending.filter_map(|followed| Some(followed.newest()?.at + self.patience)).min();
        ends.map(|at| at.max(self.judge.not_before))
    }

    fn judge(&mut self, now: Time, id: &SourceId) {
        let Some(followed) = self.followed.get(id) else { return };
        let Some(told) = followed.newest().cloned() else { return };
        let (result, message) = match self.core.source_outcome(id) {
            Outcome::Pending => match self.hopeless(now, id, &told) {
                None => return self.reopen(id),
                Some(message) => (api::Verdict::Failed, message),
            },
            Outcome::Held(held) if self.is_permitted(id, &held) || self.is_permitted_by_down(id, &held) => {
                return self.reopen(id);
            }
            Outcome::Settled if self.is_to_be_written(id, &told) => return self.write_settled(id, told),
            Outcome::Settled => (api::Verdict::Settled, SETTLED.to_owned()),
            Outcome::Failed(units) => {
                (api::Verdict::Failed, format!("partly in force: {}", self.in_words(now, &units)))
            }
            Outcome::Held(held) => (api::Verdict::Refused, asks(&held)),
            Outcome::Refused(why) => (api::Verdict::Refused, why.to_string()),
            Outcome::Withdrawn => return,
        };
        self.publish(id, &told, result, message);
    }

    /// Tells what became of a commit, if that is news.
    fn publish(&mut self, id: &SourceId, told: &Told, result: api::Verdict, message: String) {
        let outcome = self.outcome(told, result, message);
        let Some(followed) = self.followed.get_mut(id) else { return };
        let before = followed.outcome.as_ref();
        if before.is_some_and(|before| (before.result, &before.message) == (outcome.result, &outcome.message)) {
            return;
        }
        let is_first = before.is_none();
        followed.outcome = Some(outcome.clone());
        if is_first {
            let word = format!("{:?}", outcome.result).to_lowercase();
            let text = format!("{word}: {}", outcome.message);
            self.ring.tell("source", About { source: Some(id), commit: Some(&told.commit), unit: None }, text);
        }
        self.ring.end(id, outcome);
    }

    /// What was decided isn't any more: something exited, or a person said yes.
    fn reopen(&mut self, id: &SourceId) {
        if let Some(followed) = self.followed.get_mut(id) {
            followed.outcome = None;
        }
    }

    pub(super) fn outcome(&self, told: &Told, result: api::Verdict, message: String) -> api::Outcome {
        let took = self.clock.now().saturating_sub(told.at);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        api::Outcome { commit: told.commit.clone(), result, message, took_ms }
    }

    /// Whether it has yet to be written that a commit settled, as something to go back to.
    fn is_to_be_written(&self, id: &SourceId, told: &Told) -> bool {
        let Some(state) = self.followed.get(id).map(|followed| &followed.state) else { return false };
        let is_accepted = state.accepted.as_ref().is_some_and(|accepted| accepted.commit == told.commit);
        let is_known = state.history.back().is_some_and(|last| Some(last) == state.accepted.as_ref());
        is_accepted && !is_known && state.suspension != Suspension::Down && self.reach != Reach::Look
    }

    /// It is told when it is written: who hears of it may want to go back to it.
    fn write_settled(&mut self, id: &SourceId, told: Told) {
        let Some(followed) = self.followed.get_mut(id).filter(|followed| !followed.settling) else { return };
        followed.settling = true;
        let (source, generation) = (id.clone(), followed.generation);
        self.write(id, Record::Settled { commit: told.commit.clone() }, move |driver, written| {
            let Some(followed) = driver.followed.get_mut(&source) else { return };
            followed.settling = false;
            let is_newest = followed.generation == generation;
            match written {
                Ok(()) => driver.sweep(),
                // It did settle; with a full disk one can't go back to it, and that is all.
                Err(_) if is_newest => driver.publish(&source, &told, api::Verdict::Settled, SETTLED.to_owned()),
                Err(_) => {}
            }
        });
    }

    /// Why there is no use in waiting for a commit any longer, if there is none: nothing moves but what starts and exits,
    /// or its time is up.
    fn hopeless(&self, now: Time, id: &SourceId, told: &Told) -> Option<String> {
        told.complete.as_ref()?;
        // A full disk, as a rule: it is tried again, and nobody knows when it works.
        if let Some(why) = &self.followed.get(id)?.desk.unwritten {
            return Some(why.clone());
        }
        let in_force = self.core.source_status(id)?.in_force.map(|(generation, _)| generation);
        let plan = self.core.plan();
        let waiting = plan.waiting.into_iter().filter(|(unit, _)| self.core.source_of(unit) == Some(id));
        let waiting: Vec<(UnitId, Why)> = waiting.collect();
        let is_broken = |why: &Why| match why {
            Why::CrashLoop { attempt: tries, .. } | Why::Retry { failures: tries, .. } => *tries >= TRIES_MAX,
            Why::Broken(_) | Why::Failed(_) | Why::Rejected(_) | Why::Stopped { .. } => true,
            _ => false,
        };
        let waits_for_others = |why: &Why| matches!(why, Why::Needs(..) | Why::UsedBy(_) | Why::Claimed(..));
        // While a commit is being accepted, the plan is that of the one before.
        let is_planned = in_force == self.followed.get(id).map(|followed| followed.generation);
        let is_stuck = is_planned
            && waiting.iter().any(|(_, why)| is_broken(why))
            && waiting.iter().all(|(_, why)| is_broken(why) || waits_for_others(why))
            && !plan.steps.keys().any(|unit| self.core.source_of(unit) == Some(id));
        let is_late = now >= told.at + self.patience;
        match (is_stuck, is_late) {
            (true, _) => Some(self.in_words(now, &waiting)),
            (false, true) if waiting.is_empty() => Some(format!("not settled after {:?}", self.patience)),
            (false, true) => Some(format!("not settled after {:?}: {}", self.patience, self.in_words(now, &waiting))),
            (false, false) => None,
        }
    }

    fn in_words(&self, now: Time, units: &[(UnitId, Why)]) -> String {
        let words = units.iter().map(|(unit, why)| {
            let taken_back = match why {
                Why::Rejected(version) => self.taken_back(unit, *version),
                _ => None,
            };
            format!("{} {}", called(unit, &self.source_of(unit)), taken_back.unwrap_or_else(|| why.at(now).to_string()))
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// What became of a version that is bad, and why: the core knows that it is, the journal how it failed.
    pub(super) fn taken_back(&self, unit: &UnitId, version: Digest) -> Option<String> {
        let verdicts = self.followed.values().filter_map(|followed| followed.state.verdicts.get(unit));
        let bad = verdicts.flat_map(|verdicts| &verdicts.bad).find(|bad| bad.want.digest == version)?;
        Some(format!("taken back to its last good version: {:.8} {}", version.to_string(), bad.why))
    }

    /// A yes that is written. The core has yet to see it, with the next look at the world, which was asked for.
    fn is_permitted(&self, id: &SourceId, held: &Held) -> bool {
        let permits = self.followed.get(id).map(|followed| &followed.state.permits);
        permits.is_some_and(|permits| permits.iter().any(|given| given.covers(&held.permit)))
    }

    /// Who said `down` said yes to all that follows from it, unless it deletes data.
    fn is_permitted_by_down(&mut self, id: &SourceId, held: &Held) -> bool {
        let Some(followed) = self.followed.get_mut(id) else { return false };
        let is_harmless = held.permit.removals.values().all(|reclaim| *reclaim == Reclaim::Keep);
        if followed.state.suspension != Suspension::Down || !is_harmless {
            return false;
        }
        if followed.permitted.as_ref() != Some(&held.permit) {
            followed.permitted = Some(held.permit.clone());
            // Permits are read with the world, so the world is to be looked at.
            let units: BTreeSet<UnitId> = held.permit.removals.keys().cloned().collect();
            let now = self.clock.now();
            self.core.handle(now, Event::Changed(units));
        }
        true
    }

    /// Clears away files that no commit needs any more.
    pub(super) fn sweep(&self) {
        let told = self.followed.values().flat_map(|followed| followed.told.values());
        let wanted = told.filter_map(|told| told.complete.as_ref()).flat_map(|complete| complete.units().values());
        let verdicts = self.followed.values().flat_map(|followed| followed.state.verdicts.values());
        let remembered =
            verdicts.flat_map(|verdicts| verdicts.good.iter().chain(verdicts.bad.iter().map(|bad| &bad.want)));
        let units: Vec<_> = wanted.chain(remembered).map(|want| want.unit.clone()).collect();
        self.call(
            move |means| {
                (means.sweep)(&units);
                means.files.sweep(&units, std::time::SystemTime::now())
            },
            |_, swept| match swept {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "files of repositories that nothing needs any more"),
                Err(error) => tracing::warn!(%error, "could not sweep the store of files"),
            },
        );
    }
}

/// What the guard asks, and how to say yes.
pub(super) fn asks(held: &Held) -> String {
    format!("{held}: `abide allow {}` says yes to that", held.permit.id())
}
