//! Telling the sources' reporters how things stand: at the end of a turn, at the cost of what changed.

use super::{
    Driver,
    snapshot::{held, state_of, unit},
};
use crate::{
    followed::{Followed, Restoring},
    port::{Happened, SourceReport, UnitReport},
    talk::complete,
    telling::{Next, Reports},
};
use abide_reconcile::{SourceId, UnitId, Why, status::SourceState};

impl Driver {
    /// Tells what changed since the last turn.
    pub(super) fn tell_reporters(&mut self) {
        let changed = self.core.take_changed();
        for (id, followed) in &mut self.followed {
            if let Some(telling) = &mut followed.telling {
                telling.changed(&changed, |unit| self.core.source_of(unit) == Some(id));
            }
        }
        if std::mem::take(&mut self.wishes_changed) {
            self.tell_of_others();
        }
        // Before that, all would seem to be gone.
        if !self.early.has_seen_all {
            return;
        }
        let is_told = |followed: &&Followed| followed.telling.is_some() && followed.restoring == Restoring::Over;
        let told: Vec<SourceId> = self.followed.values().filter(is_told).map(|followed| followed.id.clone()).collect();
        let groups = if told.is_empty() { Vec::new() } else { self.core.groups() };
        for id in told {
            self.tell_reporter(&id);
            let groups = groups.iter().filter(|group| group.id.source == id).cloned().collect();
            if let Some(telling) = self.followed.get_mut(&id).and_then(|followed| followed.telling.as_mut()) {
                telling.tell_groups(groups);
            }
        }
    }

    /// Tells each reporter what the other sources wish.
    fn tell_of_others(&mut self) {
        let told = self.followed.values().filter(|followed| followed.telling.is_some());
        for id in told.map(|followed| followed.id.clone()).collect::<Vec<SourceId>>() {
            let others = self.wishes_of_others(&id).map(|(unit, source)| (unit.clone(), source.clone())).collect();
            if let Some(telling) = self.followed.get_mut(&id).and_then(|followed| followed.telling.as_mut()) {
                telling.tell_others(others);
            }
        }
    }

    fn tell_reporter(&mut self, id: &SourceId) {
        let Some(telling) = self.followed.get_mut(id).and_then(|followed| followed.telling.as_mut()) else { return };
        let number = telling.number;
        let (is_everything, units) = match telling.take() {
            Next::Nothing => return,
            Next::Everything => (true, self.core.of_source(id)),
            Next::These(units) => (false, units),
        };
        let mut reports: Reports = units.into_iter().map(|unit| (unit.clone(), self.report_of(id, &unit))).collect();
        let id = id.clone();
        self.call(
            move |means| {
                for (unit, report) in &mut reports {
                    if let Some(report) = report {
                        complete(unit, &mut report.status, &*means.inspector);
                    }
                }
                reports
            },
            move |driver, reports| {
                let telling = driver.followed.get_mut(&id).and_then(|followed| followed.telling.as_mut());
                if let Some(telling) = telling.filter(|telling| telling.number == number) {
                    telling.tell(is_everything, reports);
                }
            },
        );
    }

    /// A unit as it is for a source; what is another source's by now is nothing.
    fn report_of(&self, id: &SourceId, unit: &UnitId) -> Option<UnitReport> {
        let status = self.core.unit_status(self.clock.now(), unit)?;
        if status.source.as_ref().is_some_and(|source| source != id) {
            return None;
        }
        let (wanted, serves_wanted, taken_back) = (status.wanted, status.serves_wanted, status.taken_back);
        Some(UnitReport { status: self.unit_of(status), wanted, serves_wanted, taken_back })
    }

    /// A unit as the local API has it, but for what only its directory knows.
    pub(super) fn unit_of(&self, mut status: abide_reconcile::status::UnitStatus) -> crate::api::UnitStatus {
        if let Some(Why::Rejected(version)) = status.waiting {
            status.message = self.taken_back(&status.id, version).unwrap_or(status.message);
        }
        unit(status)
    }

    /// Tells a source's reporter of the source, if that is news. Costs the source's units.
    pub(super) fn tell_reporter_of_source(&mut self, id: &SourceId) {
        let Some(followed) = self.followed.get(id).filter(|followed| followed.telling.is_some()) else { return };
        let status = self.core.source_status(id);
        let (state, message) = state_of(followed, status.as_ref());
        let report = SourceReport {
            told: followed.newest().map(|told| told.commit.clone()),
            in_force: followed.state.accepted.as_ref().map(|accepted| accepted.commit.clone()),
            state,
            message,
            held: status.and_then(|status| match status.state {
                SourceState::Held(asked) => Some(held(&asked)),
                _ => None,
            }),
        };
        if let Some(telling) = self.followed.get_mut(id).and_then(|followed| followed.telling.as_mut()) {
            telling.tell_source(report);
        }
    }

    /// Tells the reporter of the unit's source.
    pub(super) fn tell_reporter_that(&self, source: &SourceId, unit: &UnitId, what: Happened, text: &str) {
        if let Some(telling) = self.followed.get(source).and_then(|followed| followed.telling.as_ref()) {
            telling.reporter.happened(unit, what, text);
        }
    }
}
