//! What a source's reporter was told, and what it has yet to be told.
//!
//! One telling is under way at a time, so that what is newer never comes first; what changes meanwhile waits for the next.

use crate::port::{Reporter, SourceReport, UnitReport};
use abide_reconcile::{GroupStatus, SourceId, UnitId};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// Units, with what is to be told of each.
pub(crate) type Reports = BTreeMap<UnitId, Option<UnitReport>>;

/// What is told to a reporter.
pub(crate) struct Telling {
    pub(crate) reporter: Arc<dyn Reporter>,
    /// Of which listener it is: an earlier one's telling may come back late.
    pub(crate) number: u64,
    /// Units of which it knows that there is something; nothing before it was told everything.
    known: Option<BTreeSet<UnitId>>,
    /// Units that changed and were not told.
    waiting: BTreeSet<UnitId>,
    is_under_way: bool,
    /// What it was told last of the source itself.
    source: Option<SourceReport>,
    /// And of its groups.
    groups: Vec<GroupStatus>,
    /// And of what other sources wish.
    others: Arc<BTreeMap<UnitId, SourceId>>,
}

/// What is to be told next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    Everything,
    These(BTreeSet<UnitId>),
}

impl Telling {
    pub(crate) fn new(reporter: Arc<dyn Reporter>, number: u64) -> Self {
        Self {
            reporter,
            number,
            known: None,
            waiting: BTreeSet::new(),
            is_under_way: false,
            source: None,
            groups: Vec::new(),
            others: Arc::default(),
        }
    }

    /// Notes which of these units it has to be told of; `is_its` says whether a unit is of the source.
    pub(crate) fn changed(&mut self, units: &BTreeSet<UnitId>, is_its: impl Fn(&UnitId) -> bool) {
        let Some(known) = &self.known else { return };
        self.waiting.extend(units.iter().filter(|unit| known.contains(*unit) || is_its(unit)).cloned());
    }

    /// What to tell now. Who takes it calls [`Self::told`] in the end.
    pub(crate) fn take(&mut self) -> Next {
        match (&mut self.known, self.is_under_way) {
            (_, true) => return Next::Nothing,
            (Some(_), false) if self.waiting.is_empty() => return Next::Nothing,
            (Some(_), false) => {}
            (known @ None, false) => {
                // From now on, what changes is noted.
                *known = Some(BTreeSet::new());
                self.is_under_way = true;
                return Next::Everything;
            }
        }
        self.is_under_way = true;
        Next::These(std::mem::take(&mut self.waiting))
    }

    /// Tells it.
    pub(crate) fn tell(&mut self, is_everything: bool, reports: Reports) {
        self.is_under_way = false;
        let known = self.known.get_or_insert_default();
        for (unit, report) in &reports {
            match report {
                Some(_) => known.insert(unit.clone()),
                None => known.remove(unit),
            };
        }
        if is_everything {
            let there = reports.into_iter().filter_map(|(unit, report)| Some((unit, report?)));
            self.reporter.everything(there.collect());
        } else {
            self.reporter.units(reports);
        }
    }

    /// Tells of the source itself, if that is news.
    pub(crate) fn tell_source(&mut self, source: SourceReport) {
        if self.source.as_ref() != Some(&source) {
            self.source = Some(source.clone());
            self.reporter.source(source);
        }
    }

    /// Tells what other sources wish, if that is news.
    pub(crate) fn tell_others(&mut self, others: BTreeMap<UnitId, SourceId>) {
        if *self.others != others {
            self.others = Arc::new(others);
            self.reporter.others(Arc::clone(&self.others));
        }
    }

    /// Tells of the source's groups, if that is news.
    pub(crate) fn tell_groups(&mut self, groups: Vec<GroupStatus>) {
        if self.groups != groups {
            self.groups.clone_from(&groups);
            self.reporter.groups(groups);
        }
    }
}

impl fmt::Debug for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Telling({}, {} waiting)", self.number, self.waiting.len())
    }
}
