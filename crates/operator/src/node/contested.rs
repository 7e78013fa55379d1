//! What others write over. Who has another opinion of an object and says so at once is not answered at once, or both would
//! write as fast as the API server lets them.

use super::status::timeless;
use crate::crd::Status;
use abide_spec::{Digest, UnitId};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// The same is not written again before this; then not before twice as long, and so on,
const PAUSE: Duration = Duration::from_secs(5);
/// up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What stayed for so long was not contested.
const SETTLED: Duration = Duration::from_secs(300);

/// What was written last.
#[derive(Debug, Default)]
pub(crate) struct Contested(BTreeMap<UnitId, Written>);

#[derive(Debug)]
struct Written {
    uid: String,
    /// Of the status, but for its times.
    digest: Digest,
    at: Instant,
    pause: Duration,
}

impl Contested {
    /// A status was written to the object with this uid.
    pub(crate) fn wrote(&mut self, unit: &UnitId, uid: &str, status: &Status, now: Instant) {
        let digest = digest(status);
        let before = self.0.get(unit).filter(|before| before.uid == uid && before.digest == digest);
        let pause = match before {
            Some(before) if now < before.at + SETTLED => (before.pause * 2).min(PAUSE_MAX),
            _ => PAUSE,
        };
        self.0.insert(unit.clone(), Written { uid: uid.to_owned(), digest, at: now, pause });
    }

    /// Until when it is too early to write that again, if it is.
    pub(crate) fn holds_back(&self, unit: &UnitId, uid: &str, status: &Status, now: Instant) -> Option<Instant> {
        let written = self.0.get(unit)?;
        let end = written.at + written.pause;
        (now < end && written.uid == uid && written.digest == digest(status)).then_some(end)
    }

    /// Keeps to these objects.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&UnitId) -> bool) {
        self.0.retain(|unit, _| is_there(unit));
    }
}

/// A status has no map that could not be written.
fn digest(status: &Status) -> Digest {
    Digest::of(&serde_json::to_vec(&timeless(status)).unwrap_or_default())
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
        assert_eq!(contested.holds_back(&unit, "u1", &status("a"), begin), None);
        contested.wrote(&unit, "u1", &status("a"), begin);
        // Somebody wrote over it.
        let mut now = begin + PAUSE;
        assert_eq!(contested.holds_back(&unit, "u1", &status("a"), begin), Some(now));
        assert_eq!(contested.holds_back(&unit, "u1", &status("b"), begin), None, "what is news is written");
        assert_eq!(contested.holds_back(&unit, "u2", &status("a"), begin), None, "and to another object anything");

        let mut writes = 0;
        while now < begin + Duration::from_secs(3600) {
            assert_eq!(contested.holds_back(&unit, "u1", &status("a"), now), None);
            contested.wrote(&unit, "u1", &status("a"), now);
            writes += 1;
            now = contested.holds_back(&unit, "u1", &status("a"), now).unwrap();
        }
        assert!(writes <= 64, "{writes} in an hour");
        contested.wrote(&unit, "u1", &status("a"), now + SETTLED);
        let end = contested.holds_back(&unit, "u1", &status("a"), now + SETTLED);
        assert_eq!(end, Some(now + SETTLED + PAUSE), "it was left alone meanwhile");
    }
}
