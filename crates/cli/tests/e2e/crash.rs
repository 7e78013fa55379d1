//! The agent may die at any moment.

use crate::{
    documents::{keeping, machine, volume, web},
    started,
    support::{boots, greeting, starts},
};
use abide_lab::{Snapshot, host_port, oci};
use std::{fs, thread, time::Duration};

const CHANGES: u64 = 50;

/// A number that nobody chose, the same in every run (SplitMix64).
fn random(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn killed_during_changes_it_settles_on_the_last_commit() {
    let mut rig = started();
    let [changing, steady, guest] = [host_port(), host_port(), host_port()];
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.guest();
    repository.write("changing.yaml", &web("changing", "start", changing.number, ""));
    repository.write("steady.yaml", &web("steady", "steady", steady.number, ""));
    repository.write("guest.yaml", &machine("guest", guest.number));
    repository.deploy("start");
    let (first, before) = (rig.settled(), rig.traces());
    let unchanged = ["Container/steady", "VirtualMachine/guest"];
    for number in 0..CHANGES {
        repository.write("changing.yaml", &web("changing", &format!("v{number}"), changing.number, ""));
        let commit = repository.commit(&format!("change {number}"));
        let mut push = repository.command(&["push", "-q", "origin", "main"]);
        let mut push = push.stderr(std::process::Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(random(number) % 600));
        rig.kill();
        push.wait().unwrap();
        rig.start();
        // A push that the agent's death refused is made again, as its author would.
        repository.git(&["push", "-q", "origin", "main"]);
        let now = rig.wait("the last commit is in force", |now| now.settled && now.source("infra").commit == commit);
        assert_eq!(greeting(changing.number), format!("v{number}"));
        for unit in unchanged {
            assert_eq!(now.unit(unit).instance(), first.unit(unit).instance(), "change {number}");
        }
        // The only instance: none runs twice.
        now.unit("Container/changing").instance();
    }
    let after = rig.traces();
    assert_eq!(after.counts(), before.counts(), "an orphan: {after:#?}\nbefore: {before:#?}");
    rig.end();
}

#[test]
fn all_comes_back_after_a_reboot_without_the_repository() {
    let mut rig = started();
    let [data, guest] = [host_port(), host_port()];
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.guest();
    repository.write("volume.yaml", &volume("data"));
    repository.write("data.yaml", &keeping("data", "kept", data.number, "data"));
    repository.write("guest.yaml", &machine("guest", guest.number));
    let commit = repository.deploy("all");
    assert_eq!(starts(data.number), 1);
    let units = |snapshot: &Snapshot| snapshot.units.iter().map(|unit| unit.name.clone()).collect::<Vec<_>>();
    let before = units(&rig.settled());

    rig.reboot();
    fs::rename(&repository.bare, rig.path("away.git")).unwrap();
    rig.start();
    let back = rig.wait("all is back", |now| now.units.iter().all(|unit| unit.ready) && units(now) == before);
    assert_eq!(back.source("infra").commit, commit);
    assert_eq!((greeting(data.number), starts(data.number)), ("kept".to_owned(), 2));
    assert_eq!(boots(&rig, guest.number), "hello from guest\n");
    rig.end();
}
