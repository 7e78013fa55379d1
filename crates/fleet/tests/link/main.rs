//! A machine and its hub, both as they are: enrolment, a target out of a real repository, a fork, and what an idle machine
//! costs a day.

#![expect(clippy::unwrap_used, reason = "tests")]

mod rig;

use abide_reconcile::Wish;
use rig::{Rig, passing};

/// Bytes that an idle machine may cost a day, with TLS.
const DAY_BYTES_MAX: u64 = 200_000;

/// Polls of a day: each waits for 480 seconds.
const POLLS_A_DAY: u64 = 24 * 3600 / 480;

/// A segment's headers of IPv4 and TCP, with time stamps; and as many for an acknowledgement, if each has its own.
const SEGMENT_BYTES: u64 = 2 * 52;

/// In a poll's time both ends ask twice whether the other one is there: when nothing came for 165 seconds, and again.
const ASKED: u64 = 2 * 2;

#[tokio::test]
async fn a_machine_enrols_takes_what_descends_and_refuses_a_fork() {
    let rig = Rig::new().await;
    let mut machine = rig.enroll("till-1").await;
    let first = rig.commit("v1", &[]);
    rig.tell("till-1", &first);
    let revision = machine.says().await.unwrap();
    let Wish::Complete(complete) = &revision.wish else { panic!("{revision:?}") };
    let units: Vec<String> = complete.units().keys().map(ToString::to_string).collect();
    assert_eq!((revision.commit.as_str(), units), (first.as_str(), vec!["fleet:Volume/v1".to_owned()]));
    let second = rig.commit("v2", &[&first]);
    rig.tell("till-1", &second);
    assert_eq!(machine.says().await.unwrap().commit, second);
    let fork = rig.commit("fork", &[&first]);
    rig.tell("till-1", &fork);
    let refused = machine.says().await.unwrap();
    assert!(matches!(&refused.wish, Wish::Refused(why) if why.contains("doesn't descend")), "{refused:?}");
    // Offline, what ran is read again from the machine's own objects.
    let reopened = machine.reopen(&second).unwrap();
    assert!(matches!(reopened.wish, Wish::Complete(_)));
    machine.is_on(&second);
    let reported = rig.until_reported("till-1", |report| report.target.is_some()).await;
    assert!(reported.message.contains("doesn't descend"), "{reported:?}");
    assert_eq!(reported.in_force.unwrap().to_string(), second);
}

#[tokio::test]
async fn an_idle_machine_costs_little() {
    let rig = Rig::new().await;
    let mut machine = rig.enroll("till-1").await;
    let commit = rig.commit("v1", &[]);
    rig.tell("till-1", &commit);
    machine.says().await.unwrap();
    machine.is_on(&commit);
    rig.until_reported("till-1", |report| report.target.is_some()).await;
    // It may have more to say of what it was told, and isn't idle before that.
    passing(rig.until_polls(rig.polls() + 2)).await;
    let (polls, traffic) = (rig.polls(), rig.traffic());
    let many = 20;
    passing(rig.until_polls(polls + many)).await;
    let (after, polled) = (rig.traffic(), rig.polls() - polls);
    let day = |count: u64| POLLS_A_DAY * count / polled;
    let (bytes, segments) = (day(after.bytes - traffic.bytes), day(after.segments - traffic.segments));
    let all = bytes + (segments + POLLS_A_DAY * ASKED) * SEGMENT_BYTES;
    println!("a day of polls: {bytes} bytes with TLS, {all} with TCP and IP; to connect and begin: {}", traffic.bytes);
    assert!(all + traffic.bytes < DAY_BYTES_MAX, "{all} and {traffic:?}");
}
