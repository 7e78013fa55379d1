//! What boots, and what is said of what doesn't.

use crate::rig::Plan;
use std::fs;

#[test]
fn a_guest_boots_with_all_its_processors_and_is_told_its_command_line() {
    let mut plan = Plan::new();
    plan.config.vcpus = 2;
    plan.config.cmdline = "console=ttyS0 one=1".to_owned();
    let mut vm = plan.start();
    assert_eq!(vm.expect("command line"), "command line: console=ttyS0 one=1");
    assert_eq!(vm.expect("cpus"), "cpus: 2");
    vm.expect("random: ");
    vm.expect("ready");
    vm.type_line("poweroff");
    assert_eq!(vm.end(), (Some(0), "abide vmm: the guest switched itself off\n".to_owned()));
}

#[test]
fn what_cannot_be_started_says_why() {
    let guest = fs::read(abide_lab::guest()).unwrap();
    // The note's name, so that there is none of Xen's.
    let note = guest.windows(4).position(|bytes| bytes == b"Xen\0").unwrap();
    let mut without_note = guest.clone();
    without_note[note] = b'Y';
    let cases: [(&str, &[u8], &str); 4] = [
        ("empty", b"", "cannot build the machine: the kernel cannot be booted: the file is empty"),
        ("text", b"#!/bin/sh\n", "the kernel cannot be booted: it is neither an ELF nor a bzImage"),
        ("no note", &without_note, "this ELF has no PVH note: build Linux with CONFIG_PVH, or give its bzImage"),
        ("cut", &guest[..guest.len() / 2], "the kernel cannot be booted: it is neither an ELF nor a bzImage"),
    ];
    for (name, kernel, why) in cases {
        let mut plan = Plan::new();
        plan.config.kernel = plan.folder.path().join("kernel");
        fs::write(&plan.config.kernel, kernel).unwrap();
        let (code, error) = plan.start().end();
        assert_eq!(code, Some(1), "{name}: {error}");
        assert!(error.contains(why), "{name}: {error}");
    }
}

#[test]
fn a_configuration_that_makes_no_machine_says_why() {
    type Change = fn(&mut abide_vm::vmm::Config);
    let cases: [(Change, &str); 6] = [
        (|config| config.vcpus = 0, "0 vCPUs are not possible: 1 to"),
        (|config| config.memory = 5000, "5000 bytes are no possible size of memory"),
        (|config| config.cmdline = "x".repeat(2048), "the command line must have less than 2048 bytes"),
        (|config| config.format = 9, "the configuration has format 9, and only 1 is known"),
        (|config| config.kernel = "/nosuch".into(), "cannot open /nosuch: No such file or directory"),
        (
            |config| config.net = Some(abide_vm::vmm::NetConfig { tap: 77, mac: [2; 6] }),
            "descriptor 77 is no tap device",
        ),
    ];
    for (change, why) in cases {
        let mut plan = Plan::new();
        change(&mut plan.config);
        let (code, error) = plan.start().end();
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(why), "{why}: {error}");
    }
}
