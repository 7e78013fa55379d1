//! What a source's reporter is told.

use crate::{
    recorder::Told,
    rig::{Rig, containers},
};
use abide_agent::{
    Happened::{self, Exited, Prepared, Preparing, Removed, Serving, Started, Starting, Stopped, Stopping, TakenBack},
    SourceState, UnitReport,
    api::{Request, Verdict},
};
use std::{collections::BTreeSet, net::Ipv4Addr};

const URL: &str = "/srv/infra.git";

fn is_settled(report: &UnitReport) -> bool {
    report.status.state == "settled" && report.status.ready
}

fn are_settled(count: usize) -> impl Fn(&Told) -> bool {
    move |told| told.units.len() == count && told.units.values().all(is_settled)
}

/// Each kind of happening that came, in the order of its first.
fn happened(told: &Told, unit: &str) -> Vec<Happened> {
    told.happened.iter().filter(|(of, ..)| of == unit).map(|(_, what, _)| *what).collect()
}

#[test]
fn units_are_told_as_they_come_change_and_go() {
    let rig = Rig::started();
    let recorder = &rig.repositories.recorder;
    rig.follow("infra", URL);
    recorder.until("told everything", |told| told.everything == 1, |told| assert!(told.units.is_empty()));
    rig.settle("infra", URL, &containers(&[("web", "web:1"), ("db", "db:1")]));
    let wanted = recorder.until("settled", are_settled(2), |told| {
        let web = &told.units["Container/web"];
        assert_eq!(web.status.addresses, [Ipv4Addr::LOCALHOST]);
        assert_eq!(web.status.instances[0].role, "active");
        assert!(!web.taken_back);
        assert_eq!(happened(told, "Container/web"), [Preparing, Prepared, Starting, Started, Serving]);
        told.happened.clear();
        web.wanted
    });
    rig.settle("infra", URL, &containers(&[("web", "web:2")]));
    let is_over = |told: &Told| are_settled(1)(told) && told.units["Container/web"].wanted != wanted;
    recorder.until("settled with another version", is_over, |told| {
        let last = told.reports.iter().rev().find(|(unit, _)| unit == "Container/db");
        assert!(last.is_some_and(|(_, report)| report.is_none()), "{last:?}");
        assert_eq!(happened(told, "Container/db"), [Stopping, Stopped, Removed]);
        assert_eq!(told.everything, 1);
    });
}

#[test]
fn what_did_not_change_is_not_told() {
    let rig = Rig::started();
    let recorder = &rig.repositories.recorder;
    rig.follow("infra", URL);
    let names: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "image:1")).collect();
    rig.settle("infra", URL, &containers(&all));
    let instance = |told: &Told| told.units["Container/c7"].status.instances.last().map(|last| last.id.clone());
    let before = recorder.until("settled", are_settled(50), |told| {
        told.reports.clear();
        instance(told)
    });
    rig.world.exit("Container/c7", 3);
    let is_back = |told: &Told| are_settled(50)(told) && instance(told) != before;
    recorder.until("started again", is_back, |told| {
        let of: BTreeSet<&str> = told.reports.iter().map(|(unit, _)| unit.as_str()).collect();
        assert_eq!(of, ["Container/c7"].into());
        let exited = ("Container/c7".to_owned(), Exited, "exited with 3".to_owned());
        assert!(told.happened.contains(&exited), "{:?}", told.happened);
    });
}

#[test]
fn everything_is_told_anew_after_a_restart_and_not_before_it_is_known() {
    let mut rig = Rig::started();
    rig.follow("infra", URL);
    rig.settle("infra", URL, &containers(&[("web", "web:1"), ("db", "db:1")]));
    rig.repositories.recorder.until("settled", are_settled(2), |_| ());
    rig.stop();
    rig.repositories.recorder.look(|told| *told = Told::default());
    rig.world.hide(true);
    rig.start();
    // Who asks for a source waits for nothing but that it was read: its listener was opened meanwhile.
    assert!(rig.done(Request::Wake { source: "infra".to_owned() }).contains("looked at"));
    rig.repositories.recorder.look(|told| assert_eq!((told.everything, told.reports.len()), (0, 0)));
    rig.world.hide(false);
    rig.repositories.recorder.until("settled", are_settled(2), |told| {
        assert_eq!(told.everything, 1);
        assert!(told.happened.is_empty(), "a restart does nothing: {:?}", told.happened);
    });
}

#[test]
fn a_version_that_is_taken_back_is_told() {
    let rig = Rig::started();
    let recorder = &rig.repositories.recorder;
    rig.follow("infra", URL);
    rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    let quiet =
        containers(&[("web", "web:2")]).replace("image:", "readiness: {tcp: {port: 1}, startPeriod: 1s}, image:");
    let outcome = rig.push("infra", URL, &quiet);
    assert_eq!(outcome.result, Verdict::Failed);
    recorder.until(
        "taken back",
        |told| told.units["Container/web"].taken_back && told.units["Container/web"].status.ready,
        |told| {
            let web = &told.units["Container/web"];
            assert!(web.status.message.contains("did not become ready in time"), "{}", web.status.message);
            assert!(happened(told, "Container/web").contains(&TakenBack));
        },
    );
}

#[test]
fn a_source_is_told_when_it_changes() {
    let rig = Rig::started();
    let recorder = &rig.repositories.recorder;
    rig.follow("infra", URL);
    let all = containers(&[("a", "a:1"), ("b", "b:1"), ("c", "c:1")]);
    let first = rig.settle("infra", URL, &all);
    let is_at = |state, commit: &str| {
        let commit = commit.to_owned();
        move |told: &Told| {
            told.sources.last().is_some_and(|last| last.state == state && last.told.as_ref() == Some(&commit))
        }
    };
    recorder.until("in force", is_at(SourceState::Following, &first), |told| {
        assert_eq!(told.sources.last().unwrap().in_force.as_ref(), Some(&first));
    });
    let broken = rig.push("infra", URL, "kind: Nothing\n").commit;
    recorder.until("refused", is_at(SourceState::Refused, &broken), |told| {
        let last = told.sources.last().unwrap();
        assert_eq!((last.in_force.as_ref(), last.held.as_ref()), (Some(&first), None));
        assert!(last.message.contains("`apiVersion` is missing"), "{}", last.message);
    });
    let held = rig.push("infra", URL, "---\n").commit;
    let plan = recorder.until("held", is_at(SourceState::Held, &held), |told| {
        let held = told.sources.last().unwrap().held.clone().unwrap();
        assert_eq!(held.removals.len(), 3);
        held.plan
    });
    rig.done(Request::Allow { plan, source: None });
    let is_in_force = |told: &Told| told.sources.last().is_some_and(|last| last.in_force.as_ref() == Some(&held));
    let is_gone = |told: &Told| told.units.is_empty() && is_in_force(told);
    recorder.until("gone", is_gone, |told| {
        let last = told.sources.last().unwrap();
        assert_eq!((last.state, last.held.as_ref()), (SourceState::Following, None));
    });
    rig.repositories.away(true);
    recorder.until("away", is_at(SourceState::Unreachable, &held), |_| ());
    // What is the same is told once.
    recorder.look(|told| assert!(told.sources.windows(2).all(|pair| pair[0] != pair[1])));
}
