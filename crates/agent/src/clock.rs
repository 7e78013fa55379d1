//! The two clocks: one to decide by, which the caller brings along, and one for people.

use abide_reconcile::Time;
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Tells the time since the machine booted. Everything is decided by it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

impl Clock {
    /// A clock that asks `boottime`, which reads `CLOCK_BOOTTIME`.
    pub fn new(boottime: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self(Arc::new(boottime))
    }

    /// The time now.
    pub fn now(&self) -> Time {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

/// Milliseconds since 1970, to be shown. It may jump, so nothing is decided by it.
pub(crate) fn wall_clock_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
