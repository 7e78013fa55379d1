//! Objects that are to be looked at again at some time, though nothing is heard of them.

use abide_spec::UnitId;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// When each is to be looked at, the soonest first. One of which something was heard meanwhile is looked at for nothing.
#[derive(Debug, Default)]
pub(crate) struct Later(BTreeSet<(Instant, UnitId)>);

impl Later {
    pub(crate) fn put(&mut self, at: Instant, unit: UnitId) {
        self.0.insert((at, unit));
    }

    /// One of which the time has come.
    pub(crate) fn ripe(&mut self, now: Instant) -> Option<UnitId> {
        self.wake_at().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, unit)| unit)
    }

    /// When there is one.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Kind, Name};
    use std::time::Duration;

    #[test]
    fn each_comes_when_its_time_has() {
        let scope = || Name::new("shop").unwrap();
        let unit = |name| UnitId { scope: scope(), kind: Kind::Volume, name: Name::new(name).unwrap(), index: 0 };
        let (mut later, begin) = (Later::default(), Instant::now());
        let at = |second| begin + Duration::from_secs(second);
        later.put(at(2), unit("b"));
        later.put(at(1), unit("c"));
        later.put(at(1), unit("a"));
        assert_eq!((later.wake_at(), later.ripe(begin)), (Some(at(1)), None));
        let ripe = std::iter::from_fn(|| later.ripe(at(1))).collect::<Vec<_>>();
        assert_eq!(ripe, [unit("a"), unit("c")]);
        assert_eq!((later.wake_at(), later.ripe(at(3))), (Some(at(2)), Some(unit("b"))));
        assert_eq!((later.wake_at(), later.ripe(at(3))), (None, None));
    }
}
