//! How much a hub takes at once. What is beyond is told to come later, before the hub falls.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The bounds of one hub process.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections. Those beyond nine tenths of it are told to come later.
    pub connections: usize,
    /// Requests that are worked on at once; polls that wait are none.
    pub requests: usize,
    /// For how long a connection may take to say who it is, a request to come, and nothing to be asked.
    pub patience: Duration,
    /// For how long one request may be under way, beside what it waits for.
    pub request: Duration,
    /// The longest wait of a poll.
    pub wait: Duration,
    /// A machine that polled and doesn't again is away after this.
    pub away: Duration,
    /// Another hub process that isn't heard for so long is dead.
    pub dead: Duration,
    /// What the machines of a dead one are given to be heard elsewhere: they come spread over a minute.
    pub moving: Duration,
    /// A session that polls again so soon after another one took over may have been under way: only later it is a clone.
    pub takeover: Duration,
    /// Enrolments that one address may try at once; and a second.
    pub enrolments: (u32, u32),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Each costs a descriptor, and some are needed for all else.
            connections: open_files_max().saturating_sub(200).max(50),
            requests: 256,
            patience: Duration::from_secs(15),
            request: Duration::from_secs(60),
            wait: Duration::from_secs(480),
            away: Duration::from_secs(30),
            dead: Duration::from_secs(10),
            moving: Duration::from_secs(60),
            takeover: Duration::from_secs(5),
            enrolments: (60, 2),
        }
    }
}

/// Of this process, as it is now.
fn open_files_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

/// How often addresses come: each has a bucket that fills again.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<HashMap<IpAddr, Bucket>>);

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

impl Addresses {
    /// Whether one may try now.
    pub(super) fn may(&self, address: IpAddr, now: Instant, (most, a_second): (u32, u32)) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = f64::from(most);
        let refilled = |bucket: &Bucket| {
            (bucket.left + now.saturating_duration_since(bucket.at).as_secs_f64() * f64::from(a_second)).min(full)
        };
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| refilled(bucket) < full);
            if buckets.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { left: full, at: now });
        let left = refilled(bucket);
        *bucket = Bucket { left: if left >= 1.0 { left - 1.0 } else { left }, at: now };
        left >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let (addresses, now) = (Addresses::default(), Instant::now());
        let one = IpAddr::from([127, 0, 0, 1]);
        let tried: Vec<bool> = (0..4).map(|_| addresses.may(one, now, (3, 1))).collect();
        assert_eq!(tried, [true, true, true, false]);
        assert!(addresses.may(IpAddr::from([127, 0, 0, 2]), now, (3, 1)));
        assert!(addresses.may(one, now + Duration::from_secs(1), (3, 1)));
        assert!(!addresses.may(one, now + Duration::from_secs(1), (3, 1)));
    }

    #[test]
    fn there_are_files_to_open() {
        assert!(open_files_max() > 200);
    }
}
