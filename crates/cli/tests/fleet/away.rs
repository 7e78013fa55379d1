//! Machines that are away, networks that are cut, and hubs that remember less than they did.

use crate::{
    hub::{Hub, fleet, rollout, web},
    machine::Machine,
    signer::Signer,
};
use abide_lab::run;
use std::fs;

#[test]
fn who_was_away_jumps_to_the_present() {
    let mut hub = Hub::made("127.0.0.1", &["--away-after", "2s"]);
    hub.start();
    let mut machines = Machine::several(&hub, 2);
    // There is no commit yet, so nothing can be as it should be.
    let words = machines[0].must(&["get"]);
    assert!(words.contains("waits for its first target") && words.contains("… not settled"), "{words}");
    hub.repository.write("fleet.yaml", &(fleet(&hub.id, "") + &rollout("soak: 1s")));
    let first = hub.repository.land("the fleet");
    machines.iter().for_each(|machine| drop(machine.is_on(&first)));
    machines[1].stop();
    let mut newest = first;
    for greeting in ["two", "three", "four"] {
        hub.repository.write("base/web.yaml", &web(greeting));
        newest = hub.repository.land(greeting);
        machines[0].is_on(&newest);
    }
    // The row of who is away is written as well, and not in the same moment.
    hub.tells("till-2", &newest);
    let before = machines[1].get();
    machines[1].start();
    let now = machines[1].is_on(&newest);
    // One wish more than it had: it didn't run through the past.
    assert_eq!(now.source("fleet").generation, before.source("fleet").generation + 1);
    machines.into_iter().for_each(Machine::end);
}

/// What others were rid of step by step is much at once for who was away: that is asked there, and nobody is stopped by it.
#[test]
fn who_was_away_and_would_lose_much_asks() {
    let volume = |n: usize| format!("apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: v{n}}}\n");
    let mut hub = Hub::made("127.0.0.1", &["--away-after", "2s"]);
    hub.repository.write("fleet.yaml", &(fleet(&hub.id, "") + &rollout("soak: 1s, maxUnavailable: 2")));
    (1..=6).for_each(|n| hub.repository.write(&format!("base/v{n}.yaml"), &volume(n)));
    let first = hub.repository.land("the fleet");
    hub.start();
    let mut machines = Machine::several(&hub, 2);
    machines.iter().for_each(|machine| drop(machine.is_on(&first)));
    hub.rolled_out(&first, machines.len());
    machines[1].stop();
    let mut newest = first.clone();
    for gone in [[1, 2], [3, 4]] {
        gone.iter().for_each(|n| hub.repository.remove(&format!("base/v{n}.yaml")));
        newest = hub.repository.land("some go");
        machines[0].is_on(&newest);
    }
    hub.tells("till-2", &newest);
    machines[1].start();
    let asks = |commit: &str| {
        // What it says of another commit isn't shown.
        hub.patiently("till-2 asks", || {
            let machine = hub.machine("till-2");
            machine["state"] == "changing"
                && machine["commit"] == commit
                && machine["message"].as_str().unwrap().contains("abide allow")
        });
        let message = hub.machine("till-2")["message"].as_str().unwrap().to_owned();
        message.split("abide allow ").nth(1).unwrap().split('`').next().unwrap().to_owned()
    };
    let plan = asks(&newest);
    hub.repository.write("base/v6.yaml", &volume(7));
    let next = hub.repository.land("another one");
    machines[0].is_on(&next);
    let (before, plan) = (plan, asks(&next));
    assert_ne!(before, plan, "it is asked anew of each commit");
    machines[1].must(&["allow", &plan]);
    machines[1].is_on(&next);
    hub.rolled_out(&next, machines.len());
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn an_old_backup_of_the_hub_sends_nobody_back() {
    let mut hub = Hub::started("soak: 1s");
    let machines = Machine::several(&hub, 2);
    let first = hub.repository.git(&["rev-parse", "HEAD"]);
    machines.iter().for_each(|machine| drop(machine.is_on(&first)));
    hub.stop();
    let (state, backup) = (hub.rig.root(), hub.rig.path("backup"));
    run("cp", &["-a", state.to_str().unwrap(), backup.to_str().unwrap()]);
    hub.start();
    hub.repository.write("base/web.yaml", &web("two"));
    let second = hub.repository.land("two");
    machines.iter().for_each(|machine| drop(machine.is_on(&second)));
    let late = Machine::enrolled(&hub, &hub.token(1), "late");
    late.is_on(&second);
    let pids: Vec<i32> = machines.iter().chain([&late]).map(Machine::pid).collect();

    hub.kill();
    fs::remove_dir_all(&state).unwrap();
    run("cp", &["-a", backup.to_str().unwrap(), state.to_str().unwrap()]);
    hub.start();
    for name in ["till-1", "till-2", "late"] {
        hub.sees(name, "ready", &second);
    }
    assert_eq!(machines.iter().chain([&late]).map(Machine::pid).collect::<Vec<_>>(), pids);
    late.end();
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn another_history_is_taken_by_nobody_unless_it_says_so_and_is_signed() {
    let mut hub = Hub::made("127.0.0.1", &[]);
    let anna = Signer::new(&hub, "anna");
    let signers = format!("  signers: {{version: 1, keys: [\"{}\"]}}", anna.public());
    let says = |hub: &Hub, more: &str| fleet(&hub.id, &format!("{signers}\n{more}")) + &rollout("soak: 1s");
    hub.repository.write("fleet.yaml", &says(&hub, ""));
    let first = anna.signs(&hub, "the fleet");
    hub.repository.write("base/web.yaml", &web("two"));
    let second = anna.signs(&hub, "two");
    hub.start();
    let machines = Machine::several(&hub, 1);
    machines[0].is_on(&second);
    let pid = machines[0].pid();
    let stays =
        || assert_eq!((machines[0].get().source("fleet").commit.as_str(), machines[0].pid()), (second.as_str(), pid));

    // Nobody signed it: machines would refuse it, so none is told.
    hub.repository.write("base/web.yaml", &web("unsigned"));
    let unsigned = hub.repository.land("unsigned");
    hub.refuses("isn't signed");
    stays();

    // Another history, which doesn't say whose place it takes.
    hub.repository.git(&["reset", "-q", "--hard", &first]);
    hub.repository.write("base/web.yaml", &web("rewritten"));
    anna.signs(&hub, "rewritten");
    hub.refuses("doesn't descend");
    stays();

    // It says so.
    hub.repository.write("fleet.yaml", &says(&hub, &format!("  replaces: [{unsigned}]")));
    let stated = anna.signs(&hub, "a history rewritten on purpose");
    machines[0].is_on(&stated);
    assert_ne!(machines[0].pid(), pid);
    machines.into_iter().for_each(Machine::end);
}

/// Tags are what is signed: a tip waits for one, and machines believe no other.
#[test]
fn a_commit_waits_for_its_signed_tag() {
    let mut hub = Hub::made("127.0.0.1", &[]);
    let anna = Signer::new(&hub, "anna");
    let signers = format!("  signers: {{version: 1, require: Tag, keys: [\"{}\"]}}", anna.public());
    hub.repository.write("fleet.yaml", &(fleet(&hub.id, &signers) + &rollout("soak: 1s")));
    let first = hub.repository.land("the fleet");
    hub.start();
    hub.refuses("waits for a signed tag");
    anna.tags(&hub, "v1", &first);
    let machines = Machine::several(&hub, 2);
    machines.iter().for_each(|machine| drop(machine.is_on(&first)));

    hub.repository.write("base/web.yaml", &web("two"));
    let second = hub.repository.land("two");
    hub.repository.write("base/web.yaml", &web("three"));
    let third = hub.repository.land("three");
    hub.patiently("the tip waits", || {
        let message = hub.rollouts()["message"].as_str().unwrap_or_default().to_owned();
        message.contains("waits for a signed tag") && message.contains(&third)
    });
    hub.sees("till-1", "ready", &first);
    // A release need not be the tip.
    anna.tags(&hub, "v2", &second);
    machines.iter().for_each(|machine| drop(machine.is_on(&second)));
    // Another hub process, with a cache of its own, tells who comes.
    hub.kill();
    fs::remove_dir_all(hub.rig.root().join("state/sources/fleet")).unwrap();
    hub.start();
    let late = Machine::enrolled(&hub, &hub.token(1), "late");
    late.is_on(&second);
    anna.tags(&hub, "v3", &third);
    machines.iter().chain([&late]).for_each(|machine| drop(machine.is_on(&third)));
    late.end();
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn a_cut_network_changes_nothing() {
    let network = Network::new();
    let mut hub = Hub::made(Network::HUB, &[]);
    hub.repository.write("fleet.yaml", &(fleet(&hub.id, "") + &rollout("soak: 1s")));
    let first = hub.repository.land("the fleet");
    hub.start_by(&["ip", "netns", "exec", &network.name]);
    let mut machines = Machine::several(&hub, 2);
    for (n, machine) in machines.iter().enumerate() {
        machine.is_on(&first);
        hub.sees(&format!("till-{}", n + 1), "ready", &first);
    }
    let pids: Vec<i32> = machines.iter().map(Machine::pid).collect();

    network.is_up(false);
    hub.repository.write("base/web.yaml", &web("two"));
    let second = hub.repository.land("two");
    hub.patiently("one is told", || {
        ["till-1", "till-2"].iter().any(|name| hub.machine(name)["commit"] == second.as_str())
    });
    machines[0].kill();
    machines[0].start();
    machines[0].source_is("unreachable");
    assert_eq!(machines.iter().map(Machine::pid).collect::<Vec<_>>(), pids);

    network.is_up(true);
    machines.iter().for_each(|machine| drop(machine.is_on(&second)));
    machines.into_iter().for_each(Machine::end);
}

/// A network of the hub's own, on one cable.
struct Network {
    name: String,
    cable: String,
}

impl Network {
    const HUB: &str = "198.18.44.2";

    fn new() -> Self {
        let number = std::process::id();
        let network = Self { name: format!("abide-hub-{number}"), cable: format!("hub{number}") };
        let ip = |words: &str| run("ip", &words.split(' ').collect::<Vec<_>>());
        let (name, cable) = (&network.name, &network.cable);
        ip(&format!("netns add {name}"));
        ip(&format!("link add {cable} type veth peer name eth0 netns {name}"));
        ip(&format!("address add 198.18.44.1/30 dev {cable}"));
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {name} address add {}/30 dev eth0", Self::HUB));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} link set lo up"));
        network
    }

    fn is_up(&self, is_up: bool) {
        run("ip", &["link", "set", &self.cable, if is_up { "up" } else { "down" }]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        run("ip", &["netns", "delete", &self.name]);
    }
}
