//! From a push to settled, and what else may become of it.

use crate::rig::{Rig, containers, volume};
use abide_agent::api::{Reply, Request, Verdict};

const URL: &str = "/srv/infra.git";

#[test]
fn a_push_settles_and_the_next_replaces_what_it_changes() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    let first = rig.settle("infra", URL, &containers(&[("web", "web:1"), ("db", "db:1")]));
    let snapshot = rig.get();
    assert!(snapshot.settled);
    let source = &snapshot.sources[0];
    assert_eq!(
        (source.name.as_str(), source.commit.as_str(), source.state.as_str()),
        ("infra", first.as_str(), "following")
    );
    let names: Vec<_> =
        snapshot.units.iter().map(|unit| (unit.name.as_str(), unit.state.as_str(), unit.ready)).collect();
    assert_eq!(names, [("db", "settled", true), ("web", "settled", true)]);
    assert!(snapshot.units[0].instances[0].pid.is_some());

    rig.settle("infra", URL, &containers(&[("web", "web:2"), ("db", "db:1")]));
    assert_eq!((rig.world.starts("Container/web"), rig.world.starts("Container/db")), (2, 1));
    assert_eq!(rig.world.live()["Container/web"].len(), 1);

    // Back by force: an older commit is a newer wish.
    rig.settle("infra", URL, &containers(&[("web", "web:1"), ("db", "db:1")]));
    assert_eq!(rig.world.live()["Container/web"][0].1, "web:1");
    let source = &rig.get().sources[0];
    assert_eq!(source.history.iter().filter(|commit| commit.id == first).count(), 1);
    assert_eq!(source.history[0].id, first);
}

#[test]
fn who_follows_hears_what_happens_and_then_the_outcome() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    let commit = rig.repositories.push(URL, &containers(&[("web", "web:1")]));
    let begins: String = commit.chars().take(8).collect();
    let replies = rig.ask(Request::Follow { source: None, commit: begins });
    assert!(
        matches!(replies.last(), Some(Reply::Outcome(outcome)) if outcome.result == Verdict::Settled),
        "{replies:?}"
    );
    let texts: Vec<String> = rig
        .ask(Request::Events { follow: false })
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::Happened(happening) => Some(format!("{} {}", happening.unit.unwrap_or_default(), happening.text)),
            _ => None,
        })
        .collect();
    for text in ["Container/web started", "Container/web serves", " settled: every unit is as wished"] {
        assert!(texts.iter().any(|known| known == text), "{text:?} is not in {texts:#?}");
    }
}

#[test]
fn who_follows_right_after_the_start_waits_for_the_first_look() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    rig.stop();
    let commit = rig.repositories.push(URL, &containers(&[("web", "web:1")]));
    rig.repositories.slow(true);
    rig.start();
    let waiting = rig.begin(Request::Follow { source: Some("infra".to_owned()), commit });
    assert_eq!(rig.done(Request::Wake { source: "infra".to_owned() }), "source infra is looked at");
    rig.get();
    rig.repositories.slow(false);
    let replies: Vec<Reply> = waiting.collect();
    assert_eq!(crate::rig::outcome(&replies).result, Verdict::Settled);
}

#[test]
fn a_broken_commit_changes_nothing() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    let good = rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    let outcome = rig.push("infra", URL, "kind: Contaner\n");
    assert_eq!(outcome.result, Verdict::Refused);
    let snapshot = rig.get();
    assert_eq!((snapshot.sources[0].state.as_str(), snapshot.sources[0].commit.as_str()), ("refused", good.as_str()));
    assert_eq!(rig.world.starts("Container/web"), 1);
}

#[test]
fn a_newer_commit_cancels_what_is_under_way() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    rig.world.endless("web:stuck");
    let stuck = rig.repositories.push(URL, &containers(&[("web", "web:stuck")]));
    let mut waiting = rig.begin(Request::Follow { source: Some("infra".to_owned()), commit: stuck });
    let is_pulled = |reply: &Reply| matches!(reply, Reply::Happened(what) if what.text == "pulling");
    assert!(waiting.any(|reply| is_pulled(&reply)));
    rig.settle("infra", URL, &containers(&[("web", "web:2")]));
    let replies: Vec<Reply> = waiting.collect();
    assert!(
        matches!(replies.last(), Some(Reply::Outcome(outcome)) if outcome.result == Verdict::Superseded),
        "{replies:?}"
    );
    assert_eq!(rig.world.cancelled(), 1);
}

#[test]
fn a_bad_version_is_taken_back_and_stays_so_over_a_restart() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    let quick = |image: &str| {
        containers(&[("web", image)]).replace("image:", "readiness: {tcp: {port: 1}, startPeriod: 1s}, image:")
    };
    rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    let outcome = rig.push("infra", URL, &quick("web:bad"));
    assert_eq!(outcome.result, Verdict::Failed, "{outcome:?}");
    assert!(outcome.message.starts_with("partly in force: Container/web taken back"), "{}", outcome.message);
    let snapshot = rig.get();
    assert_eq!(snapshot.sources[0].taken_back, ["Container/web"]);
    assert_eq!(rig.world.live()["Container/web"][0].1, "web:1");
    let before = rig.world.starts("Container/web");
    rig.stop();
    rig.start();
    rig.until("taken back", |snapshot| snapshot.sources[0].taken_back == ["Container/web"]);
    assert_eq!(rig.world.starts("Container/web"), before);
}

#[test]
fn what_exits_is_started_again() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    rig.world.exit("Container/web", 1);
    rig.until("started again", |snapshot| snapshot.settled && rig.world.starts("Container/web") == 2);
}

#[test]
fn an_image_that_is_missing_stops_no_other_unit_and_is_tried_again() {
    let rig = Rig::started();
    rig.world.miss("web:1");
    rig.follow("infra", URL);
    rig.repositories.push(URL, &containers(&[("web", "web:1"), ("db", "db:1")]));
    let snapshot = rig.until("waiting for the image", |snapshot| {
        snapshot.units.iter().any(|unit| unit.name == "web" && unit.message.contains("there is no image web:1"))
            && snapshot.units.iter().any(|unit| unit.name == "db" && unit.state == "settled")
    });
    assert!(!snapshot.settled);
    rig.world.find("web:1");
    rig.until("settled", |snapshot| snapshot.settled);
}

#[test]
fn the_guard_holds_until_somebody_says_yes() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    let data = volume("data", "Delete");
    rig.settle("infra", URL, &(containers(&[("web", "web:1")]) + &data));
    let outcome = rig.push("infra", URL, &containers(&[("web", "web:1")]));
    assert_eq!(outcome.result, Verdict::Refused);
    assert!(outcome.message.contains("deletes the data of Volume/data"), "{}", outcome.message);
    let snapshot = rig.get();
    assert_eq!(snapshot.sources[0].state, "held");
    let held = rig.preview("infra", &containers(&[("web", "web:1")])).held.expect("it is held");
    assert!(outcome.message.contains(&held.plan));
    assert!(rig.refused(Request::Allow { plan: "0123456789ab".to_owned(), source: None }).contains("nothing waits"));
    rig.done(Request::Allow { plan: held.plan, source: None });
    rig.until("removed", |snapshot| snapshot.settled && snapshot.units.len() == 1);
    assert_eq!(rig.world.starts("Container/web"), 1);
}

#[test]
fn a_plan_that_was_shown_may_be_allowed_before_its_commit_comes() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle("infra", URL, &containers(&[("a", "a:1"), ("b", "b:1")]));
    let shown = rig.preview("infra", "").held.expect("it removes everything");
    rig.done(Request::Allow { plan: shown.plan, source: Some("infra".to_owned()) });
    // The yes is durable.
    rig.stop();
    rig.start();
    rig.settle("infra", URL, "");
    assert!(rig.world.live().is_empty());
}

/// The guard learns of a yes with the next look at the world, and a push may be faster.
#[test]
fn what_was_allowed_is_not_refused_before_the_guard_has_seen_the_yes() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle("infra", URL, &containers(&[("a", "a:1"), ("b", "b:1")]));
    let shown = rig.preview("infra", "").held.expect("it removes everything");
    rig.world.hide(true);
    rig.done(Request::Allow { plan: shown.plan, source: Some("infra".to_owned()) });
    let commit = rig.repositories.push(URL, "");
    let waiting = rig.begin(Request::Follow { source: Some("infra".to_owned()), commit });
    rig.until("held", |snapshot| snapshot.sources[0].state == "held");
    rig.world.hide(false);
    let replies: Vec<Reply> = waiting.collect();
    assert_eq!(crate::rig::outcome(&replies).result, Verdict::Settled, "{replies:?}");
}
