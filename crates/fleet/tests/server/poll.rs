//! What a machine is told, and when.

use crate::{
    client::Http,
    rig::{Rig, commit, poll},
};
use abide_fleet::{
    protocol::{RefusalCode, Target},
    store::{Fact, Presence},
};
use abide_reconcile::Name;
use hyper::StatusCode;
use std::time::{Duration, Instant};

/// A machine's poll has come, and waits.
async fn one_polls(rig: &Rig) {
    while !rig.server.metrics().contains("abide_hub_polling 1\n") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_as_soon_as_there_is_news() {
    let rig = Rig::new().await;
    let term = rig.lead();
    for (name, http) in [("one", Http::One), ("two", Http::Two)] {
        let keys = rig.enrolled(name).await;
        let mut client = rig.client(&keys, http).await;
        assert_eq!(client.post("/v1/poll", &poll("a", None, 0)).await.status, StatusCode::NO_CONTENT);
        let waits = tokio::spawn(async move {
            let answer = client.post("/v1/poll", &poll("a", None, 200)).await;
            (client, answer)
        });
        let number = rig.tell(&term, name, commit(1));
        rig.server.wake();
        let (mut client, answer) = waits.await.unwrap();
        let target: Target = answer.json();
        assert_eq!((target.number, target.commit), (number, commit(1)));
        let knows = poll("a", Some(number), 0);
        assert_eq!(client.post("/v1/poll", &knows).await.status, StatusCode::NO_CONTENT, "that is no news");
        let other = poll("a", Some(number + 5), 0);
        assert_eq!(
            client.post("/v1/poll", &other).await.json::<Target>().number,
            number,
            "a restored hub has told less"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_the_same_is_not_written() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    client.post("/v1/poll", &poll("a", None, 0)).await;
    let upto = rig.store.changes(0).unwrap().upto;
    // A process that didn't see yet what it wrote may write it again, which is no change.
    for _ in 0..20 {
        client.post("/v1/poll", &poll("a", None, 0)).await;
    }
    assert_eq!(rig.store.changes(upto).unwrap().machines, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_disk_are_noticed() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let (mut first, mut second) = (rig.client(&keys, Http::One).await, rig.client(&keys, Http::Two).await);
    assert_eq!(first.post("/v1/poll", &poll("a", None, 0)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        second.post("/v1/poll", &poll("b", None, 0)).await.status,
        StatusCode::NO_CONTENT,
        "started again, it seems"
    );
    // Until this process has seen that, the first is believed.
    let mut answer = first.post("/v1/poll", &poll("a", None, 0)).await;
    while answer.status == StatusCode::NO_CONTENT {
        answer = first.post("/v1/poll", &poll("a", None, 0)).await;
    }
    assert_eq!(answer.code(), RefusalCode::Cloned);
    assert!(rig.machine("till-1").cloned);
    for client in [&mut first, &mut second] {
        let mut answer = client.post("/v1/poll", &poll("b", None, 0)).await;
        while answer.status == StatusCode::NO_CONTENT {
            answer = client.post("/v1/poll", &poll("b", None, 0)).await;
        }
        assert_eq!(answer.code(), RefusalCode::Cloned);
        assert_eq!(
            client.post("/v1/poll", &poll("c", None, 0)).await.code(),
            RefusalCode::Cloned,
            "starting again doesn't help"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_started_again_is_no_copy() {
    let rig = Rig::with(|limits| limits.takeover = Duration::from_secs(3600)).await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    for session in ["a", "b", "a", "b"] {
        let answer = client.post("/v1/poll", &poll(session, None, 0)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "what was under way comes late");
    }
    assert!(!rig.machine("till-1").cloned);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_are_told_what_is_spoken() {
    let rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::One).await;
    for protocol in [0, 2, 99] {
        let mut asked = poll("a", None, 0);
        asked.protocol = protocol;
        assert_eq!(client.post("/v1/poll", &asked).await.code(), RefusalCode::Protocol);
    }
    let newer = serde_json::json!({
        "protocol": 1, "version": "9", "session": "a", "knows": null, "wait": 0, "mood": "unknown here",
    });
    assert_eq!(client.post("/v1/poll", &newer).await.status, StatusCode::NO_CONTENT, "what is added is ignored");
    let nobody = poll("", None, 0);
    assert_eq!(client.post("/v1/poll", &nobody).await.code(), RefusalCode::BadRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_asking_is_away() {
    let rig = Rig::with(|limits| limits.away = Duration::from_millis(1)).await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    client.post("/v1/poll", &poll("a", None, 0)).await;
    let began = Instant::now();
    while matches!(rig.machine("till-1").presence, Presence::Here { .. }) {
        assert!(began.elapsed() < Duration::from_secs(60), "it was never noticed");
        tokio::task::yield_now().await;
    }
    assert_eq!(client.post("/v1/poll", &poll("a", None, 0)).await.status, StatusCode::NO_CONTENT);
}

/// Who is held to be away isn't counted among those that may be unavailable: it is told nothing before that is put right.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_takes_back_that_it_is_away() {
    let rig = Rig::new().await;
    let term = rig.lead();
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    client.post("/v1/poll", &poll("a", None, 0)).await;
    let waits = tokio::spawn(async move { client.post("/v1/poll", &poll("a", None, 200)).await });
    one_polls(&rig).await;
    let machine = rig.machine("till-1");
    let hub = "hub-store.db".to_owned();
    let away = Fact::Away { name: machine.name.clone(), hub: hub.clone(), since: rig.now() };
    rig.store.record(rig.now(), &[away]).unwrap();
    let here = Presence::Here { hub };
    let began = Instant::now();
    while rig.machine("till-1").presence != here {
        assert!(began.elapsed() < Duration::from_secs(60), "it stays away while it waits");
        tokio::task::yield_now().await;
    }
    let number = rig.tell(&term, "till-1", commit(1));
    assert_eq!(waits.await.unwrap().json::<Target>().number, number);
}

/// Of a process that died its machines are away since it was heard last, once they had the time to come elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn machines_of_a_process_that_died_are_away() {
    let rig = Rig::with(|limits| (limits.dead, limits.moving) = (Duration::from_millis(1), Duration::ZERO)).await;
    rig.enrolled("till-1").await;
    let (died, name) = (rig.now(), Name::new("till-1").unwrap());
    // A clock that is ahead says nothing of who lives.
    let died = died.plus(Duration::from_secs(1 << 30));
    rig.store.beat("another", died).unwrap();
    rig.store.record(rig.now(), &[Fact::Here { name, hub: "another".to_owned() }]).unwrap();
    let began = Instant::now();
    while rig.machine("till-1").presence != (Presence::Away { since: died }) {
        assert!(began.elapsed() < Duration::from_secs(60), "it was never noticed");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_ends_lets_go_of_those_that_wait() {
    let mut rig = Rig::new().await;
    let keys = rig.enrolled("till-1").await;
    let mut client = rig.client(&keys, Http::Two).await;
    client.post("/v1/poll", &poll("a", None, 0)).await;
    let waits = tokio::spawn(async move { client.post("/v1/poll", &poll("a", None, 200)).await });
    one_polls(&rig).await;
    rig.end().await;
    assert_eq!(waits.await.unwrap().status, StatusCode::NO_CONTENT);
}
