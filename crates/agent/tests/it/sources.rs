//! What people do with sources.

use crate::rig::{Rig, containers, spec, volume};
use abide_agent::api::{Reply, Request, Verdict};

const URL: &str = "/srv/infra.git";

fn name() -> String {
    "infra".to_owned()
}

#[test]
fn a_commit_that_is_not_there_is_waited_for_until_the_source_was_looked_at() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    let follow = |commit: &str| Request::Follow { source: Some(name()), commit: commit.to_owned() };
    let unknown = "abcdef";
    let refused = rig.refused(follow(unknown));
    assert_eq!(refused, "source infra was looked at just now, and has neither commit abcdef nor any other");
    let first = rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    let refused = rig.refused(follow(unknown));
    let expected =
        format!("source infra was looked at just now: it is at commit {first:.12}, and neither is nor was at abcdef");
    assert_eq!(refused, expected);
    let second = rig.settle("infra", URL, &containers(&[("web", "web:2")]));
    assert_eq!(rig.outcome(follow(&first)).message, format!("commit {second:.12} took its place"));

    rig.repositories.away(true);
    for _ in 0..2 {
        let replies = rig.ask(follow(unknown));
        let [Reply::Failed { message }] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!(message, "commit abcdef has not come: the server is away");
    }
    rig.repositories.away(false);
    rig.settle("infra", URL, &containers(&[("web", "web:3")]));
}

#[test]
fn a_suspended_source_takes_no_commits_until_it_is_resumed() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    rig.done(Request::SourceSuspend { name: name() });
    let commit = rig.repositories.push(URL, &containers(&[("web", "web:2")]));
    let refused = rig.refused(Request::Follow { source: Some(name()), commit: commit.clone() });
    assert!(refused.contains("new commits wait for `abide source resume infra`"), "{refused}");
    rig.stop();
    rig.start();
    assert_eq!(rig.get().sources[0].state, "suspended");
    // What is in force is kept up.
    rig.world.exit("Container/web", 1);
    rig.until("started again", |snapshot| snapshot.settled && rig.world.starts("Container/web") == 2);
    rig.done(Request::SourceResume { name: name() });
    assert_eq!(rig.outcome(Request::Follow { source: Some(name()), commit }).result, Verdict::Settled);
    assert_eq!(rig.world.live()["Container/web"][0].1, "web:2");
}

#[test]
fn a_roll_back_stays_until_something_newer_comes() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    let first = rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    rig.settle("infra", URL, &containers(&[("web", "web:2")]));
    let outcome = rig.outcome(Request::Rollback { source: None, commit: None });
    assert_eq!((outcome.commit.as_str(), outcome.result), (first.as_str(), Verdict::Settled));
    assert_eq!(rig.world.live()["Container/web"][0].1, "web:1");
    rig.stop();
    rig.start();
    let snapshot = rig.until("settled", |snapshot| snapshot.settled);
    assert!(snapshot.sources[0].message.starts_with("rolled back to"), "{}", snapshot.sources[0].message);
    assert_eq!(rig.world.live()["Container/web"][0].1, "web:1");
    rig.settle("infra", URL, &containers(&[("web", "web:3")]));
    assert_eq!(rig.get().sources[0].message, "");
    rig.stop();
    rig.start();
    rig.until("settled", |snapshot| snapshot.settled);
    assert_eq!(rig.world.live()["Container/web"][0].1, "web:3", "the roll-back is over for good");
}

#[test]
fn a_roll_back_is_ended_by_resume() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    let first = rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    rig.settle("infra", URL, &containers(&[("web", "web:2")]));
    rig.outcome(Request::Rollback { source: Some(name()), commit: Some(first) });
    rig.done(Request::SourceResume { name: name() });
    rig.until("at the newest commit", |snapshot| snapshot.settled && rig.world.live()["Container/web"][0].1 == "web:2");
    let unknown = Request::Rollback { source: None, commit: Some("ffff".to_owned()) };
    assert!(rig.refused(unknown).contains("ffff"));
}

#[test]
fn down_stops_everything_and_resume_brings_it_back() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle(
        "infra",
        URL,
        &(containers(&[("a", "a:1"), ("b", "b:1"), ("c", "c:1"), ("d", "d:1")]) + &volume("data", "Delete")),
    );
    assert_eq!(rig.outcome(Request::Down).result, Verdict::Settled);
    assert_eq!(rig.world.live().keys().collect::<Vec<_>>(), ["Volume/data"]);
    rig.stop();
    rig.start();
    let snapshot = rig.until("down and settled", |snapshot| snapshot.settled);
    assert_eq!(snapshot.sources[0].state, "suspended");
    assert_eq!(rig.world.live().len(), 1);
    rig.done(Request::SourceResume { name: name() });
    rig.until("up", |snapshot| snapshot.settled && rig.world.live().len() == 5);
}

#[test]
fn what_a_removed_source_owns_runs_on_and_is_stopped_by_down_alone() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle("infra", URL, &(containers(&[("web", "web:1")]) + &volume("data", "Delete")));
    rig.done(Request::SourceRemove { name: name() });
    rig.repositories.push(URL, "");
    rig.stop();
    rig.start();
    let snapshot = rig.until("settled", |snapshot| snapshot.settled);
    assert_eq!(snapshot.sources[0].state, "withdrawn");
    assert_eq!(rig.world.live().len(), 2);
    assert!(rig.refused(Request::SourceResume { name: name() }).contains("there is no source infra"));
    assert_eq!(rig.outcome(Request::Down).result, Verdict::Settled);
    assert_eq!(rig.world.live().keys().collect::<Vec<_>>(), ["Volume/data"]);

    // Registered again, it owns what is left, and is followed.
    rig.follow("infra", URL);
    rig.settle("infra", URL, &(containers(&[("web", "web:2")]) + &volume("data", "Keep")));
    assert_eq!(rig.world.live().len(), 2);
}

#[test]
fn a_unit_that_was_given_up_is_tried_again_when_somebody_says_so() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    let probed =
        containers(&[("web", "web:bad")]).replace("image:", "readiness: {tcp: {port: 1}, startPeriod: 1s}, image:");
    rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    assert_eq!(rig.push("infra", URL, &probed).result, Verdict::Failed);
    let before = rig.world.starts("Container/web");
    rig.done(Request::Retry { unit: "web".to_owned() });
    rig.until("tried again", |_| rig.world.starts("Container/web") > before);
    assert!(rig.refused(Request::Retry { unit: "wob".to_owned() }).contains("there is no unit wob"));
    rig.stop();
}

#[test]
fn several_sources_live_side_by_side() {
    let rig = Rig::started();
    rig.follow("infra", URL);
    rig.follow("apps", "/srv/apps.git");
    rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    rig.settle("apps", "/srv/apps.git", &containers(&[("web", "web:9")]));
    assert_eq!(rig.get().units.len(), 2);
    assert!(rig.refused(Request::Retry { unit: "web".to_owned() }).contains("could be any of"));
    rig.done(Request::Retry { unit: "apps:Container/web".to_owned() });
    assert!(rig.refused(Request::Rollback { source: None, commit: None }).contains("several sources"));
    assert!(
        rig.refused(Request::SourceAdd { name: "new".to_owned(), spec: Box::new(spec("ssh://x/y")) }).contains("ssh")
    );
    assert_eq!(rig.get().sources.len(), 2, "what can't be followed is not registered");
}

#[test]
fn a_commit_that_never_comes_is_refused() {
    let rig = Rig::started();
    assert!(rig.refused(Request::Follow { source: None, commit: "abc".to_owned() }).contains("no source"));
    assert!(rig.refused(Request::Follow { source: None, commit: "main".to_owned() }).contains("is no commit"));
    assert!(rig.refused(Request::Wake { source: name() }).contains("there is no source infra"));
}
