//! What is killed comes back, and nothing of the killed is left over.

use crate::{
    documents::{machine, web},
    started,
    support::{boots, local},
};
use abide_lab::{Rig, Snapshot, host_port, http::get, oci, run};
use std::fs;

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// The program inside, or the VMM.
    First,
    Keeper,
}

impl Victim {
    fn pid(self, snapshot: &Snapshot, unit: &str) -> i32 {
        let first = snapshot.unit(unit).pid();
        match self {
            Self::First => first,
            Self::Keeper => parent(first),
        }
    }
}

fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    after_name.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Kills it, and waits until the unit runs again.
fn kill(rig: &Rig, unit: &str, victim: Victim) {
    let before = rig.settled();
    let old = before.unit(unit).instance().id.clone();
    run("kill", &["-KILL", &victim.pid(&before, unit).to_string()]);
    rig.wait(&format!("{unit} is healed"), |now| {
        now.settled && now.unit(unit).active().is_some_and(|instance| instance.id != old)
    });
}

#[test]
fn what_is_killed_comes_back_and_leaves_nothing() {
    let rig = started();
    // A unit for each death: the second death in a row of one would wait.
    let units = [Victim::First, Victim::Keeper].map(|victim| (victim, host_port(), host_port()));
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.guest();
    for (victim, web_port, machine_port) in &units {
        let name = format!("{victim:?}").to_lowercase();
        repository.write(&format!("web-{name}.yaml"), &web(&format!("web-{name}"), "hello", web_port.number, ""));
        repository.write(&format!("vm-{name}.yaml"), &machine(&format!("vm-{name}"), machine_port.number));
    }
    repository.deploy("two of each");
    let before = rig.traces();
    for (victim, web_port, machine_port) in &units {
        let name = format!("{victim:?}").to_lowercase();
        kill(&rig, &format!("Container/web-{name}"), *victim);
        assert_eq!(get(local(web_port.number), "/").unwrap().status, 200, "{victim:?}");
        kill(&rig, &format!("VirtualMachine/vm-{name}"), *victim);
        assert_eq!(boots(&rig, machine_port.number), format!("hello from vm-{name}\n"));
        let after = rig.traces();
        assert_eq!(after.counts(), before.counts(), "{victim:?}: {after:#?}\nbefore: {before:#?}");
    }
    rig.end();
}
