//! The guard: how much may go without a person's yes. What is held is told with the reasons, for people.

use crate::{
    id::SourceId,
    limits::Limits,
    mutant::{self, Mutant},
    seen::Permit,
    source::Source,
    want::Complete,
};
use abide_spec::{UnitId, kind::Reclaim};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// Removals that wait for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the person says yes to.
    pub permit: Permit,
    /// Why the person is asked; never empty.
    pub reasons: Vec<Reason>,
}

/// Why removals are not harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// More than a few, and more than a small share.
    Many {
        /// So many, with what went before under the same wish.
        count: usize,
        /// Of so many that the source owns.
        owned: usize,
    },
    /// Everything that the source owns.
    Everything {
        /// So many units.
        count: usize,
    },
    /// Few, but they are what is left of many that were missing at once.
    Rest {
        /// So many.
        count: usize,
        /// Of so many.
        missing: usize,
    },
    /// Data goes with these.
    Deletes(Vec<UnitId>),
}

/// When removals are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before their wish comes into force.
    Before,
    /// They turned up after it did. They add up with what went before, or one by one they would all be few.
    Late,
}

impl Source {
    /// What a person has to permit before `removals` may go, if anything. What is confirmed where the wish comes from isn't
    /// judged, and doesn't count: neither among what goes nor among what it is a share of.
    pub(crate) fn guard(
        &self,
        id: &SourceId,
        wish: &Complete,
        removals: &BTreeSet<UnitId>,
        moment: Moment,
        permits: &BTreeSet<Arc<Permit>>,
        limits: &Limits,
    ) -> Result<(), Held> {
        let reclaim = |unit: &UnitId| self.owned.get(unit).copied().unwrap_or_default();
        let unconfirmed = removals.iter().filter(|unit| !wish.is_confirmed(unit));
        let removals: BTreeMap<UnitId, Reclaim> = unconfirmed.map(|unit| (unit.clone(), reclaim(unit))).collect();
        let (count, owned) = match moment {
            Moment::Before => (removals.len(), self.owned_but_for(wish)),
            Moment::Late => {
                let gone = self.accepted.removals.keys().filter(|unit| !wish.is_confirmed(unit)).count();
                (gone + removals.len(), self.accepted.owned_before.max(gone) + removals.len())
            }
        };
        let missing = if mutant::is(Mutant::MissingForgotten) { 0 } else { wish.missing_at_once() };
        let reasons = reasons(&removals, count, owned, missing, limits);
        if removals.is_empty() || reasons.is_empty() || mutant::is(Mutant::GuardOff) {
            return Ok(());
        }
        let permit = Permit { source: id.clone(), wish: wish.digest(), removals };
        let is_permitted = permits.iter().any(|given| given.covers(&permit));
        let is_carried_away = mutant::is(Mutant::ConfirmedConfirmsAll) && !wish.confirmed().is_empty();
        if is_permitted || is_carried_away { Ok(()) } else { Err(Held { permit, reasons }) }
    }

    /// How much it owns, but for what is confirmed to go.
    pub(crate) fn owned_but_for(&self, wish: &Complete) -> usize {
        self.owned.keys().filter(|unit| !wish.is_confirmed(unit)).count()
    }
}

impl Complete {
    fn is_confirmed(&self, unit: &UnitId) -> bool {
        self.confirmed().contains(unit) && !mutant::is(Mutant::ConfirmedJudged)
    }
}

fn reasons(
    removals: &BTreeMap<UnitId, Reclaim>,
    count: usize,
    owned: usize,
    missing: usize,
    limits: &Limits,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let is_many = |count: usize| count > limits.removals_max && count * 100 > owned * limits.removals_percent_max;
    if count == owned {
        reasons.push(Reason::Everything { count });
    } else if is_many(count) {
        reasons.push(Reason::Many { count, owned });
    } else if missing > count && (missing >= owned || is_many(missing)) {
        reasons.push(Reason::Rest { count, missing });
    }
    let deleted = removals.iter().filter(|(_, reclaim)| **reclaim == Reclaim::Delete);
    let deleted: Vec<UnitId> = deleted.map(|(unit, _)| unit.clone()).collect();
    if !deleted.is_empty() {
        reasons.push(Reason::Deletes(deleted));
    }
    reasons
}

impl fmt::Display for Held {
    /// One sentence, as "removes 4 of 10 units (40 %), and deletes the data of Volume/db (reclaim: Delete)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, reason) in self.reasons.iter().enumerate() {
            write!(f, "{}{reason}", if n == 0 { "" } else { ", and " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Many { count, owned } => {
                write!(f, "removes {count} of {owned} units ({} %)", count * 100 / owned.max(&1))
            }
            Self::Everything { count: 1 } => f.write_str("removes everything it owns (1 unit)"),
            Self::Everything { count } => write!(f, "removes everything it owns ({count} units)"),
            Self::Rest { count, missing } => {
                write!(f, "removes {count} of {missing} units that were missing at once")
            }
            Self::Deletes(units) => {
                let names: Vec<String> = units.iter().map(|unit| format!("{}/{}", unit.kind, unit.name)).collect();
                write!(f, "deletes the data of {} (reclaim: Delete)", names.join(", "))
            }
        }
    }
}
