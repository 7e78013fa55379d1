//! Disks and the console, as the guest has them.

use crate::rig::Plan;
use std::{
    fs,
    io::{Read as _, Write as _},
};

#[test]
fn what_is_written_to_a_disk_lasts() {
    let mut vm = Plan::new().disk("data", 2048, false).disk("fixed", 8, true).start();
    assert_eq!(vm.expect("disk 0"), "disk 0: 2048 sectors, boot 1");
    assert_eq!(vm.expect("disk 1"), "disk 1: 8 sectors, read-only (refused), boot 0");
    vm.expect("ready");
    // The same disks of the next boot, which has the same process.
    vm.type_line("reset");
    assert_eq!(vm.expect("disk 0"), "disk 0: 2048 sectors, boot 2");
    vm.expect("ready");
    assert_eq!(fs::read(vm.path("data")).unwrap()[0], 2);
    vm.type_line("reset");
    assert_eq!(vm.expect("disk 0"), "disk 0: 2048 sectors, boot 3");
    vm.expect("ready");
    vm.type_line("poweroff");
    let (code, error) = vm.end();
    assert_eq!((code, error.matches("the guest reset itself").count()), (Some(0), 2));
}

#[test]
fn a_disk_has_one_writer() {
    let mut first = Plan::new().disk("data", 8, false).start();
    first.expect("ready");
    let mut plan = Plan::new().disk("other", 8, false);
    plan.config.disks[0].path = first.path("data");
    let (code, error) = plan.start().end();
    assert_eq!(code, Some(1));
    assert!(error.ends_with("is in use by another virtual machine\n"), "{error}");
}

#[test]
fn several_people_are_at_the_console() {
    let mut vm = Plan::new().start();
    vm.expect("ready");
    let (mut one, mut two) = (vm.console(), vm.console());
    one.write_all(b"echo from one\n").unwrap();
    vm.expect("from one");
    two.write_all(b"echo from two\n").unwrap();
    vm.expect("from two");
    for client in [&mut one, &mut two] {
        let mut text = String::new();
        let mut bytes = [0; 512];
        while !text.contains("from two\n") {
            let length = client.read(&mut bytes).unwrap();
            assert_ne!(length, 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        // Who comes late is shown what was.
        assert!(text.contains("abide guest: here\n") && text.contains("from one\n"), "{text}");
    }
    // One who never reads holds up nobody, and one who leaves neither.
    drop(one);
    vm.type_line("echo still here");
    vm.expect("still here");
}

#[test]
fn what_is_typed_at_once_arrives_in_full() {
    let mut vm = Plan::new().start();
    vm.expect("ready");
    // Far more than the serial line's own buffer has.
    let lines: Vec<String> = (0..50).map(|n| format!("echo {n} {}", "x".repeat(100))).collect();
    vm.console().write_all(format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
    for line in &lines {
        assert_eq!(&vm.expect(&line[5..8]), &line[5..]);
    }
}
