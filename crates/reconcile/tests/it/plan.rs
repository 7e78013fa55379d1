//! The plan as a function of wishes and world: what would be ordered next, and why nothing is.

use crate::notation::{self, NOW};
use abide_reconcile::{Command, Event, Limits, Reconciler, Wish};

/// What the plan says when source a wishes this and the world is like that (see [`notation::world`]), as lines.
fn check(wishes: &str, world: &str, expected: &[&str]) {
    let source = notation::source("a");
    let wish = Wish::Complete(notation::wish(&source, wishes.lines()));
    let world = notation::world(&source, world);
    let records = world.units.iter().map(|(unit, record)| (unit.clone(), (**record).clone())).collect();
    let limits = Limits { orders_max: 0, prepares_max: 0, ..Limits::default() };
    let mut core = Reconciler::new(limits, 2);
    core.handle(NOW, Event::Wish { source, generation: 1, wish });
    let mut unseen = Some(world);
    while let Some(command) = core.poll(NOW) {
        match command {
            Command::Observe { ticket, .. } => {
                core.handle(NOW, Event::Seen { ticket, world: unseen.take().unwrap_or_default() });
            }
            Command::Accept { ticket, .. } => core.handle(NOW, Event::Accepted { ticket, result: Ok(()) }),
            other => panic!("nothing may be ordered: {other:?}"),
        }
    }
    let plan = notation::plan(&core.plan(), &records, NOW);
    assert_eq!(plan.lines().collect::<Vec<_>>(), expected);
}

const WEB: &str = "Container/web {image: web:1}";

#[test]
fn what_is_wished_and_there_is_settled() {
    check(WEB, &format!("{WEB} is active good"), &["settled"]);
    check("", "", &["settled"]);
}

#[test]
fn what_is_new_is_prepared_first() {
    check(WEB, "", &["Container/web: prepare web:1"]);
    check("Container/web {image: web:2}", &format!("{WEB} is active good"), &["Container/web: prepare web:2"]);
}

#[test]
fn what_runs_and_is_not_known_to_be_good_is_marked() {
    check(WEB, &format!("{WEB} is active"), &["Container/web: mark good web:1"]);
}

#[test]
fn a_candidate_takes_over_when_it_is_ready() {
    check(WEB, &format!("{WEB} is candidate"), &["Container/web: activate web:1"]);
    check(WEB, &format!("{WEB} is candidate unready"), &["Container/web runs, but is not ready"]);
}

#[test]
fn what_a_candidate_took_over_from_stops() {
    let world = format!("Container/web {{image: web:0}} is retiring\n{WEB} is active good");
    check(WEB, &world, &["Container/web: stop web:0"]);
}

#[test]
fn a_candidate_that_nobody_wants_any_more_stops() {
    let world = format!("{WEB} is active good\nContainer/web {{image: web:2}} is candidate unready");
    check(WEB, &world, &["Container/web: stop web:2"]);
    check("Container/web {image: web:3}", &world, &["Container/web: stop web:2"]);
}

#[test]
fn a_bad_version_is_not_tried_again() {
    let world = format!("{WEB} is active good\nContainer/web {{image: web:2}} is bad");
    check(
        "Container/web {image: web:2}",
        &world,
        &["Container/web taken back: version … is bad, the last good one runs"],
    );
    check("Container/web {image: web:3}", &world, &["Container/web: prepare web:3"]);
}

#[test]
fn a_version_that_is_not_ready_in_time_is_bad_if_there_is_one_to_go_back_to() {
    let probe = "readiness: {tcp: {port: 80}, startPeriod: 10s}";
    let new = format!("Container/web {{image: web:2, {probe}}}");
    check(&new, &format!("{new} is candidate unready"), &["Container/web runs, but is not ready"]);
    let world = format!("Container/web {{image: web:1}} is active good\n{new} is candidate unready");
    check(&new, &world, &["Container/web: mark bad web:2"]);
}

#[test]
fn exits_are_waited_out() {
    let started = |attempt| format!("{WEB} is active exited 1 attempt {attempt}");
    check(WEB, &started(0), &["Container/web: prepare web:1"]);
    let never = "Container/web {image: web:1, restartPolicy: Never}";
    check(
        never,
        &format!("{never} is active exited 1"),
        &["Container/web ended with 1, and its restartPolicy is Never"],
    );
    check(never, &format!("{never} is active exited 0"), &["Container/web: mark completed web:1"]);
    check(never, &format!("{never} is completed"), &["settled"]);
}

#[test]
fn what_fails_its_liveness_probe_is_killed() {
    check(WEB, &format!("{WEB} is active failing good"), &["Container/web: kill web:1"]);
    check(WEB, &format!("{WEB} is active away good"), &["Container/web out of reach"]);
}

#[test]
fn what_differs_in_live_fields_is_updated() {
    let wish = "Container/web {image: web:1} {tier: front}";
    check(wish, &format!("{WEB} is active good"), &["Container/web: update web:1 to web:1 tier=front"]);
}

#[test]
fn what_goes_is_stopped_before_what_it_uses() {
    let web = "Container/web {image: web:1, volumes: [{volume: data, mountPath: /data}]}";
    let world = format!("{web} is active good\nVolume/data {{}} is active\n{}", others());
    let plan = ["Container/web: stop web:1", "Volume/data goes after Container/web, which uses it"];
    check(&wished_others(), &world, &plan);
}

#[test]
fn many_removals_are_held() {
    let mut plan: Vec<String> = (0..10).map(|n| format!("Container/o{n} held by the guard")).collect();
    let all: String = (0..10).map(|n| format!(" Container/o{n}")).collect();
    plan.push(format!("held of a:{all}"));
    check("", &others(), &plan.iter().map(String::as_str).collect::<Vec<_>>());
    // A few of many are nothing to ask about.
    let wished = wished_others();
    let most: Vec<&str> = wished.lines().skip(2).collect();
    check(&most.join("\n"), &others(), &["Container/o0: stop other:0", "Container/o1: stop other:1"]);
}

fn wished_others() -> String {
    (0..10).map(|n| format!("Container/o{n} {{image: other:{n}}}\n")).collect()
}

fn others() -> String {
    wished_others().lines().map(|line| format!("{line} is active good\n")).collect()
}
