//! Host ports for tests side by side: each belongs to one of them as long as it holds the lock of a file.

use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, File},
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below what the kernel gives to those who connect, so that nobody gets one by chance.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;
const FOLDER: &str = "/tmp/abide-lab-ports";

/// A port of this machine that is nobody else's until this is dropped.
pub struct HostPort {
    /// Its number.
    pub number: u16,
    _lock: Flock<File>,
}

/// The next one that is free, for TCP and UDP.
pub fn host_port() -> HostPort {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    fs::create_dir_all(FOLDER).unwrap();
    // Processes begin far apart, or they would all try the same ones.
    let start = process::id().wrapping_mul(37) as u16;
    for _ in 0..COUNT {
        let number = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let file = File::create(format!("{FOLDER}/{number}")).unwrap();
        let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
        if TcpListener::bind(("0.0.0.0", number)).is_ok() {
            return HostPort { number, _lock: lock };
        }
    }
    panic!("no host port is free from {FIRST} on")
}
