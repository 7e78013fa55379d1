//! Objects to which a write was refused, each for a reason of its own: they rest, and the others don't wait for them.

use abide_spec::UnitId;
use std::{collections::BTreeMap, time::Duration};

/// The first rest; each one after it is twice as long,
const REST: Duration = Duration::from_secs(1);
/// up to this.
const REST_MAX: Duration = Duration::from_secs(30);

/// For how long each rests.
#[derive(Debug, Default)]
pub(crate) struct Resting(BTreeMap<UnitId, Duration>);

/// What follows from a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) length: Duration,
    /// It is the first one in a row.
    pub(crate) is_first: bool,
}

impl Resting {
    /// A write was refused.
    pub(crate) fn refused(&mut self, unit: &UnitId) -> Rest {
        let before = self.0.get(unit).copied();
        let length = before.map_or(REST, |before| (before * 2).min(REST_MAX));
        self.0.insert(unit.clone(), length);
        Rest { length, is_first: before.is_none() }
    }

    /// It was written, or need not be any more.
    pub(crate) fn is_well(&mut self, unit: &UnitId) {
        self.0.remove(unit);
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
        let mut resting = Resting::default();
        let rests: Vec<Rest> = (0..7).map(|_| resting.refused(&unit)).collect();
        assert_eq!(rests.iter().map(|rest| rest.length.as_secs()).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(rests.iter().filter(|rest| rest.is_first).count(), 1);
        resting.is_well(&unit);
        assert_eq!(resting.refused(&unit), Rest { length: REST, is_first: true });
    }
}
