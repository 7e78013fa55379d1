//! Sources: which wish of each is in force, and what it owns.

use crate::{
    id::{Ticket, Time},
    mutant::{self, Mutant},
    order::Accepted,
    want::{Complete, Wish},
};
use abide_spec::{UnitId, kind::Reclaim};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) generation: u64,
    pub(crate) says: Says,
    pub(crate) in_force: Option<Arc<Complete>>,
    /// Newer than what is in force: its removals are not permitted, or the acceptance is not written yet.
    pub(crate) held: Option<Arc<Complete>>,
    /// What the observed world says it owns, and what becomes of the data of each.
    pub(crate) owned: BTreeMap<UnitId, Reclaim>,
    /// What is written of the wish in force. Removals that passed stay passed while it is: as the work goes on the shares
    /// shift, and must not be judged anew. The reclaim is the one that was judged.
    pub(crate) accepted: Accepted,
    /// What an earlier run wrote.
    pub(crate) restored: Option<Accepted>,
    /// Passed the guard, and is to be written before anything is done about it.
    pub(crate) accepting: Option<Accepting>,
    /// Owned and wanted by nobody, and not judged to be harmless so far.
    pub(crate) going: BTreeSet<UnitId>,
}

/// An acceptance on its way to the journal.
#[derive(Debug)]
pub(crate) struct Accepting {
    pub(crate) accepted: Accepted,
    /// The order to write it, and when it is asked again.
    pub(crate) asked: Option<(Ticket, Time)>,
    pub(crate) not_before: Time,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Says {
    #[default]
    Unknown,
    Refused(Arc<str>),
    Withdrawn,
    Complete,
}

impl Source {
    /// Whether the wish was news.
    pub(crate) fn hear(&mut self, generation: u64, wish: Wish) -> bool {
        let is_known = self.says != Says::Unknown && generation <= self.generation;
        if is_known && !mutant::is(Mutant::OlderWishWins) {
            return false;
        }
        self.generation = generation;
        self.accepting = None;
        (self.says, self.held) = match wish {
            Wish::Refused(why) => (Says::Refused(why), None),
            Wish::Withdrawn => (Says::Withdrawn, None),
            Wish::Complete(complete) => (Says::Complete, Some(complete)),
        };
        true
    }

    /// Only by a complete wish that is in force: one that is held back might want the unit again.
    pub(crate) fn may_prune(&self) -> bool {
        match self.says {
            Says::Complete => self.held.is_none(),
            Says::Refused(_) => mutant::is(Mutant::RefusedPrunes),
            Says::Unknown => mutant::is(Mutant::UnknownIsEmpty),
            Says::Withdrawn => false,
        }
    }

    /// What it owns and a wish does not name.
    pub(crate) fn removals(&self, wish: Option<&Complete>) -> BTreeSet<UnitId> {
        let is_wanted = |unit: &UnitId| wish.is_some_and(|wish| wish.units().contains_key(unit));
        self.owned.keys().filter(|unit| !is_wanted(unit)).cloned().collect()
    }

    /// What would be written if the wish came into force with these removals.
    pub(crate) fn acceptance(&self, removals: &BTreeSet<UnitId>) -> Accepted {
        let judged = |unit: &UnitId| (unit.clone(), self.owned.get(unit).copied().unwrap_or_default());
        let mut accepted = match &self.held {
            Some(held) => {
                let owned_before = self.owned_but_for(held);
                Accepted { generation: self.generation, owned_before, ..Accepted::default() }
            }
            None => self.accepted.clone(),
        };
        accepted.removals.extend(removals.iter().map(judged));
        accepted
    }
}
