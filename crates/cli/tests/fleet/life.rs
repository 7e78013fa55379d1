//! From the first machine to the last.

use crate::{
    hub::{Hub, web},
    machine::Machine,
};

#[test]
fn five_machines_enrol_run_what_the_repository_says_and_change_with_it() {
    let hub = Hub::started("soak: 1s, maxUnavailable: 2");
    let first = hub.repository.git(&["rev-parse", "HEAD"]);
    let machines = Machine::several(&hub, 5);
    for machine in &machines {
        machine.is_on(&first);
    }
    let before: Vec<i32> = machines.iter().map(Machine::pid).collect();

    hub.repository.write("base/web.yaml", &web("two"));
    let second = hub.repository.land("another greeting");
    for (n, machine) in machines.iter().enumerate() {
        machine.is_on(&second);
        hub.sees(&format!("till-{}", n + 1), "ready", &second);
        assert_ne!(machine.pid(), before[n]);
    }
    hub.rolled_out(&second, machines.len());
    let said = hub.ask(&["rollout", "status", "-w"]);
    assert_eq!(said.code, 0, "{said}");

    // What no machine's folders have changes nothing.
    let pids: Vec<i32> = machines.iter().map(Machine::pid).collect();
    hub.repository.write("README.md", "of no machine");
    let third = hub.repository.land("words");
    for machine in &machines {
        machine.is_on(&third);
    }
    assert_eq!(machines.iter().map(Machine::pid).collect::<Vec<_>>(), pids);
    machines.into_iter().for_each(Machine::end);
}

#[test]
fn the_hub_comes_and_goes_and_nothing_else_does() {
    let mut hub = Hub::started("soak: 1s, maxUnavailable: 1");
    let first = hub.repository.git(&["rev-parse", "HEAD"]);
    let mut machines = Machine::several(&hub, 2);
    machines.iter().for_each(|machine| drop(machine.is_on(&first)));
    let pids: Vec<i32> = machines.iter().map(Machine::pid).collect();

    // It is killed in the middle of roll-outs.
    for greeting in ["two", "three", "four"] {
        hub.repository.write("base/web.yaml", &web(greeting));
        hub.repository.land(greeting);
        hub.kill();
        hub.start();
    }
    let newest = hub.repository.git(&["rev-parse", "HEAD"]);
    machines.iter().for_each(|machine| drop(machine.is_on(&newest)));
    assert!(machines.iter().map(Machine::pid).zip(&pids).all(|(now, before)| now != *before));

    // It is away, and a machine is killed, booted and healed without it.
    hub.kill();
    let pid = machines[0].pid();
    machines[0].reboot();
    machines[0].start();
    let other = machines[1].pid();
    abide_lab::run("kill", &["-KILL", &other.to_string()]);
    let pids = [machines[0].pid_after(pid), machines[1].pid_after(other)];
    hub.start();
    for (n, machine) in machines.iter().enumerate() {
        machine.is_on(&newest);
        hub.sees(&format!("till-{}", n + 1), "ready", &newest);
    }
    assert_eq!(machines.iter().map(Machine::pid).collect::<Vec<_>>(), pids);
    machines.into_iter().for_each(Machine::end);
    hub.stop();
}
