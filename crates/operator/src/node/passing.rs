//! Objects that are on their way. What is over in a moment is not worth a write: of most objects only how they ended up is
//! said, and the API server has half of the work.

use abide_spec::UnitId;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// For so long it isn't said that an object is on its way. Nobody who looks by eye is there sooner.
const HELD_BACK: Duration = Duration::from_millis(500);

/// Since when objects are on their way, of which that was not said yet.
#[derive(Debug, Default)]
pub(crate) struct Passing {
    since: BTreeMap<UnitId, Instant>,
    /// When each is to be looked at again, the soonest first. One that got there meanwhile is looked at for nothing.
    ripening: VecDeque<(Instant, UnitId)>,
}

impl Passing {
    /// Whether it is too early to say that an object is on its way.
    pub(crate) fn holds_back(&mut self, unit: &UnitId, now: Instant) -> bool {
        let end = match self.since.get(unit) {
            Some(since) => *since + HELD_BACK,
            None => {
                let end = now + HELD_BACK;
                self.since.insert(unit.clone(), now);
                self.ripening.push_back((end, unit.clone()));
                end
            }
        };
        now < end
    }

    /// It has arrived, or it is said now.
    pub(crate) fn over(&mut self, unit: &UnitId) {
        self.since.remove(unit);
    }

    /// One that was held back long enough.
    pub(crate) fn ripe(&mut self, now: Instant) -> Option<UnitId> {
        self.ripening.pop_front_if(|(end, _)| *end <= now).map(|(_, unit)| unit)
    }

    /// When there is one.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.ripening.front().map(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Kind, Name};

    #[test]
    fn what_takes_long_is_said_and_what_passes_is_not() {
        let unit = |name| UnitId {
            scope: Name::new("shop").unwrap(),
            kind: Kind::Volume,
            name: Name::new(name).unwrap(),
            index: 0,
        };
        let (slow, fast) = (unit("slow"), unit("fast"));
        let (mut passing, begin) = (Passing::default(), Instant::now());
        assert!(passing.holds_back(&slow, begin) && passing.holds_back(&fast, begin));
        passing.over(&fast);
        assert_eq!(passing.wake_at(), Some(begin + HELD_BACK));
        assert_eq!(passing.ripe(begin), None);
        // Before that, something else may be heard of it.
        assert!(passing.holds_back(&slow, begin + HELD_BACK / 2));
        let end = begin + HELD_BACK;
        assert_eq!(passing.ripe(end), Some(slow.clone()));
        assert!(!passing.holds_back(&slow, end));
        // It set out again, and that is a new beginning.
        assert!(passing.holds_back(&fast, end));
        passing.over(&slow);
        assert!(passing.holds_back(&slow, end), "after it was said, the next thing is held back as long");
    }
}
