//! A reporter that remembers what it was told.

use abide_agent::{Happened, Reporter, SourceReport, UnitReport};
use abide_reconcile::UnitId;
use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex},
    time::Duration,
};

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// What was told, and what it adds up to.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// How often it was told everything.
    pub(crate) everything: usize,
    /// Units as they were told last, as `KIND/NAME`.
    pub(crate) units: BTreeMap<String, UnitReport>,
    /// Every report of a unit, in order; nothing where there is nothing of it any more.
    pub(crate) reports: Vec<(String, Option<UnitReport>)>,
    pub(crate) sources: Vec<SourceReport>,
    pub(crate) happened: Vec<(String, Happened, String)>,
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    told: Mutex<Told>,
    changed: Condvar,
}

impl Recorder {
    /// Waits until what was told is as it should be, and looks at that.
    pub(crate) fn until<T>(&self, what: &str, is_so: impl Fn(&Told) -> bool, look: impl FnOnce(&mut Told) -> T) -> T {
        let told = self.told.lock().unwrap();
        let (mut told, timeout) = self.changed.wait_timeout_while(told, DEADLINE, |told| !is_so(told)).unwrap();
        assert!(!timeout.timed_out(), "not {what}: {told:#?}");
        look(&mut told)
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().unwrap())
    }

    fn note(&self, note: impl FnOnce(&mut Told)) {
        note(&mut self.told.lock().unwrap());
        self.changed.notify_all();
    }
}

impl Reporter for Recorder {
    fn everything(&self, units: BTreeMap<UnitId, UnitReport>) {
        self.note(|told| {
            told.everything += 1;
            told.units = units.into_iter().map(|(unit, report)| (short(&unit), report)).collect();
        });
    }

    fn units(&self, changed: BTreeMap<UnitId, Option<UnitReport>>) {
        self.note(|told| {
            for (unit, report) in changed {
                told.reports.push((short(&unit), report.clone()));
                match report {
                    Some(report) => told.units.insert(short(&unit), report),
                    None => told.units.remove(&short(&unit)),
                };
            }
        });
    }

    fn source(&self, source: SourceReport) {
        self.note(|told| told.sources.push(source));
    }

    fn happened(&self, unit: &UnitId, what: Happened, text: &str) {
        self.note(|told| told.happened.push((short(unit), what, text.to_owned())));
    }
}

fn short(unit: &UnitId) -> String {
    format!("{}/{}", unit.kind, unit.name)
}
