//! Clocks: what a decision is made by, what tells one boot from another, and dates for people.

pub use abide_keeper::date::rfc3339;

use nix::time::{ClockId, clock_gettime};
use std::{fs, io, time::Duration};

/// Time since the machine was started, with the time it slept: never goes back, and means the same to every process.
pub fn boottime() -> Duration {
    // The clock exists on every kernel that has what else we need.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// The present boot: another one means that nothing of before runs (random(4)).
pub fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}

/// A date for people, in seconds since 1970.
pub fn utc(seconds: u64) -> String {
    let mut text = rfc3339(seconds, 0);
    text.truncate("1970-01-01T00:00:00".len());
    text + "Z"
}
