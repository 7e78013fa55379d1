use crate::{
    rig::{Rig, helper, until},
    scripts::{Nobody, container, owner, script},
};
use abide_instance::{log_directory, log_file, read_instances};
use abide_reconcile::{Backend as _, Fault, Order, Owner, Phase, Reclaim, Role, Step, Ticket};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    net::TcpStream,
    time::{Duration, Instant},
};

/// Ends as soon as it is asked to.
const STAYS: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

#[test]
fn from_start_to_nothing() {
    let mut rig = Rig::new();
    let want =
        script("web", &format!("echo hello; {STAYS}"), &json!({ "resources": { "pids": 50, "memory": "64Mi" } }));
    let unit = want.unit.id.clone();
    assert_eq!(rig.found(&unit), None);
    let before = rig.traces();

    let instance = rig.start(&want).unwrap();
    let seen = rig.seen(&unit, instance).unwrap();
    assert_eq!((seen.role, seen.want.digest, seen.attempt), (Role::Candidate, want.digest, 0));
    assert!(matches!(seen.phase, Phase::Running { started, ready: Some(ready), failing: false } if started == ready));
    assert_eq!(rig.found(&unit).unwrap().owner, Some(owner()));
    let inspected = rig.ground.inspect(&unit, instance).unwrap();
    // Somebody is there who refuses.
    let refused = TcpStream::connect((inspected.address.unwrap(), 9)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(
        fs::read_to_string(format!("/proc/{}/cgroup", inspected.pid.unwrap()))
            .unwrap()
            .contains("infra_Container_web_0")
    );
    let log = log_file(&rig.paths, &unit, instance);
    until("it says hello", || fs::read_to_string(&log).is_ok_and(|text| text.ends_with("stdout F hello\n")));

    rig.run(&unit, Step::Activate { instance }).unwrap();
    rig.run(&unit, Step::Activate { instance }).unwrap();
    assert_eq!(rig.role(&unit, instance), Some(Role::Active));
    let read = read_instances(&rig.paths, &unit).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].role, read[0].pid, read[0].address), (Role::Active, inspected.pid, inspected.address));

    let other = Owner { reclaim: Reclaim::Delete, ..owner() };
    rig.run(&unit, Step::Adopt(other.clone())).unwrap();
    assert_eq!(rig.found(&unit).unwrap().owner, Some(other));

    rig.run(&unit, Step::Stop { instance }).unwrap();
    rig.run(&unit, Step::Stop { instance }).unwrap();
    assert_eq!(rig.found(&unit).unwrap().instances, []);
    assert!(log.exists(), "the log stays");
    rig.run(&unit, Step::Forget { reclaim: Reclaim::Keep }).unwrap();
    assert_eq!(rig.found(&unit), None);
    assert!(!log_directory(&rig.paths, &unit).exists());
    assert_eq!(before, BTreeSet::new());
    rig.tear_down();
}

#[test]
fn live_fields_change_what_runs() {
    let mut rig = Rig::new();
    let sized = |memory: &str| script("web", STAYS, &json!({ "resources": { "memory": memory } }));
    let unit = sized("64Mi").unit.id.clone();
    let instance = rig.start(&sized("64Mi")).unwrap();
    let pid = rig.ground.inspect(&unit, instance).unwrap().pid;
    assert_eq!(memory_limit(&rig.tag(), instance), 64 << 20);
    let to = sized("80Mi");
    let step = Step::Update { instance, to: to.clone() };
    rig.run(&unit, step).unwrap();
    assert_eq!(memory_limit(&rig.tag(), instance), 80 << 20);
    let seen = rig.seen(&unit, instance).unwrap();
    assert_eq!(seen.want.digest, to.digest);
    assert_eq!(rig.ground.inspect(&unit, instance).unwrap().pid, pid);
    let other = script("web", "something else", &json!({}));
    assert!(rig.run(&unit, Step::Update { instance, to: other }).is_err());
    rig.tear_down();
}

/// In v1 or v2.
fn memory_limit(tag: &str, instance: Ticket) -> u64 {
    let group = format!("abide-{tag}/infra_Container_web_0_{instance}");
    let v1 = fs::read_to_string(format!("/sys/fs/cgroup/memory/{group}/memory.limit_in_bytes"));
    let limit = v1.or_else(|_| fs::read_to_string(format!("/sys/fs/cgroup/{group}/memory.max")));
    limit.unwrap().trim().parse().unwrap()
}

#[test]
fn an_exit_leaves_a_tombstone_and_a_log() {
    let mut rig = Rig::new();
    let want = script("job", "echo done; exit 3", &json!({}));
    let unit = want.unit.id.clone();
    let instance = rig.start(&want).unwrap();
    assert_eq!(rig.exit_code(&unit, instance), 3);
    let seen = rig.seen(&unit, instance).unwrap();
    assert!(matches!(seen.phase, Phase::Exited { started, at, code: 3 } if started <= at), "{seen:?}");
    assert!(fs::read_to_string(log_file(&rig.paths, &unit, instance)).unwrap().ends_with("stdout F done\n"));
    assert_eq!(rig.ground.inspect(&unit, instance).unwrap().pid, None);
    let refused = rig.run(&unit, Step::Activate { instance }).unwrap_err();
    assert!(matches!(refused, Fault::Again(_)), "{refused}");
    rig.tear_down();
}

#[test]
fn a_program_that_can_not_be_executed_counts_as_an_exit() {
    let mut rig = Rig::new();
    let want = container("web", &["/nosuch"], &json!({}));
    let unit = want.unit.id.clone();
    let fault = rig.start(&want).unwrap_err();
    assert_eq!(fault.to_string(), "could not execute /nosuch: No such file or directory (os error 2)");
    let instance = Ticket { epoch: 1, n: 1 };
    assert_eq!(rig.exit_code(&unit, instance), 127);
    let log = fs::read_to_string(log_file(&rig.paths, &unit, instance)).unwrap();
    assert!(
        log.ends_with("stderr F abide: could not execute /nosuch: No such file or directory (os error 2)\n"),
        "{log}"
    );
    rig.tear_down();
}

#[test]
fn what_can_not_be_made_leaves_nothing() {
    let mut rig = Rig::new();
    let want = script("web", STAYS, &json!({}));
    // With this one the network comes into being.
    let instance = rig.start(&want).unwrap();
    rig.run(&want.unit.id, Step::Stop { instance }).unwrap();
    rig.run(&want.unit.id, Step::Forget { reclaim: Reclaim::Keep }).unwrap();
    let before = rig.traces();
    for fault in [Fault::Unprepared, Fault::Never("no".into()), Fault::Again("later".into())] {
        *rig.scripts.refuses.lock().unwrap() = Some(fault.clone());
        assert_eq!(rig.start(&want), Err(fault));
        assert_eq!(rig.found(&want.unit.id), None);
        assert_eq!(rig.traces(), before);
    }
    *rig.scripts.refuses.lock().unwrap() = None;
    rig.start(&want).unwrap();
    rig.tear_down();
}

#[test]
fn the_host_s_network_needs_none_of_ours() {
    let mut rig = Rig::new();
    let want = script("web", STAYS, &json!({ "hostNetwork": true }));
    let instance = rig.start(&want).unwrap();
    rig.run(&want.unit.id, Step::Activate { instance }).unwrap();
    assert_eq!(rig.ground.inspect(&want.unit.id, instance).unwrap().address, Some("127.0.0.1".parse().unwrap()));
    assert!(rig.traces().iter().all(|trace| trace.starts_with("group")), "{:?}", rig.traces());
    rig.tear_down();
}

#[test]
fn orders_that_are_out_of_date_are_dropped() {
    let mut rig = Rig::new();
    let want = script("web", STAYS, &json!({}));
    let unit = want.unit.id.clone();
    let instance = rig.start(&want).unwrap();
    rig.run(&unit, Step::Fence).unwrap();
    let late = |epoch, n| {
        let order = Order { ticket: Ticket { epoch, n }, unit: unit.clone(), step: Step::Stop { instance }, stamp: 0 };
        rig.instances.run(&order, &Nobody)
    };
    assert_eq!(late(1, 1), Err(Fault::Cancelled));
    assert_eq!(late(0, 9), Err(Fault::Cancelled));
    assert!(rig.seen(&unit, instance).unwrap().is_live());
    rig.tear_down();
}

#[test]
fn who_does_not_listen_is_killed_when_the_time_is_over() {
    let mut rig = Rig::new();
    let deaf = script("web", "trap '' TERM; while :; do sleep 1000; done", &json!({ "stopGracePeriod": "300ms" }));
    let unit = deaf.unit.id.clone();
    let instance = rig.start(&deaf).unwrap();
    let asked = Instant::now();
    rig.run(&unit, Step::Stop { instance }).unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert_eq!(rig.seen(&unit, instance), None);
    rig.tear_down();
}

#[test]
fn nothing_is_torn_down_under_what_runs() {
    let mut rig = Rig::new();
    rig.start(&script("web", STAYS, &json!({}))).unwrap();
    let refused = rig.ground.tear_down().unwrap_err().to_string();
    assert_eq!(refused, "instances are there still, 1 in all, as infra:Container/web: stop everything first");
    rig.tear_down();
}

#[test]
fn two_roots_live_side_by_side() {
    let (mut one, mut other) = (Rig::new(), Rig::new());
    let want =
        container("web", &[helper().to_str().unwrap(), "serve", "web", "8080"], &json!({ "stopGracePeriod": "0s" }));
    let addresses = [&mut one, &mut other].map(|rig| {
        let instance = rig.start(&want).unwrap();
        rig.ground.inspect(&want.unit.id, instance).unwrap().address.unwrap()
    });
    assert_ne!(addresses[0], addresses[1]);
    for address in addresses {
        until("it answers", || TcpStream::connect((address, 8080)).is_ok());
    }
    other.tear_down();
    assert!(TcpStream::connect((addresses[0], 8080)).is_ok());
    one.tear_down();
}
