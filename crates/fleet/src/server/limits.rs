//! How much a hub takes at once. What is beyond is told to come later, before the hub falls.

use std::{
    collections::HashMap,
    fs,
    hash::Hash,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The bounds of one hub process.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections. Those beyond nine tenths of it are told to come later.
    pub connections: usize,
    /// Of these, without a machine's certificate: in all, and of one address.
    pub strangers: (usize, usize),
    /// Requests that are worked on at once; polls that wait are none, and neither is what comes or is sent.
    pub requests: usize,
    /// Requests of one machine that are under way, with those that wait or are sent.
    pub requests_each: usize,
    /// Bytes of answers that are made or sent at once, of all machines; and answers of one.
    pub answers: (usize, usize),
    /// An answer of which nothing is taken for so long is cut off.
    pub stall: Duration,
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
        let memory = memory_max();
        // Each costs a descriptor, and some are needed for all else. They may fill half of the memory.
        let connections = open_files_max().saturating_sub(200).min(memory / 2 / CONNECTION_BYTES).max(50);
        Self {
            connections,
            strangers: ((connections / 10).max(20), 64),
            requests: 256,
            requests_each: 8,
            answers: ((memory / 8).clamp(256 << 20, 2 << 30), 2),
            stall: Duration::from_secs(30),
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

/// What a connection that waits costs, as it was measured, with what its requests need now and then.
const CONNECTION_BYTES: usize = 64 << 10;

/// The memory that this process may use: the machine's, or what its control groups leave of it.
fn memory_max() -> usize {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).map(|kib| kib << 10);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let bounds = Path::new("/sys/fs/cgroup").join(own);
    let bounds = bounds.ancestors().take_while(|folder| folder.starts_with("/sys/fs/cgroup"));
    let bounds = bounds.filter_map(|folder| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok());
    bounds.chain(total).min().unwrap_or(1 << 30)
}

/// Of this process, as it is now.
fn open_files_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

/// How often some come: each has a bucket that fills again.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    of: Mutex<HashMap<K, Bucket>>,
    /// Those that are remembered. Who comes beyond that is refused.
    most: usize,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<K> Buckets<K> {
    pub(super) fn new(most: usize) -> Self {
        Self { of: Mutex::default(), most }
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Whether one may come now, where each may come so often at once, and so often a second.
    pub(super) fn may(&self, who: K, now: Instant, (most, a_second): (u32, u32)) -> bool {
        let mut buckets = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let full = f64::from(most);
        let refilled = |bucket: &Bucket| {
            (bucket.left + now.saturating_duration_since(bucket.at).as_secs_f64() * f64::from(a_second)).min(full)
        };
        if buckets.len() >= self.most && !buckets.contains_key(&who) {
            buckets.retain(|_, bucket| refilled(bucket) < full);
            if buckets.len() >= self.most {
                return false;
            }
        }
        let bucket = buckets.entry(who).or_insert(Bucket { left: full, at: now });
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
        let (buckets, now) = (Buckets::new(2), Instant::now());
        let tried: Vec<bool> = (0..4).map(|_| buckets.may("one", now, (3, 1))).collect();
        assert_eq!(tried, [true, true, true, false]);
        assert!(buckets.may("two", now, (3, 1)));
        assert!(!buckets.may("three", now, (3, 1)), "there is no more room");
        assert!(buckets.may("one", now + Duration::from_secs(1), (3, 1)));
        assert!(!buckets.may("one", now + Duration::from_secs(1), (3, 1)));
    }

    #[test]
    fn there_are_files_to_open_and_memory() {
        assert!(open_files_max() > 200);
        assert!(memory_max() > 64 << 20);
        let limits = Limits::default();
        assert!(limits.connections * CONNECTION_BYTES <= memory_max() / 2 || limits.connections == 50);
    }
}
