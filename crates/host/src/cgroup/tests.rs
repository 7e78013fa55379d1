//! Those that make groups need root and write access to the machine's hierarchies.

use super::*;
use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command},
    sync::atomic::{AtomicU32, Ordering},
};

/// A parent of its own for every test, removed at its end.
struct Scope {
    hierarchies: Hierarchies,
    parent: String,
}

impl Scope {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let parent = format!("abide-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { hierarchies: Hierarchies::detect().unwrap(), parent }
    }

    fn create(&self) -> Group {
        self.hierarchies.create(&self.parent, "one").unwrap()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let group = self.hierarchies.group(&self.parent, "one").unwrap();
        let _ = group.kill();
        let _ = group.remove();
        self.hierarchies.remove_parent(&self.parent);
    }
}

/// A shell that joins the group before it runs the script.
fn spawn(group: &Group, script: &str) -> Child {
    let procs: Vec<_> = group.folders().into_iter().map(|folder| folder.join("cgroup.procs")).collect();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    // SAFETY: opening and writing a file are system calls, which are async-signal-safe; nothing else happens here but
    // the making of a path's C string, and no other thread of the test holds the allocator's lock for ever.
    unsafe { command.pre_exec(move || procs.iter().try_for_each(|procs| fs::write(procs, "0"))) };
    command.spawn().unwrap()
}

const HYBRID: &str = "\
30 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 20 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
32 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate";
const PURE: &str = "29 20 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw";

#[test]
fn layouts_are_told_apart() {
    let cases = [
        (PURE, "cpu memory pids io", "control groups v2"),
        (PURE, "memory", "control groups v2, without cpu, pids"),
        (HYBRID, "hugetlb", "control groups hybrid, without pids"),
        ("31 20 0:27 / /cg rw - cgroup cgroup rw,pids,devices", "", "control groups v1, without cpu, memory"),
        ("", "", "control groups none, without cpu, memory, pids, devices"),
    ];
    for (mounts, controllers, report) in cases {
        let found = Hierarchies::parse(mounts, "0::/user.slice/x", |_| controllers.to_owned());
        assert_eq!(found.report().to_string().replace(", without devices", ""), report, "{mounts}");
    }
}

#[test]
fn groups_go_to_the_top_or_beside_a_leaf_of_ours() {
    for (own, folder) in [
        ("0::/", "/sys/fs/cgroup/p/i"),
        ("0::/user.slice/session", "/sys/fs/cgroup/p/i"),
        (
            "1:name=systemd:/\n0::/system.slice/abide.service/abide-agent",
            "/sys/fs/cgroup/system.slice/abide.service/p/i",
        ),
    ] {
        let found = Hierarchies::parse(PURE, own, |_| String::new());
        assert_eq!(found.group("p", "i").unwrap().folders(), [Path::new(folder)], "{own}");
    }
}

#[test]
fn the_top_is_what_can_be_seen_of_the_machine_s_own() {
    let pod = "40 20 0:26 /kubepods/a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
               41 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
               42 20 0:27 /kubepods/a /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu";
    let hidden = "41 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n42 41 0:40 / /sys/fs/cgroup rw - tmpfs tmpfs rw";
    let three = ["cpu,cpuacct", "memory", "unified"].map(|name| format!("/sys/fs/cgroup/{name}/cgroup.procs"));
    for (mounts, expected) in
        [(PURE, vec!["/sys/fs/cgroup/cgroup.procs"]), (pod, vec!["/sys/fs/cgroup/cgroup.procs"]), (hidden, vec![])]
    {
        assert_eq!(top::parse(mounts), expected.into_iter().map(PathBuf::from).collect::<Vec<_>>(), "{mounts}");
    }
    assert_eq!(top::parse(HYBRID), three.map(PathBuf::from));
}

#[test]
fn a_name_is_no_path() {
    for name in ["", "..", "a/b", "/"] {
        assert!(Hierarchies::default().group("p", name).is_err(), "{name}");
    }
}

#[test]
fn a_limit_that_would_not_hold_is_refused_and_none_is_fine() {
    let group = Hierarchies::default().group("p", "i").unwrap();
    group.set(&Limits::default()).unwrap();
    let said = group.set(&Limits { pids: Some(5), ..Limits::default() }).unwrap_err().to_string();
    assert!(said.contains("no control group controller `pids`"), "{said}");
    assert!(matches!(group.allow_devices(&CONTAINER_DEVICES), Err(Error::Devices { .. })));
}

#[test]
fn limits_are_set_changed_in_place_and_lifted() {
    let scope = Scope::new();
    let group = scope.create();
    for megabytes in [Some(64), Some(256), Some(32), None] {
        let limits = Limits { cpu_millis: Some(1500), memory_bytes: megabytes.map(|size| size << 20), pids: Some(7) };
        group.set(&limits).unwrap();
        let memory = group.file(Controller::Memory, "memory.limit_in_bytes", "memory.max").unwrap();
        let held = read(&memory).unwrap().trim().parse::<u64>().ok().filter(|bytes| *bytes < 1 << 60);
        assert_eq!(held, limits.memory_bytes);
    }
    let pids = group.file(Controller::Pids, "pids.max", "pids.max").unwrap();
    assert_eq!(read(&pids).unwrap(), "7\n");
    assert_eq!(scope.hierarchies.list(&scope.parent).unwrap(), ["one".to_owned()].into());
    scope.create().remove().unwrap();
    group.remove().unwrap();
    assert!(scope.hierarchies.list(&scope.parent).unwrap().is_empty());
}

#[test]
fn running_out_of_memory_is_counted() {
    let scope = Scope::new();
    let group = scope.create();
    group.set(&Limits { memory_bytes: Some(8 << 20), ..Limits::default() }).unwrap();
    assert_eq!(group.oom_kills().unwrap(), 0);
    let status = spawn(&group, "exec dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null").wait().unwrap();
    assert!(!status.success());
    assert!(group.oom_kills().unwrap() > 0);
}

#[test]
fn only_listed_devices_open() {
    let scope = Scope::new();
    let group = scope.create();
    group.allow_devices(&CONTAINER_DEVICES).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "cd {} && mknod kmsg c 1 11 && mknod zero c 1 5 && head -c 1 zero >/dev/null || exit 1; ! head -c 1 kmsg 2>/dev/null",
        folder.path().display()
    );
    assert!(spawn(&group, &script).wait().unwrap().success());
}

#[test]
fn a_group_with_processes_is_killed_and_removed() {
    let scope = Scope::new();
    let group = scope.create();
    let mut child = spawn(&group, "sleep 1000 & exec sleep 1000");
    assert!(group.is_populated());
    group.kill().unwrap();
    group.remove().unwrap();
    assert!(!child.wait().unwrap().success());
    group.remove().unwrap();
}
