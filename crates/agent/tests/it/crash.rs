//! Agents that end at any moment, machines that boot anew.

use crate::rig::{Rig, containers, starts};
use std::{thread, time::Duration};

const URL: &str = "/srv/infra.git";

/// Numbers that are as good as random and the same each time.
fn numbers() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0x2545_F491_4F6C_DD1D_u64), |n| {
        let n = n ^ (n << 13);
        let n = n ^ (n >> 7);
        Some(n ^ (n << 17))
    })
}

#[test]
fn an_agent_that_ends_at_any_moment_settles_on_the_last_commit() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    let wished = |n: u64| containers(&[("web", &format!("web:{n}")), ("db", "db:1"), ("cache", "cache:1")]);
    rig.settle("infra", URL, &wished(0));
    for (n, random) in (1..=50).zip(numbers()) {
        rig.repositories.push(URL, &wished(n));
        thread::sleep(Duration::from_micros(random % 30_000));
        rig.stop();
        rig.start();
    }
    rig.until("settled on the last commit", |snapshot| {
        let is_last =
            rig.world.live().get("Container/web").is_some_and(|live| live.len() == 1 && live[0].1 == "web:50");
        snapshot.settled && is_last
    });
    let unchanged = ["Container/db", "Container/cache"];
    assert_eq!(starts(&rig.world, &unchanged), unchanged.iter().map(|unit| ((*unit).to_owned(), 1)).collect());
    assert_eq!(rig.world.live().values().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(rig.world.live().keys().all(|unit| rig.world.owner(unit).as_deref() == Some("infra")));
}

#[test]
fn after_a_reboot_all_comes_back_though_the_server_is_away() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    let commit = rig.settle("infra", URL, &containers(&[("web", "web:1"), ("db", "db:1")]));
    rig.stop();
    rig.world.reboot();
    rig.repositories.away(true);
    std::fs::remove_dir_all(rig.path("run")).unwrap();
    std::fs::create_dir(rig.path("run")).unwrap();
    rig.start();
    let snapshot =
        rig.until("back and unreachable", |snapshot| snapshot.settled && snapshot.sources[0].state == "unreachable");
    assert_eq!(snapshot.sources[0].commit, commit);
    assert_eq!(rig.world.live().len(), 2);
    rig.repositories.away(false);
    rig.until("following", |snapshot| snapshot.sources[0].state == "following");
    assert_eq!(rig.get().sources[0].generation, snapshot.sources[0].generation, "nothing new was said");
}

#[test]
fn what_runs_runs_on_when_the_agent_ends() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    let before = rig.world.live();
    rig.stop();
    assert_eq!(rig.world.live(), before);
    rig.start();
    rig.until("settled", |snapshot| snapshot.settled);
    assert_eq!(rig.world.live(), before);
}

#[test]
fn a_world_that_cannot_be_seen_is_not_an_empty_one() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    rig.stop();
    rig.world.hide(true);
    rig.start();
    let asked = rig.begin(abide_agent::api::Request::Get);
    rig.world.hide(false);
    let replies: Vec<_> = asked.collect();
    assert!(crate::rig::snapshot(&replies).settled, "the answer waited for the first look");
}
