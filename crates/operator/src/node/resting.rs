//! Objects to which a write was refused, each for a reason of its own: they rest, and the others don't wait for them.

use abide_spec::UnitId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// The first rest; each one after it is twice as long,
const REST: Duration = Duration::from_secs(1);
/// up to this.
const REST_MAX: Duration = Duration::from_secs(30);

/// Who rests, and for how long.
#[derive(Debug, Default)]
pub(crate) struct Resting {
    rests: BTreeMap<UnitId, Duration>,
    ends: BTreeSet<(Instant, UnitId)>,
}

impl Resting {
    /// A write was refused; tells whether it is the first time.
    pub(crate) fn refused(&mut self, unit: UnitId, now: Instant) -> bool {
        let before = self.rests.get(&unit).copied();
        let rest = before.map_or(REST, |before| (before * 2).min(REST_MAX));
        self.rests.insert(unit.clone(), rest);
        self.ends.insert((now + rest, unit));
        before.is_none()
    }

    /// It was written, or need not be any more.
    pub(crate) fn is_well(&mut self, unit: &UnitId) {
        self.rests.remove(unit);
    }

    /// One that rested long enough.
    pub(crate) fn rested(&mut self, now: Instant) -> Option<UnitId> {
        self.wake_at().filter(|end| *end <= now)?;
        self.ends.pop_first().map(|(_, unit)| unit)
    }

    /// When there is one.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.ends.first().map(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Kind, Name};

    #[test]
    fn who_is_refused_rests_longer_and_longer() {
        let name = Name::new("web").unwrap();
        let unit = UnitId { scope: Name::new("shop").unwrap(), kind: Kind::Container, name, index: 0 };
        let (mut resting, mut now) = (Resting::default(), Instant::now());
        let mut rests = Vec::new();
        for n in 0..7 {
            assert_eq!(resting.refused(unit.clone(), now), n == 0);
            assert_eq!(resting.rested(now), None);
            let end = resting.wake_at().unwrap();
            rests.push((end - now).as_secs());
            now = end;
            assert_eq!(resting.rested(now), Some(unit.clone()));
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 30, 30]);
        resting.is_well(&unit);
        assert!(resting.refused(unit, now));
        assert_eq!(resting.wake_at(), Some(now + REST));
    }
}
