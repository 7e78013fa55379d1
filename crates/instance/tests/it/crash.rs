//! Deaths: of the agent at any moment, of a first process, of a keeper.

use crate::{
    rig::{Rig, helper, until},
    scripts::{container, script},
};
use abide_instance::instance_directory;
use abide_reconcile::{Role, Step};
use serde_json::json;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

#[test]
fn an_agent_that_dies_at_any_moment_leaves_nothing_that_the_next_does_not_find() {
    let mut rig = Rig::new();
    // Moments spread over what a step takes, the same in every run.
    for pause_ms in [0, 3, 7, 13, 20, 29, 40, 55, 75, 100, 130, 170] {
        let epoch = rig.next_epoch().to_string();
        let mut agent = Command::new(helper());
        agent.arg("agent").arg(rig.folder.path()).arg(epoch).stdout(Stdio::piped());
        let mut agent = agent.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(agent.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "at work\n");
        thread::sleep(Duration::from_millis(pause_ms));
        agent.kill().unwrap();
        agent.wait().unwrap();
        rig.restart();
        check(&rig);
    }
    rig.tear_down();
}

/// All that is there belongs to an instance that is seen, and no unit has two that serve.
fn check(rig: &Rig) {
    let world = rig.all();
    let (mut running, mut leased) = (0, 0);
    for (unit, found) in &world {
        let active = found.instances.iter().filter(|seen| seen.role == Role::Active).count();
        assert!(active <= 1, "{unit}: {found:?}");
        for seen in &found.instances {
            let address = rig.ground.inspect(unit, seen.instance).unwrap().address.unwrap();
            let has_place = rig.traces().contains(&format!("lease {address}"));
            leased += usize::from(has_place);
            if seen.is_live() {
                running += 1;
                assert!(has_place, "{unit} {address}");
            }
        }
        let folders = fs::read_dir(instance_directory(&rig.paths, unit, Default::default()).parent().unwrap()).unwrap();
        let folders = folders.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
        assert_eq!(folders, found.instances.len(), "{unit}: {found:?}");
    }
    let traces = rig.traces();
    let count = |what: &str| traces.iter().filter(|trace| trace.starts_with(what)).count();
    assert_eq!((count("lease"), count("link av")), (leased, running), "{world:?} {traces:?}");
}

#[test]
fn instances_outlive_the_agent() {
    let mut rig = Rig::new();
    let want = container("web", &[helper().to_str().unwrap(), "serve", "web", "8080"], &json!({}));
    let unit = want.unit.id.clone();
    let instance = rig.start(&want).unwrap();
    rig.run(&unit, Step::Activate { instance }).unwrap();
    let before = (rig.found(&unit), rig.ground.inspect(&unit, instance));
    rig.restart();
    assert_eq!((rig.found(&unit), rig.ground.inspect(&unit, instance)), before);
    // The next one hears of its end too.
    rig.run(&unit, Step::Kill { instance }).unwrap();
    assert_eq!(rig.exit_code(&unit, instance), 137);
    rig.tear_down();
}

#[test]
fn what_is_killed_is_heard_of_and_leaves_a_tombstone() {
    let mut rig = Rig::new();
    let want = script("web", "exec sleep 1000", &json!({}));
    let unit = want.unit.id.clone();
    for victim in ["first", "keeper"] {
        let instance = rig.start(&want).unwrap();
        let first = rig.ground.inspect(&unit, instance).unwrap().pid.unwrap();
        let keeper = status(first, "PPid");
        let victim = if victim == "first" { first } else { keeper };
        assert!(Command::new("kill").arg("-9").arg(victim.to_string()).status().unwrap().success());
        assert_eq!(rig.exit_code(&unit, instance), 137);
        until("both are gone", || [first, keeper].iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap()));
        let seen = rig.seen(&unit, instance);
        assert_eq!(rig.seen(&unit, instance), seen, "the same at every look");
        rig.run(&unit, Step::Stop { instance }).unwrap();
        assert_eq!(rig.seen(&unit, instance), None);
    }
    rig.tear_down();
}

fn status(pid: i32, field: &str) -> i32 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_boot_that_is_over_leaves_nothing() {
    let mut rig = Rig::new();
    let want = script("web", "exec sleep 1000", &json!({}));
    let unit = want.unit.id.clone();
    let instance = rig.start(&want).unwrap();
    rig.run(&unit, Step::Kill { instance }).unwrap();
    let record = instance_directory(&rig.paths, &unit, instance).join("instance.json");
    let text = fs::read_to_string(&record).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(&record, text.replace(boot.trim(), "another")).unwrap();
    rig.restart();
    assert_eq!(rig.found(&unit).unwrap().instances, []);
    assert!(!record.exists());
    rig.tear_down();
}

#[test]
fn a_run_directory_that_is_lost_takes_its_processes_along() {
    let mut rig = Rig::new();
    let want = script("web", "exec sleep 1000", &json!({}));
    let unit = want.unit.id.clone();
    let instance = rig.start(&want).unwrap();
    let first = rig.ground.inspect(&unit, instance).unwrap().pid.unwrap();
    fs::remove_dir_all(rig.paths.units()).unwrap();
    rig.restart();
    until("it is gone", || !fs::exists(format!("/proc/{first}")).unwrap());
    assert_eq!(rig.all().len(), 0);
    rig.tear_down();
}
