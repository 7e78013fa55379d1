//! When to ask again: how long to wait for news, and how long to leave a hub alone that isn't well.
//!
//! Nothing here may make many machines do the same at the same moment: each pause is drawn from a window.

use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;

/// The longest that a machine asks a hub to wait for news. An idle machine costs a request and an answer in that time, and
/// that both ends see to it that the other one is there ([`crate::alive`] has the numbers).
const WAIT_MAX: Duration = Duration::from_secs(480);

/// And the shortest, whatever a proxy cuts.
const WAIT_MIN: Duration = Duration::from_secs(25);

/// After so many waits that nobody cut, a longer one is tried. Being cut again costs little.
const WHOLE_WAITS: u32 = 16;

/// How long to wait for news: as long as proxies on the way let it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    now: Duration,
    whole: u32,
}

impl Default for Wait {
    fn default() -> Self {
        Self { now: WAIT_MAX, whole: 0 }
    }
}

impl Wait {
    pub(super) fn now(self) -> Duration {
        self.now
    }

    /// Whether something that took so long may have been cut for being idle: what fails sooner fails for another reason.
    pub(super) fn is_cut_by(self, after: Duration) -> bool {
        after >= WAIT_MIN / 2 && self.now > WAIT_MIN
    }

    /// It was cut.
    pub(super) fn cut(&mut self) {
        *self = Self { now: (self.now / 2).max(WAIT_MIN), whole: 0 };
    }

    /// It was not cut.
    pub(super) fn whole(&mut self) {
        self.whole += 1;
        if self.whole >= WHOLE_WAITS {
            *self = Self { now: (self.now * 5 / 4).min(WAIT_MAX), whole: 0 };
        }
    }
}

/// Targets come no faster: what a hub says in between is not heard.
pub(super) const TARGETS_APART: Duration = Duration::from_secs(1);

/// The window of the first pause, where the hub hasn't said another. Of 10,000 machines whose hub is gone, 2,500 a second
/// come to the next one.
const SPREAD: Duration = Duration::from_secs(4);

/// Bounds of what a hub may say.
const SPREAD_MIN: Duration = Duration::from_secs(1);

/// The window of the longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Of one that was told that it isn't of the fleet: only a person can change that.
const PAUSE_OUTSIDE: Duration = Duration::from_secs(300);

/// The longest that a hub can send a machine away for.
const AFTER_MAX: Duration = Duration::from_secs(3600);

/// How long to leave a hub alone that couldn't be asked: at first as the fleet's size asks for, and then longer, by a quarter
/// each time. So who was without a hub for a while finds it again within half of that, and within a minute in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    failures: u32,
    spread: Duration,
    window: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { failures: 0, spread: SPREAD, window: SPREAD }
    }
}

impl BackOff {
    /// How often in a row it failed.
    pub(super) fn failures(self) -> u32 {
        self.failures
    }

    /// Over how long the hub wants its machines to come back. It was heard, so nothing has failed since.
    pub fn spread(&mut self, over: Duration) {
        self.spread = over.clamp(SPREAD_MIN, PAUSE_MAX);
        self.reset();
    }

    /// It didn't fail.
    pub fn reset(&mut self) {
        (self.failures, self.window) = (0, self.spread);
    }

    /// It failed: how long to wait. `draw` is from 0 to 1.
    pub fn fail(&mut self, draw: f64) -> Duration {
        let pause = self.window.mul_f64(draw);
        self.failures = self.failures.saturating_add(1);
        self.window = (self.window * 5 / 4).min(PAUSE_MAX);
        pause
    }
}

/// How long to wait if the hub says how long. Half of it more at most, so that who was sent away together doesn't come
/// back together.
pub fn after(said: Duration, draw: f64) -> Duration {
    let said = said.min(AFTER_MAX);
    said + (said / 2).mul_f64(draw)
}

/// How long to wait if the hub doesn't know this machine.
pub(super) fn outside(draw: f64) -> Duration {
    PAUSE_OUTSIDE.mul_f64(0.5 + draw / 2.0)
}

/// From 0 to 1, at random. Without randomness, machines are at least not made to wait for ever.
pub fn draw() -> f64 {
    let mut bytes = [0; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(wait: Wait) -> u64 {
        wait.now().as_secs()
    }

    #[test]
    fn a_proxy_that_cuts_after_a_minute_is_found_out_and_tried_again_later() {
        let mut wait = Wait::default();
        let mut waits = Vec::new();
        for _ in 0..60 {
            waits.push(seconds(wait));
            if wait.now() > Duration::from_secs(60) {
                assert!(wait.is_cut_by(Duration::from_secs(60)));
                wait.cut();
            } else {
                wait.whole();
            }
        }
        waits.dedup();
        assert_eq!(waits, [480, 240, 120, 60, 75, 37, 46, 58]);
    }

    #[test]
    fn it_is_never_shorter_than_can_be() {
        let mut wait = Wait::default();
        (0..9).for_each(|_| wait.cut());
        assert_eq!(seconds(wait), 25);
        assert!(!wait.is_cut_by(Duration::from_secs(20)), "then it fails for another reason");
        assert!(!Wait::default().is_cut_by(Duration::from_secs(2)));
    }

    #[test]
    fn pauses_grow_to_a_minute_and_are_spread() {
        let mut back_off = BackOff::default();
        let windows: Vec<u64> = (0..14).map(|_| back_off.fail(1.0).as_secs()).collect();
        assert_eq!(windows, [4, 5, 6, 7, 9, 12, 15, 19, 23, 29, 37, 46, 58, 60]);
        assert_eq!((back_off.fail(0.0), back_off.failures()), (Duration::ZERO, 15));
        back_off.reset();
        assert_eq!(back_off.fail(0.5), Duration::from_secs(2));
        assert_eq!(after(Duration::from_secs(10), 0.0).as_secs(), 10);
        assert_eq!(after(Duration::from_secs(10), 1.0).as_secs(), 15);
        assert_eq!(after(Duration::from_secs(1 << 40), 0.0).as_secs(), 3600, "a lying hub can't silence it for ever");
        assert_eq!(outside(0.0).as_secs(), 150);
    }

    #[test]
    fn the_hub_says_how_far_machines_are_spread_within_bounds() {
        for (said, window) in [(0, 1), (1, 1), (40, 40), (1 << 40, 60)] {
            let mut back_off = BackOff::default();
            back_off.spread(Duration::from_secs(said));
            assert_eq!(back_off.fail(1.0), Duration::from_secs(window));
        }
    }

    /// A small fleet without a hub for a while: who draws the longest pauses is back soon after it, all the same.
    #[test]
    fn who_was_without_a_hub_finds_it_soon() {
        let mut back_off = BackOff::default();
        back_off.spread(Duration::from_secs(1));
        let mut away = Duration::ZERO;
        for _ in 0..100 {
            let pause = back_off.fail(1.0);
            assert!(pause <= (away / 2).max(SPREAD_MIN * 2), "{pause:?} after {away:?}");
            away += pause;
        }
    }

    #[test]
    fn draws_are_spread() {
        let draws: Vec<f64> = (0..200).map(|_| draw()).collect();
        assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)));
        assert!(draws.iter().any(|draw| *draw < 0.5) && draws.iter().any(|draw| *draw > 0.5));
    }
}
