//! How machines end.

use crate::rig::Plan;
use abide_vm::vmm::{Answer, Order, OrderError, order};
use std::fs;

#[test]
fn the_power_button_is_pressed() {
    let mut vm = Plan::new().start();
    vm.expect("ready");
    vm.type_line("reset");
    vm.expect("ready");
    assert_eq!(order(vm.folder.path(), Order::Status).unwrap(), Answer { resets: 1 });
    order(vm.folder.path(), Order::Shutdown).unwrap();
    vm.expect("power button");
    assert_eq!(
        vm.end(),
        (Some(0), "abide vmm: the guest reset itself\nabide vmm: the guest switched itself off\n".into())
    );
}

#[test]
fn a_button_pressed_before_the_guest_listens_is_noticed_all_the_same() {
    let mut vm = Plan::new().start();
    // Before its interrupts are on.
    vm.expect("abide guest");
    order(vm.folder.path(), Order::Shutdown).unwrap();
    assert_eq!(vm.end().0, Some(0));
}

#[test]
fn a_crash_is_told_from_an_end() {
    let mut vm = Plan::new().start();
    vm.expect("ready");
    vm.type_line("crash");
    let (code, error) = vm.end();
    assert_eq!(code, Some(2));
    assert!(error.contains("the guest crashed"), "{error}");
}

#[test]
fn nothing_answers_for_a_machine_that_is_gone() {
    let mut vm = Plan::new().start();
    vm.expect("ready");
    let folder = vm.folder.path().to_owned();
    let pid = vm.child.id();
    vm.child.kill().unwrap();
    vm.child.wait().unwrap();
    assert!(matches!(order(&folder, Order::Status), Err(OrderError::Gone { .. })));
    assert!(fs::metadata(format!("/proc/{pid}")).is_err());
}

#[test]
fn a_guest_that_never_listens_is_killed_at_once() {
    let mut vm = Plan::new().start();
    vm.expect("ready");
    vm.type_line("spin");
    // The monitor answers though its guest doesn't.
    order(vm.folder.path(), Order::Shutdown).unwrap();
    vm.child.kill().unwrap();
    assert_eq!(vm.end().0, None);
}

#[test]
fn the_process_has_given_up_everything() {
    let mut vm = Plan::new().start();
    vm.expect("ready");
    let status = fs::read_to_string(format!("/proc/{}/status", vm.child.id())).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0".repeat(16), "{set}");
    }
    assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
    let root = fs::read_link(format!("/proc/{}/root", vm.child.id())).unwrap();
    assert_eq!(root, vm.path("empty"));
    assert_eq!(fs::read_dir(root).unwrap().count(), 0);
}
