//! Samples: how they are taken, and what is told of them.

use crate::Problem;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What is told of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// How many there were.
    pub(crate) count: usize,
    pub(crate) minimum: f64,
    pub(crate) median: f64,
    /// By nearest rank: of few samples, the largest.
    pub(crate) percentile_99: f64,
    pub(crate) maximum: f64,
}

/// Samples of ours and of the peer's, taken in turns, and the ratio of each turn.
#[derive(Debug)]
pub(crate) struct Duel {
    pub(crate) ours: Spread,
    pub(crate) peers: Spread,
    pub(crate) ratio: Spread,
}

impl Spread {
    /// Of at least one sample.
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let count = samples.len();
        let middle = |one: usize, other: usize| f64::midpoint(samples[one], samples[other]);
        Self {
            count,
            minimum: samples[0],
            median: middle((count - 1) / 2, count / 2),
            percentile_99: samples[(count * 99).div_ceil(100) - 1],
            maximum: samples[count - 1],
        }
    }

    /// Of times.
    pub(crate) fn of_times(samples: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(samples.into_iter().map(|time| time.as_secs_f64()).collect())
    }
}

impl Duel {
    /// Each of the two `count` times, in turns. What comes first changes from turn to turn, as it finds colder caches.
    pub(crate) fn fight(
        count: usize,
        mut ours: impl FnMut() -> Result<Duration, Problem>,
        mut peers: impl FnMut() -> Result<Duration, Problem>,
    ) -> Result<Self, Problem> {
        let (mut all_ours, mut all_peers) = (Vec::new(), Vec::new());
        for turn in 0..count {
            if turn % 2 == 0 {
                all_ours.push(ours()?);
                all_peers.push(peers()?);
            } else {
                all_peers.push(peers()?);
                all_ours.push(ours()?);
            }
        }
        let ratios = all_ours.iter().zip(&all_peers).map(|(ours, peers)| ours.as_secs_f64() / peers.as_secs_f64());
        let ratio = Spread::of(ratios.collect());
        Ok(Self { ours: Spread::of_times(all_ours), peers: Spread::of_times(all_peers), ratio })
    }
}

/// How much of a processor this thread has used: others on the machine don't count.
pub(crate) fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// How much of a processor this takes in this thread.
pub(crate) fn cpu<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = thread_time();
    let result = work();
    (result, thread_time() - start)
}

#[cfg(test)]
mod tests {
    use super::{Duel, Spread};
    use std::time::Duration;

    #[test]
    fn quantiles_are_of_the_samples() {
        let hundred = Spread::of((1..=100).rev().map(f64::from).collect());
        assert_eq!(hundred, Spread { count: 100, minimum: 1.0, median: 50.5, percentile_99: 99.0, maximum: 100.0 });
        let one = Spread::of(vec![7.0]);
        assert_eq!(one, Spread { count: 1, minimum: 7.0, median: 7.0, percentile_99: 7.0, maximum: 7.0 });
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).percentile_99, 3.0);
    }

    #[test]
    fn turns_alternate() {
        let order = std::cell::RefCell::new(String::new());
        let say = |who, time| {
            order.borrow_mut().push(who);
            Ok(Duration::from_millis(time))
        };
        let duel = Duel::fight(3, || say('o', 10), || say('p', 40)).unwrap();
        assert_eq!(order.into_inner(), "oppoop");
        assert_eq!(duel.ratio.median, 0.25);
    }
}
