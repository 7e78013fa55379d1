//! Roll-outs: what is bad gets no further than the first wave.

use crate::{
    hub::{Hub, broken_web, fleet, rollout, web},
    machine::Machine,
};

#[test]
fn a_bad_commit_stops_at_the_first_wave_and_goes_back() {
    let hub = Hub::started("waves: [{count: 1}], soak: 1s, maxUnavailable: 2");
    let good = hub.repository.git(&["rev-parse", "HEAD"]);
    let machines = Machine::several(&hub, 5);
    for (n, machine) in machines.iter().enumerate() {
        machine.is_on(&good);
        hub.sees(&format!("till-{}", n + 1), "ready", &good);
    }
    hub.rolled_out(&good, machines.len());
    let others: Vec<i32> = machines[1..].iter().map(Machine::pid).collect();

    hub.repository.write("base/web.yaml", &broken_web());
    let bad = hub.repository.land("it can't start");
    hub.rollout_is("stopped");
    let said = hub.ask(&["rollout", "status", "-w"]);
    assert_eq!(said.code, 1, "a stopped roll-out is no success: {said}");
    hub.sees("till-1", "ready", &good);
    machines[0].is_on(&good);
    assert_eq!(machines[1..].iter().map(Machine::pid).collect::<Vec<_>>(), others, "nobody else was touched by {bad}");

    // The fix goes through all waves.
    hub.repository.write("base/web.yaml", &web("fixed"));
    let fixed = hub.repository.land("it starts");
    for machine in &machines {
        machine.is_on(&fixed);
    }
    hub.rolled_out(&fixed, machines.len());
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn a_roll_out_is_paused_and_goes_on() {
    let hub = Hub::started("soak: 1s, maxUnavailable: 1");
    let first = hub.repository.git(&["rev-parse", "HEAD"]);
    let machines = Machine::several(&hub, 2);
    machines.iter().for_each(|machine| drop(machine.is_on(&first)));
    hub.rolled_out(&first, machines.len());
    hub.rig.must(&["rollout", "pause", "all-shops"]);
    hub.rollout_is("paused");
    hub.repository.write("base/web.yaml", &web("two"));
    let second = hub.repository.land("two");
    hub.patiently("the hub knows the commit", || hub.rollouts()["commit"] == second.as_str());
    for (n, machine) in machines.iter().enumerate() {
        assert_eq!(hub.machine(&format!("till-{}", n + 1))["commit"], first.as_str());
        assert_eq!(machine.get().source("fleet").commit, first);
    }
    hub.rig.must(&["rollout", "resume", "all-shops"]);
    machines.iter().for_each(|machine| drop(machine.is_on(&second)));
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn a_commit_that_is_broken_for_somebody_is_rolled_out_to_nobody() {
    let hub = Hub::started("soak: 1s");
    let first = hub.repository.git(&["rev-parse", "HEAD"]);
    let machines = Machine::several(&hub, 1);
    machines[0].is_on(&first);
    hub.repository.write("base/web.yaml", &web("two").replace("image:", "imgae:"));
    let slip = hub.repository.land("a slip");
    // The hub has not noticed it yet.
    assert_eq!(hub.ask(&["rollout", "status", "-w", "--commit", &slip]).code, 3);
    let message = hub.rollouts()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("base/web.yaml") && message.contains("image"), "{message}");
    hub.sees("till-1", "ready", &first);
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn who_watches_hears_of_what_was_pushed_just_before() {
    let mut hub = Hub::made("127.0.0.1", &[]);
    // By itself it would notice nothing for an hour.
    let mut server = hub.is_behind_a_server(&["--interval", "1h"]);
    hub.repository.write("fleet.yaml", &(fleet(&hub.id, "") + &rollout("soak: 1s")));
    hub.repository.land("the fleet");
    hub.start();
    let watches = |hub: &Hub, code: i32, commit: &str| {
        let said = hub.ask(&["rollout", "status", "-w"]);
        assert_eq!(said.code, code, "{said}");
        assert_eq!(hub.rollouts()["tip"], commit);
        said
    };
    hub.repository.write("base/web.yaml", &web("two"));
    let second = hub.repository.land("two");
    watches(&hub, 0, &second);
    hub.repository.write("base/web.yaml", &web("three"));
    let third = hub.repository.land("three");
    let heard = watches(&hub, 0, &third);
    assert_eq!(heard.err, "");
    // What was passed over never comes.
    let said = hub.ask(&["rollout", "status", "-w", "--commit", &second[..12]]);
    assert!(said.code == 1 && said.err.contains("a later one took its place"), "{said}");

    // A repository that is away holds up nobody.
    server.away();
    hub.repository.write("fleet.yaml", "kind: Fleet");
    let slip = hub.repository.land("a slip");
    let heard = watches(&hub, 0, &third);
    assert!(heard.err.contains("this is of what the hub heard last: https://localhost"), "{heard}");
    server.back();
    watches(&hub, 3, &slip);
}
