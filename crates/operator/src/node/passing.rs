//! Objects that are on their way. What is over in a moment is not worth a write: of most objects only how they ended up is
//! said, and the API server has half of the work.

use abide_spec::UnitId;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// For so long it isn't said that an object is on its way. Nobody who looks by eye is there sooner.
const HELD_BACK: Duration = Duration::from_millis(500);

/// And for so much longer for each other one that is, as they get there one after the other,
const EACH: Duration = Duration::from_millis(10);
/// but not longer than this in all.
const HELD_BACK_MAX: Duration = Duration::from_secs(5);

/// Until when it isn't said of objects that they are on their way.
#[derive(Debug, Default)]
pub(crate) struct Passing(BTreeMap<UnitId, Instant>);

impl Passing {
    /// Until when it is too early to say that an object is on its way, if it is.
    pub(crate) fn holds_back(&mut self, unit: &UnitId, now: Instant) -> Option<Instant> {
        let others = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let begun = || now + EACH.saturating_mul(others).saturating_add(HELD_BACK).min(HELD_BACK_MAX);
        Some(*self.0.entry(unit.clone()).or_insert_with(begun)).filter(|end| now < *end)
    }

    /// It has arrived, or it is said now.
    pub(crate) fn over(&mut self, unit: &UnitId) {
        self.0.remove(unit);
    }

    /// Keeps to these objects.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&UnitId) -> bool) {
        self.0.retain(|unit, _| is_there(unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Kind, Name};

    fn unit(name: &str) -> UnitId {
        let scope = Name::new("shop").unwrap();
        UnitId { scope, kind: Kind::Volume, name: Name::new(name).unwrap(), index: 0 }
    }

    #[test]
    fn what_takes_long_is_said_and_what_passes_is_not() {
        let (slow, fast) = (unit("slow"), unit("fast"));
        let (mut passing, begin) = (Passing::default(), Instant::now());
        let end = begin + HELD_BACK;
        assert_eq!(passing.holds_back(&slow, begin), Some(end));
        passing.holds_back(&fast, begin);
        passing.over(&fast);
        // Before that, something else may be heard of it.
        assert_eq!(passing.holds_back(&slow, begin + HELD_BACK / 2), Some(end));
        assert_eq!(passing.holds_back(&slow, end), None);
        // It set out again, and that is a new beginning.
        assert!(passing.holds_back(&fast, end).is_some());
        passing.over(&slow);
        assert!(passing.holds_back(&slow, end).is_some(), "after it was said, the next thing is held back as long");
    }

    #[test]
    fn of_many_it_is_said_later_and_said_all_the_same() {
        let (mut passing, begin) = (Passing::default(), Instant::now());
        let ends = (0..1000).map(|n| passing.holds_back(&unit(&format!("data-{n}")), begin).unwrap() - begin);
        let ends: Vec<Duration> = ends.collect();
        assert_eq!((ends[0], ends[50], ends[999]), (HELD_BACK, HELD_BACK + 50 * EACH, HELD_BACK_MAX));
    }
}
