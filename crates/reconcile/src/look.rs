//! Looks at the world: one at a time, of everything or of the units that something happened to.

use crate::{
    id::{Ticket, Time},
    limits::Limits,
    mutant::{self, Mutant},
    order::Look,
};
use abide_spec::UnitId;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(crate) struct Looks {
    under_way: Option<UnderWay>,
    /// What to look at as soon as possible.
    wanted: BTreeSet<UnitId>,
    /// When to look at everything the next time.
    all_at: Time,
    /// After a look failed: not before this.
    not_before: Time,
    seen_all: bool,
}

#[derive(Debug)]
struct UnderWay {
    ticket: Ticket,
    what: Look,
    asked: Time,
    deadline: Time,
}

impl Looks {
    pub(crate) fn want(&mut self, units: BTreeSet<UnitId>) {
        self.wanted.extend(units);
    }

    pub(crate) fn has_seen_all(&self) -> bool {
        self.seen_all
    }

    /// The look to begin now, if any; the caller carries it out under `ticket`.
    pub(crate) fn next(&mut self, now: Time, ticket: Ticket, limits: &Limits) -> Option<Look> {
        if self.under_way.is_some() || now < self.not_before {
            return None;
        }
        let what = if !self.seen_all || now >= self.all_at {
            self.all_at = now + limits.resync;
            self.wanted.clear();
            Look::All
        } else if self.wanted.is_empty() {
            return None;
        } else {
            Look::Units(std::mem::take(&mut self.wanted))
        };
        let deadline = now + limits.silence_max;
        self.under_way = Some(UnderWay { ticket, what: what.clone(), asked: now, deadline });
        Some(what)
    }

    /// What the look was at and when, if it is the one that is waited for.
    pub(crate) fn end(&mut self, ticket: Ticket) -> Option<(Look, Time)> {
        let UnderWay { what, asked, .. } = self.under_way.take_if(|look| look.ticket == ticket)?;
        self.seen_all |= what == Look::All;
        Some((what, asked))
    }

    pub(crate) fn fail(&mut self, ticket: Ticket, not_before: Time) {
        if let Some(look) = self.under_way.take_if(|look| look.ticket == ticket) {
            self.not_before = not_before;
            self.again(look);
        }
    }

    /// A look that does not come back is asked for anew.
    pub(crate) fn give_up(&mut self, now: Time) {
        if mutant::is(Mutant::NoLookDeadline) {
            return;
        }
        if let Some(look) = self.under_way.take_if(|look| now >= look.deadline) {
            self.again(look);
        }
    }

    pub(crate) fn wake_at(&self) -> Time {
        match &self.under_way {
            Some(look) => look.deadline,
            None if self.wanted.is_empty() => self.all_at.max(self.not_before),
            None => self.not_before,
        }
    }

    fn again(&mut self, look: UnderWay) {
        match look.what {
            Look::All => self.all_at = Time::ZERO,
            Look::Units(units) => self.wanted.extend(units),
        }
    }
}
