//! What time it is, where the machine's own clock may say anything.
//!
//! A machine without a battery begins in 1970. Two things then need the time: whether the hub's certificate is one of
//! today, and when the machine's own is to be renewed.
//!
//! *The hub's certificate* is believed if it is good by the own clock. If it isn't, it is judged at the newest of: the own
//! clock; what the hub's clock said when it issued the
//! machine's certificate, as that says itself; and the moment from which on the certificates that are shown are valid,
//! each of which our authority signed at that moment or later. So "not valid yet" is no reason to refuse, but a proof of
//! how late it is. What is left to somebody who has a hub's key of long ago, and a machine whose clock stands still: he
//! can show a certificate that has expired since the machine got its own. He is then a hub that lies, which can't decide
//! what a machine runs. What a hub's clock says from answer to answer proves nothing here: one that lies could say that
//! it is the year 3000, in which no hub is believed. And a hub's thief, who signs what he likes for as long as the root lets
//! the issuing key sign, makes no machine with a right clock believe that today is over.
//!
//! *The own certificate* is renewed by the hub's clock, as answers have it. A hub that lies about it can have certificates
//! renewed as often as the [follower](super::follower) lets it, or not at all, which it could do by saying nothing as well. A
//! clock that is ahead by years makes every hub look expired: that is said, and nothing else can be done about it here.

use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// Seconds since 1970, by the machine's own clock.
pub type Own = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The clock of a link.
pub(super) struct Clock {
    own: Own,
    /// It is at least this late.
    proven: AtomicI64,
    /// What the hub's clock said last, and when that was.
    heard: Mutex<Option<(i64, Instant)>>,
}

impl Clock {
    pub(super) fn new(own: Own, proven: i64) -> Self {
        Self { own, proven: AtomicI64::new(proven), heard: Mutex::default() }
    }

    /// It is at least this late.
    pub(super) fn prove(&self, at: i64) {
        self.proven.fetch_max(at, Ordering::Relaxed);
    }

    /// The hub's clock said so just now.
    pub(super) fn hear(&self, at: i64) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, Instant::now()));
    }

    /// What the machine's own clock shows.
    pub(super) fn own(&self) -> i64 {
        (self.own)()
    }

    /// At least so late.
    pub(super) fn at_least(&self) -> i64 {
        (self.own)().max(self.proven.load(Ordering::Relaxed))
    }

    /// What the hub's clock shows, as far as can be told.
    pub(super) fn hub(&self) -> i64 {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map_or_else(
            || self.at_least(),
            |(at, since)| at.saturating_add(i64::try_from(since.elapsed().as_secs()).unwrap_or(i64::MAX)),
        )
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.at_least()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock(at least {})", self.at_least())
    }
}

/// The clock of the system.
pub fn system() -> Own {
    Arc::new(|| seconds(SystemTime::now()))
}

/// Seconds since 1970.
pub(super) fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stands_still_is_corrected_and_one_that_goes_is_not_put_back() {
        let clock = Clock::new(Arc::new(|| 0), 1_000);
        assert_eq!((clock.at_least(), clock.hub()), (1_000, 1_000));
        clock.prove(900);
        assert_eq!(clock.at_least(), 1_000, "what is older proves nothing");
        clock.hear(5_000);
        assert!(clock.hub() >= 5_000 && clock.at_least() == 1_000, "a hub that lies makes none look expired");
        let ahead = Clock::new(Arc::new(|| 9_000), 1_000);
        ahead.hear(5_000);
        assert_eq!(ahead.at_least(), 9_000);
        assert!(ahead.hub() < 9_000, "the hub's clock is its own");
    }
}
