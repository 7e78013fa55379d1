//! What others write over. Who has another opinion of an object and says so at once is not answered at once, or both would
//! write as fast as the API server lets them.

use super::status::timeless;
use crate::crd::Status;
use abide_spec::UnitId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// The same is not written again before this; then not before twice as long, and so on,
const PAUSE: Duration = Duration::from_secs(5);
/// up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What stayed for so long was not contested.
const SETTLED: Duration = Duration::from_secs(300);

/// What was written last.
#[derive(Debug, Default)]
pub(crate) struct Contested {
    written: BTreeMap<UnitId, Written>,
    /// When each that was held back is to be looked at again.
    held: BTreeSet<(Instant, UnitId)>,
}

#[derive(Debug)]
struct Written {
    uid: String,
    status: Status,
    at: Instant,
    pause: Duration,
}

impl Contested {
    /// A status was written to the object with this uid.
    pub(crate) fn wrote(&mut self, unit: &UnitId, uid: &str, status: &Status, now: Instant) {
        let status = timeless(status);
        let before = self.written.get(unit).filter(|before| before.uid == uid && before.status == status);
        let pause = match before {
            Some(before) if now < before.at + SETTLED => (before.pause * 2).min(PAUSE_MAX),
            _ => PAUSE,
        };
        self.written.insert(unit.clone(), Written { uid: uid.to_owned(), status, at: now, pause });
    }

    /// Whether it is too early to write that again.
    pub(crate) fn holds_back(&mut self, unit: &UnitId, uid: &str, status: &Status, now: Instant) -> bool {
        let Some(written) = self.written.get(unit) else { return false };
        let end = written.at + written.pause;
        let is_held = now < end && written.uid == uid && written.status == timeless(status);
        if is_held {
            self.held.insert((end, unit.clone()));
        }
        is_held
    }

    /// Keeps to these objects.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&UnitId) -> bool) {
        self.written.retain(|unit, _| is_there(unit));
    }

    /// One that was held back long enough.
    pub(crate) fn ripe(&mut self, now: Instant) -> Option<UnitId> {
        self.wake_at().filter(|end| *end <= now)?;
        self.held.pop_first().map(|(_, unit)| unit)
    }

    /// When there is one.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.held.first().map(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Kind, Name};

    #[test]
    fn two_that_disagree_dont_race() {
        let name = Name::new("web").unwrap();
        let unit = UnitId { scope: Name::new("shop").unwrap(), kind: Kind::Container, name, index: 0 };
        let status = |text: &str| Status { message: Some(text.to_owned()), ..Status::default() };
        let (mut contested, begin) = (Contested::default(), Instant::now());
        assert!(!contested.holds_back(&unit, "u1", &status("a"), begin));
        contested.wrote(&unit, "u1", &status("a"), begin);
        // Somebody wrote over it.
        assert!(contested.holds_back(&unit, "u1", &status("a"), begin));
        assert!(!contested.holds_back(&unit, "u1", &status("b"), begin), "what is news is written");
        assert!(!contested.holds_back(&unit, "u2", &status("a"), begin), "and to another object anything");
        assert_eq!(contested.wake_at(), Some(begin + PAUSE));
        assert_eq!(contested.ripe(begin), None);

        let mut now = begin + PAUSE;
        assert_eq!(contested.ripe(now), Some(unit.clone()));
        let mut writes = 0;
        while now < begin + Duration::from_secs(3600) {
            assert!(!contested.holds_back(&unit, "u1", &status("a"), now));
            contested.wrote(&unit, "u1", &status("a"), now);
            writes += 1;
            assert!(contested.holds_back(&unit, "u1", &status("a"), now));
            now = contested.wake_at().unwrap();
            assert_eq!(contested.ripe(now), Some(unit.clone()));
        }
        assert!(writes <= 64, "{writes} in an hour");
        contested.wrote(&unit, "u1", &status("a"), now + SETTLED);
        contested.holds_back(&unit, "u1", &status("a"), now + SETTLED);
        assert_eq!(contested.wake_at(), Some(now + SETTLED + PAUSE), "it was left alone meanwhile");
    }
}
