//! Who is who.

use crate::{
    hub::{Hub, web},
    machine::Machine,
};
use abide_lab::{Rig, run};
use std::fs;

#[test]
fn a_token_lets_in_as_many_as_it_says() {
    let hub = Hub::started("soak: 1s");
    let token = hub.token(1);
    let machine = Machine::enrolled(&hub, &token, "till-1");
    let rig = Rig::new(env!("CARGO_BIN_EXE_abide"));
    let said = rig.abide(&["enroll", &hub.url(), "--token", &token, "--name", "till-2"]);
    assert!(said.code != 0 && said.err.contains("token"), "{said}");
    // A name is one machine's.
    let said = rig.abide(&["enroll", &hub.url(), "--token", &hub.token(1), "--name", "till-1"]);
    assert!(said.code != 0 && said.err.contains("another machine has this name"), "{said}");
    // A hub that the token doesn't name is not spoken to.
    let other = Hub::started("soak: 1s");
    let said = rig.abide(&["enroll", &other.url(), "--token", &hub.token(1), "--name", "till-2"]);
    assert!(said.code != 0 && said.err.contains("root"), "{said}");
    machine.end();
}

#[test]
fn who_is_revoked_runs_on_and_hears_no_more() {
    let hub = Hub::started("soak: 1s");
    let machines = Machine::several(&hub, 2);
    let first = hub.repository.git(&["rev-parse", "HEAD"]);
    machines.iter().for_each(|machine| drop(machine.is_on(&first)));
    let pid = machines[0].pid();
    hub.rig.must(&["hub", "machine", "revoke", "till-1"]);
    let why = machines[0].source_is("unreachable");
    assert!(why.contains("revoked"), "{why}");
    hub.repository.write("base/web.yaml", &web("two"));
    let second = hub.repository.land("two");
    machines[1].is_on(&second);
    assert_eq!((machines[0].get().source("fleet").commit.as_str(), machines[0].pid()), (first.as_str(), pid));
    // It comes back as a new one.
    machines[0].must(&["enroll", &hub.url(), "--token", &hub.token(1), "--name", "till-1", "--again"]);
    machines[0].is_on(&second);
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn the_issuing_key_is_renewed_while_the_hub_serves() {
    let hub = Hub::started("soak: 1s");
    let first = hub.repository.git(&["rev-parse", "HEAD"]);
    let mut machines = Machine::several(&hub, 1);
    machines[0].is_on(&first);
    hub.rig.must(&["hub", "renew-issuing"]);
    machines.push(Machine::enrolled(&hub, &hub.token(1), "till-2"));
    let issuing = |machine: &Machine| {
        let file = machine.root().join("state/sources/fleet/identity/identity.json");
        let identity: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        identity["chain"].as_str().unwrap().split("BEGIN CERTIFICATE").nth(2).unwrap().to_owned()
    };
    assert_ne!(issuing(&machines[0]), issuing(&machines[1]));
    // Who has a certificate by the key before is a machine all the same.
    machines[0].stop();
    machines[0].start();
    hub.repository.write("base/web.yaml", &web("two"));
    let second = hub.repository.land("two");
    machines.iter().for_each(|machine| drop(machine.is_on(&second)));
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn a_copied_disk_is_noticed() {
    let hub = Hub::started("soak: 1s");
    let mut machines = Machine::several(&hub, 1);
    let first = hub.repository.git(&["rev-parse", "HEAD"]);
    machines[0].is_on(&first);
    machines[0].stop();
    let mut copy = Rig::new(env!("CARGO_BIN_EXE_abide"));
    let (from, to) = (machines[0].root().join("state/sources"), copy.root().join("state"));
    fs::create_dir_all(&to).unwrap();
    run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
    machines[0].start();
    machines[0].is_on(&first);
    copy.start();
    hub.patiently("the hub notices", || hub.machine("till-1")["state"] == "cloned");
    machines.into_iter().for_each(Machine::end);
    copy.end();
}
