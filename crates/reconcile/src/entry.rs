//! All the core knows of one unit, and what follows from it without looking at other units.

use crate::{
    id::{SourceId, Ticket, Time},
    limits::Limits,
    member::kept,
    order::{Fault, Step, Verdict},
    plan::Next,
    rollout::Seat,
    seen::{Record, Seen},
    want::{Claim, Want},
};
use abide_spec::{Digest, UnitId};
use std::{collections::BTreeSet, sync::Arc};

#[derive(Debug)]
pub(crate) struct Entry {
    /// What the source in force wants.
    pub(crate) wish: Option<(SourceId, Arc<Want>)>,
    pub(crate) record: Arc<Record>,
    pub(crate) orders: Orders,
    /// Where it is in a group of the wish.
    pub(crate) seat: Option<Seat>,
    /// A person wants it tried again.
    pub(crate) retry: bool,
    /// Who needs this unit, now or by wish.
    pub(crate) users: BTreeSet<UnitId>,
    /// As entered into the indexes of others, so that a change finds what to take back.
    pub(crate) needs: BTreeSet<UnitId>,
    pub(crate) holds: BTreeSet<Claim>,
    pub(crate) claims: BTreeSet<Claim>,
    pub(crate) next: Next,
    pub(crate) timer: Option<Time>,
    /// The record is true of this time or later. "Ready for so long" is judged by it and not by the clock: of what
    /// happened since nobody knows.
    pub(crate) seen_at: Time,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            wish: None,
            record: Arc::default(),
            orders: Orders::default(),
            seat: None,
            retry: false,
            users: BTreeSet::new(),
            needs: BTreeSet::new(),
            holds: BTreeSet::new(),
            claims: BTreeSet::new(),
            next: Next::Settled,
            timer: None,
            seen_at: Time::ZERO,
        }
    }
}

/// What was ordered for a unit, and what is not known about it therefore.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) flight: Option<Flight>,
    /// Given up after silence: they may land until a later order of the unit has ended.
    pub(crate) doubts: Vec<Flight>,
    /// Orders that ended after the last look at the unit.
    pub(crate) stale: Option<Stale>,
    pub(crate) trouble: Option<Trouble>,
    /// The version that was made ready to start.
    pub(crate) prepared: Option<Digest>,
}

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) ticket: Ticket,
    pub(crate) step: Step,
    /// The version it was for: a failure must not be held against a later one.
    pub(crate) version: Option<Digest>,
    pub(crate) cancelled: bool,
}

/// The order is over, but what it did has not been seen: it counts as if it were under way.
#[derive(Debug)]
pub(crate) struct Stale {
    /// The first look that can know.
    pub(crate) until: Ticket,
    pub(crate) steps: Vec<Step>,
}

/// Orders that failed, for one version; an order for another one is not held back by it.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) version: Option<Digest>,
    pub(crate) failures: u32,
    pub(crate) not_before: Time,
    pub(crate) why: Arc<str>,
    pub(crate) is_final: bool,
}

impl Entry {
    pub(crate) fn is_empty(&self) -> bool {
        self.wish.is_none()
            && self.users.is_empty()
            && *self.record == Record::default()
            && self.orders.flight.is_none()
            && self.orders.doubts.is_empty()
            && self.orders.stale.is_none()
    }

    /// Whether it is wished or there, or may yet be by an order that was given.
    pub(crate) fn is_something(&self) -> bool {
        self.wish.is_some() || *self.record != Record::NOTHING || self.orders.steps().next().is_some()
    }

    /// Who wishes it; else who may prune it.
    pub(crate) fn source(&self) -> Option<&SourceId> {
        let owner = self.record.owner.as_ref().map(|owner| &owner.source);
        self.wish.as_ref().map(|(source, _)| source).or(owner)
    }

    /// Nothing is assumed about a unit that is changing: it gets no step and satisfies no need.
    pub(crate) fn is_changing(&self) -> bool {
        self.orders.flight.is_some() || self.orders.stale.is_some()
    }

    /// A person wants it tried again, and what is known of it may be from before what failed was forgotten.
    pub(crate) fn is_being_forgiven(&self) -> bool {
        self.retry || self.orders.steps().any(|step| *step == Step::Mark(Verdict::Retry))
    }

    /// Claims that the unit has, or may have by orders of which the effect was not seen.
    pub(crate) fn held_claims(&self) -> BTreeSet<Claim> {
        let live = self.record.live().flat_map(Seen::claims);
        let coming = self.orders.steps().flat_map(Step::takes);
        let activated = self.orders.steps().filter_map(|step| match step {
            Step::Activate { instance } => self.record.live().find(|seen| seen.instance == *instance),
            _ => None,
        });
        live.chain(coming).chain(activated.flat_map(|seen| &seen.want.claims)).cloned().collect()
    }

    /// Units that it stands on, or may stand on by orders of which the effect was not seen.
    pub(crate) fn stands_on(&self) -> impl Iterator<Item = &UnitId> {
        let live = self.record.live().map(|seen| &seen.want);
        live.chain(self.orders.steps().filter_map(Step::brings)).flat_map(|want| want.needs.keys())
    }
}

impl Orders {
    /// Steps that may have had or may yet have an effect that was not seen.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        let stale = self.stale.iter().flat_map(|stale| &stale.steps);
        self.flight.iter().chain(&self.doubts).map(|flight| &flight.step).chain(stale)
    }

    /// These are over, but only a look from now on can tell what they did.
    pub(crate) fn unseen(&mut self, until: Ticket, over: impl IntoIterator<Item = Step>) {
        let mut steps = self.stale.take().map_or_else(Vec::new, |stale| stale.steps);
        steps.extend(over);
        self.stale = Some(Stale { until, steps });
    }

    /// What a successful order leaves behind.
    pub(crate) fn succeed(&mut self, flight: &Flight, until: Ticket) {
        if let Step::Prepare { want } = &flight.step {
            self.prepared = Some(want.digest);
        }
        // What was in doubt can't land any more, but may have.
        let over: Vec<Step> = self.doubts.drain(..).map(|doubt| doubt.step).collect();
        self.unseen(until, over);
        self.trouble = None;
    }

    pub(crate) fn fail(&mut self, now: Time, limits: &Limits, version: Option<Digest>, fault: &Fault) {
        if *fault == Fault::Unprepared {
            self.prepared = None;
        }
        let before = self.trouble.take().filter(|trouble| trouble.version == version);
        let failures = before.map_or(0, |trouble| trouble.failures) + 1;
        self.trouble = Some(Trouble {
            version,
            failures,
            not_before: now + limits.back_off(failures),
            why: fault.to_string().into(),
            is_final: matches!(fault, Fault::Never(_)),
        });
    }
}

/// What is to become of a unit, by the wishes and its record alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// `want` runs: the wish of `source`, or the last good version if that wish is bad.
    Run {
        want: &'a Arc<Want>,
        wish: &'a Arc<Want>,
        source: &'a SourceId,
    },
    Leave,
    Undecided,
}

impl<'a> Target<'a> {
    pub(crate) fn of_wish((source, wish): &'a (SourceId, Arc<Want>), record: &'a Record) -> Self {
        Self::Run { want: record.target(wish), wish, source }
    }

    /// The same where the unit may not have the version that is wished for now: it keeps what it has.
    pub(crate) fn kept(self, record: &'a Record) -> Self {
        match self {
            Self::Run { want, wish, source } if want.digest == wish.digest => {
                Self::Run { want: kept(record, wish).unwrap_or(wish), wish, source }
            }
            other => other,
        }
    }

    pub(crate) fn want(self) -> Option<&'a Arc<Want>> {
        match self {
            Self::Run { want, .. } => Some(want),
            Self::Leave | Self::Undecided => None,
        }
    }
}
