//! An agent with nothing to do sleeps: a process of its own, so that nobody else's threads are counted.

#![allow(clippy::unwrap_used, dead_code, reason = "helpers of tests are tests, and others need more of them")]

#[path = "it/recorder.rs"]
mod recorder;
#[path = "it/repository.rs"]
mod repository;
#[path = "it/rig.rs"]
mod rig;
#[path = "it/world.rs"]
mod world;

use rig::{Rig, containers};
use std::{fs, thread, time::Duration};

const URL: &str = "/srv/infra.git";

/// Far less than the look at everything, once a minute, that it may wake for.
const WHILE: Duration = Duration::from_secs(5);

/// How often threads of this process went to sleep, but for the one that asks.
fn sleeps() -> Vec<(String, u64)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(|entry| {
        let status = fs::read_to_string(entry.unwrap().path().join("status")).ok()?;
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned());
        Some((field("Name:")?, field("voluntary_ctxt_switches:")?.parse().ok()?))
    });
    // The thread that asks has the test's name; the program's first waits for it.
    tasks.filter(|(name, _)| !name.starts_with("an_agent_with")).collect()
}

#[test]
fn an_agent_with_nothing_to_do_sleeps() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    let names: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "image:1")).collect();
    rig.settle("infra", URL, &containers(&all));
    // The threads that did the work go away.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while sleeps().iter().filter(|(name, _)| name.starts_with("tokio")).count() > 2 {
        assert!(std::time::Instant::now() < deadline, "{:?}", sleeps());
        thread::sleep(Duration::from_millis(100));
    }
    let before = sleeps();
    thread::sleep(WHILE);
    assert_eq!(sleeps(), before);
}
