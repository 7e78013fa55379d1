//! What a container may do, and what it may not.

use crate::{image::caller, rig::Rig};
use abide_lab::oci::{Config, Files};

/// Of /proc/self/status: inheritable, permitted, effective, bounding, ambient; no new privileges; seccomp's mode and how
/// many filters there are.
const STATUS: &str = "grep -E '^(Cap|NoNew|Seccomp)' /proc/self/status | while read name value; do echo $value; done";

fn check(fields: &str, sets: [&str; 3], no_new: &str) {
    let [permitted, effective, bounding] = sets.map(|set| format!("{set:0>16}"));
    let none = "0".repeat(16);
    let expected = [&none, &permitted, &effective, &bounding, &none, no_new, "2", "1"];
    Rig::new().check(STATUS, fields, &expected);
}

#[test]
fn rights_are_few_and_can_be_chosen() {
    check("", ["800405fb"; 3], "1");
    check("user: web", ["0", "0", "800405fb"], "1");
    check("security: {capabilitiesDrop: [ALL]}", ["0"; 3], "1");
    check("security: {capabilitiesDrop: [ALL], capabilitiesAdd: [NET_ADMIN]}", ["1000"; 3], "1");
    check("security: {allowPrivilegeEscalation: true}", ["800405fb"; 3], "0");
}

#[test]
fn further_programs_have_no_more() {
    let rig = Rig::new();
    let running = rig.start(rig.script("sleep 100", "user: web")).unwrap();
    let expected = format!("{0}\n{0}\n{0}\n00000000800405fb\n{0}\n1\n2\n1\n", "0".repeat(16));
    assert_eq!(running.exec(&["/bin/sh", "-c", STATUS]), expected);
    assert_eq!(running.exec(&["/bin/sh", "-c", "id -u; id -G; pwd"]), "33\n34 44\n/\n");
}

#[test]
fn setuid_programs_gain_something_only_where_they_may() {
    let rig = Rig::new();
    // Exits with the complement of its effective user.
    let image = rig.image_with(Files::new().file("who", 0o4755, &caller(libc::SYS_geteuid, 0)), &Config::default());
    let run = |fields: &str| rig.run(rig.unit(&format!("image: {image}\nuser: web\ncommand: [/who]\n{fields}"), "")).0;
    assert_eq!(run(""), 256 - 33);
    assert_eq!(run("security: {allowPrivilegeEscalation: true}"), 0);
}

#[test]
fn calls_are_refused() {
    let rig = Rig::new();
    let cases = [
        ("mount", libc::SYS_mount, 0, libc::EPERM),
        ("unshare", libc::SYS_unshare, 0, libc::EPERM),
        ("keyctl", libc::SYS_keyctl, 0, libc::EPERM),
        ("io_uring_setup", libc::SYS_io_uring_setup, 0, libc::EPERM),
        ("bpf", libc::SYS_bpf, 0, libc::EPERM),
        ("reboot", libc::SYS_reboot, 0, libc::EPERM),
        ("clone3", libc::SYS_clone3, 0, libc::ENOSYS),
        ("unknown", 900, 0, libc::ENOSYS),
        ("clone", libc::SYS_clone, libc::CLONE_NEWUSER as u32, libc::EPERM),
        ("socket-alg", libc::SYS_socket, libc::AF_ALG as u32, libc::EPERM),
        ("socket-vsock", libc::SYS_socket, libc::AF_VSOCK as u32, libc::EPERM),
        // Allowed: the kernel itself finds fault with the arguments.
        ("close", libc::SYS_close, 99, libc::EBADF),
    ];
    let add = |files: Files, (name, call, argument, _): &(&str, i64, u32, i32)| {
        files.file(name, 0o755, &caller(*call, *argument))
    };
    let image = rig.image_with(cases.iter().fold(Files::new(), add), &Config::default());
    for security in ["", "security: {allowPrivilegeEscalation: true}"] {
        let names: Vec<_> = cases.iter().map(|(name, ..)| *name).collect();
        let script = format!("for name in {}; do /$name; echo $name $?; done", names.join(" "));
        let (_, printed) = rig.run(rig.script(&script, &format!("image: {image}\n{security}")));
        let expected: Vec<_> = cases.iter().map(|(name, _, _, error)| format!("{name} {error}")).collect();
        assert_eq!(printed, expected);
    }
    let fields = format!("image: {image}\nsecurity: {{capabilitiesAdd: [SYS_ADMIN]}}");
    // A bad address: the kernel looked at the arguments.
    rig.check("/mount; echo $?; /unshare; echo $?", &fields, &["14", "0"]);
}

#[test]
fn kernel_interfaces_are_masked_or_read_only() {
    let rig = Rig::new();
    let script = "
        for file in kcore keys timer_list interrupts sched_debug latency_stats; do
            if [ -e /proc/$file ] && [ -n \"$(head -c 1 /proc/$file)\" ]; then echo $file; fi
        done
        for folder in /sys/firmware /sys/devices/virtual/powercap /proc/acpi /proc/asound /proc/scsi \\
            /sys/devices/system/cpu/cpu*/thermal_throttle; do
            if [ -e $folder ] && [ -n \"$(ls $folder)\" ]; then echo $folder; fi
        done
        for file in /proc/sys/kernel/hostname /proc/sys/vm/swappiness /proc/sysrq-trigger /proc/irq/x /proc/fs/x /proc/bus/x \\
            /sys/x /sys/fs/cgroup/x /sys/fs/cgroup/cgroup.procs; do
            if echo 1 2>/dev/null > $file; then echo $file; fi
        done
        echo end";
    rig.check(script, "security: {capabilitiesAdd: [SYS_ADMIN, SYS_RAWIO]}", &["end"]);
}

#[test]
fn devices_are_those_of_containers() {
    let rig = Rig::new();
    let image = rig.image_with(Files::new().folder("nodes", 0o755).device("nodes/mem", (1, 1)), &Config::default());
    let script = "
        find /dev -maxdepth 1 -type c | sort; ls /nodes
        mknod /tmp/null c 1 3; head -c 1 /tmp/null 2>/dev/null && echo used
        mknod /dev/mem c 1 1; head -c 1 /dev/mem 2>/dev/null && echo used
        mknod /dev/shm/null c 1 3; head -c 1 /dev/shm/null 2>/dev/null && echo used
        echo end";
    let devices = ["full", "null", "random", "tty", "urandom", "zero"].map(|name| format!("/dev/{name}"));
    let mut expected: Vec<_> = devices.iter().map(String::as_str).collect();
    expected.push("end");
    let fields = format!("image: {image}\nsecurity: {{capabilitiesAdd: [MKNOD]}}");
    rig.check(script, &fields, &expected);
    rig.check("mknod /tmp/null c 1 3 2>/dev/null || echo no", "", &["no"]);
}
