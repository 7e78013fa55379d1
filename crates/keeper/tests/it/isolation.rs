//! What a program in an instance sees, and what it can't do: the escapes of other runtimes, tried.

use crate::rig::Rig;
use abide_keeper::job::{File, MountSource};
use std::{fs, os::unix::fs::symlink};

/// Runs a script, whose last lines are compared.
fn check(rig: &mut Rig, expected: &[&str]) {
    let (code, printed) = rig.run();
    assert_eq!((code, printed), (0, expected.iter().map(|line| format!("stdout F {line}")).collect()));
}

#[test]
fn it_sees_its_own_world() {
    let script =
        "echo $$; cat /proc/sys/kernel/hostname; ls /sys/class/net; id -u; id -G; ls /proc/self/fd; pwd; umask;
        grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; ulimit -n";
    let mut rig = Rig::new(script);
    rig.job.identity.capabilities = 1 << 10;
    rig.job.identity.groups = vec![0].into();
    let none = "0000000000000000";
    let some = "0000000000000400";
    let status = format!(
        "CapInh:\t{none}|CapPrm:\t{some}|CapEff:\t{some}|CapBnd:\t{some}|CapAmb:\t{none}|NoNewPrivs:\t1|Seccomp:\t0"
    );
    let mut expected = vec!["1", "web", "lo", "0", "0", "0", "1", "2", "3", "/", "0022"];
    expected.extend(status.split('|'));
    expected.push("64");
    check(&mut rig, &expected);
}

#[test]
fn another_user_has_no_rights() {
    let mut rig = Rig::new("id -u; id -g; id -G; grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status; echo x > /dev/stdout");
    rig.job.identity.uid = 1000;
    rig.job.identity.gid = 1001;
    rig.job.identity.groups = vec![1001, 44].into();
    rig.job.identity.capabilities = 1 << 10;
    let none = "0000000000000000";
    let caps = [format!("CapPrm:\t{none}"), format!("CapEff:\t{none}"), "CapBnd:\t0000000000000400".to_owned()];
    check(&mut rig, &["1000", "1001", "1001 44", &caps[0], &caps[1], &caps[2], "x"]);
}

#[test]
fn kernels_files_are_masked_or_read_only() {
    let script =
        "cat /proc/timer_list; ls /sys/firmware /sys/kernel; echo x 2>/dev/null > /proc/sys/kernel/hostname || echo ro
        touch /sys/x 2>/dev/null || echo ro; mknod /tmp-null c 1 3 2>/dev/null || echo no; ls /dev";
    let mut rig = Rig::new(script);
    let devices = ["core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"];
    let mut expected = vec!["/sys/firmware:", "", "/sys/kernel:", "ro", "ro", "no"];
    expected.extend(devices);
    expected.extend(["tty", "urandom", "zero"]);
    check(&mut rig, &expected);
}

#[test]
fn a_read_only_root_is() {
    let mut rig = Rig::new("touch /x 2>/dev/null || echo ro; touch /dev/shm/x && echo shm; touch /tmp/x && echo tmp");
    let tmpfs = MountSource::Tmpfs { size: 1 << 20, mode: 0o1777, uid: 0, gid: 0, files: Vec::new().into() };
    rig.mount(tmpfs, "/tmp");
    rig.root().is_read_only = true;
    check(&mut rig, &["ro", "shm", "tmp"]);
}

#[test]
fn data_comes_without_devices_and_rights() {
    let mut rig = Rig::new(
        "cat /data/a/file /secret/key; grep ' /data/a ' /proc/self/mounts | grep -c nosuid,nodev; stat -c %a:%u /secret/key",
    );
    fs::create_dir_all(rig.path("volume")).unwrap();
    fs::write(rig.path("volume/file"), "data\n").unwrap();
    // To read what belongs to others: CAP_DAC_OVERRIDE.
    rig.job.identity.capabilities = 1 << 1;
    let volume = rig.path("volume").to_str().unwrap().to_owned();
    rig.mount(MountSource::Bind(volume), "/data/a");
    let files = vec![File { name: "key".to_owned(), content: b"hush\n".to_vec() }].into();
    rig.mount(MountSource::Tmpfs { size: 1 << 20, mode: 0o755, uid: 5, gid: 6, files }, "/secret");
    check(&mut rig, &["data", "hush", "1", "440:5"]);
}

#[test]
fn links_of_the_image_stay_in_the_root() {
    let canary = tempfile::tempdir().unwrap();
    let path = canary.path().to_str().unwrap();
    let mut rig = Rig::new("ls -d /link/made; pwd");
    symlink(path, rig.path("layer/link")).unwrap();
    symlink(format!("../../../../../..{path}"), rig.path("layer/relative")).unwrap();
    fs::create_dir_all(rig.path("layer").join(&path[1..])).unwrap();
    let tmpfs = || MountSource::Tmpfs { size: 4096, mode: 0o755, uid: 0, gid: 0, files: Vec::new().into() };
    rig.mount(tmpfs(), "/link/made");
    rig.mount(tmpfs(), "/relative/made/too");
    rig.job.program.working_dir = "/relative/work".to_owned();
    let inside = format!("{path}/work");
    check(&mut rig, &["/link/made", &inside]);
    assert_eq!(fs::read_dir(canary.path()).unwrap().count(), 0);
}

#[test]
fn a_link_in_place_of_a_kernels_file_system_is_refused() {
    for name in ["proc", "dev", "sys"] {
        let mut rig = Rig::new("");
        symlink("etc", rig.path("layer").join(name)).unwrap();
        let failure = rig.start().unwrap_err();
        assert_eq!((failure.doing, failure.errno), (format!("mount /{name}"), libc::ELOOP));
    }
}

#[test]
fn nothing_goes_over_a_kernels_file_system() {
    for target in ["/proc", "/proc/sys", "/proc/self/attr", "/sys", "/sys/fs/cgroup", "/x"] {
        let mut rig = Rig::new("");
        symlink("/proc/sys", rig.path("layer/x")).unwrap();
        let files = Vec::new().into();
        rig.mount(MountSource::Tmpfs { size: 4096, mode: 0o755, uid: 0, gid: 0, files }, target);
        let failure = rig.start().unwrap_err();
        assert_eq!((failure.doing, failure.errno), (format!("mount {target}"), libc::EPERM));
    }
}

#[test]
fn a_descriptor_is_no_working_directory() {
    for number in 0..20 {
        let mut rig = Rig::new("");
        rig.job.program.working_dir = format!("/proc/self/fd/{number}");
        assert!(rig.start().is_err(), "descriptor {number}");
    }
}

#[test]
fn bound_sources_must_not_have_links() {
    let mut rig = Rig::new("");
    symlink("/etc", rig.path("link")).unwrap();
    let path = rig.path("link").to_str().unwrap().to_owned();
    rig.mount(MountSource::Bind(path), "/data");
    assert_eq!(rig.start().unwrap_err().errno, libc::ELOOP);
}
