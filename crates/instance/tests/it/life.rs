use crate::rig::{Rig, container, owner, script, until};
use abide_instance::{instance_directory, log_directory, log_file, read_instances};
use abide_reconcile::{Fault, Owner, Phase, Reclaim, Role, Step, Ticket};
use serde_json::json;
use std::{collections::BTreeSet, fs, io::ErrorKind, net::TcpStream, time::Duration};

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
