//! The kernel, and what we may ask of it.

use super::Finding;
use crate::exit::with_causes;
use abide_host::{
    cgroup::Hierarchies,
    keeper::{Keepers, Origin},
    overlay,
};
use kvm_ioctls::Kvm;
use std::{fs, io, path::PathBuf};

/// The first with mount_setattr(2), which a container's mounts are restricted by.
const KERNEL_MIN: (u32, u32) = (5, 12);

/// The version of KVM's interface, which has not changed since 2007.
const KVM_VERSION: i32 = 12;

/// Capabilities that nothing works without (capabilities(7)).
const NEEDED: [(u32, &str); 10] = [
    (0, "CHOWN"),
    (1, "DAC_OVERRIDE"),
    (3, "FOWNER"),
    (5, "KILL"),
    (6, "SETGID"),
    (7, "SETUID"),
    (8, "SETPCAP"),
    (12, "NET_ADMIN"),
    (18, "SYS_CHROOT"),
    (21, "SYS_ADMIN"),
];

pub(super) fn look() -> Vec<Finding> {
    vec![kernel(), rights(), control_groups(), overlays(), filters(), machines(), keeper()]
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse().ok());
    let version: Option<(u32, u32)> = numbers.next().zip(numbers.next());
    match version {
        Some(version) if version < KERNEL_MIN => {
            let (major, minor) = KERNEL_MIN;
            Finding::missing("kernel", release, format!("containers and machines need Linux {major}.{minor} or later"))
        }
        _ => Finding::good("kernel", release),
    }
}

fn rights() -> Finding {
    const WHAT: &str = "rights";
    if !nix::unistd::geteuid().is_root() {
        return Finding::missing(WHAT, "not root", "only root can run containers and machines: use sudo");
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    let has = |bit: u32| effective >> bit & 1 == 1;
    let missing: Vec<&str> = NEEDED.into_iter().filter(|(bit, _)| !has(*bit)).map(|(_, name)| name).collect();
    if missing.is_empty() {
        return Finding::good(WHAT, "root");
    }
    let found = format!("root without {}", missing.join(", "));
    Finding::missing(
        WHAT,
        found,
        "containers and machines need these capabilities: run the agent outside of a container, or give them to it",
    )
}

fn control_groups() -> Finding {
    const WHAT: &str = "control groups";
    let report = match Hierarchies::detect() {
        Ok(hierarchies) => hierarchies.report(),
        Err(error) => {
            return Finding::missing(WHAT, with_causes(&error), "nothing can be started: mount /sys/fs/cgroup");
        }
    };
    let missing: Vec<String> = report.missing.iter().map(ToString::to_string).collect();
    if report.layout == "none" || missing.iter().any(|controller| controller == "devices") {
        return Finding::missing(
            WHAT,
            report.to_string(),
            "nothing can be started: mount /sys/fs/cgroup (type cgroup2)",
        );
    }
    if missing.is_empty() {
        return Finding::good(WHAT, report.layout);
    }
    let lost = format!(
        "units with a limit of {} are not started: enable the controller, or leave the limit out",
        missing.join(" or ")
    );
    Finding::lacking(WHAT, report.to_string(), lost)
}

/// Lays two empty folders over each other, in mounts that nobody else sees.
fn overlays() -> Finding {
    const WHAT: &str = "overlay file systems";
    let tried = scratch().map_err(|error| error.to_string()).and_then(|scratch| {
        let layers = ["a", "b", "at"].map(|name| scratch.join(name));
        let made = layers.iter().try_for_each(fs::create_dir).map_err(|error| error.to_string());
        let [upper, lower, at] = layers;
        let viewed = made.and_then(|()| overlay::view(&[upper, lower], &at).map_err(|error| with_causes(&error)));
        // What is left in the folder of temporary files harms nobody.
        let _removed = fs::remove_dir_all(&scratch);
        viewed
    });
    match tried {
        Ok(_) => Finding::good(WHAT, "work"),
        Err(why) => {
            Finding::missing(WHAT, why, "no container can be started: the kernel needs overlayfs (modprobe overlay)")
        }
    }
}

/// A new folder of our own.
fn scratch() -> io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("abide-doctor-{}", std::process::id()));
    fs::create_dir(&path)?;
    Ok(path)
}

fn filters() -> Finding {
    const WHAT: &str = "system call filters";
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    if actions.split_whitespace().any(|action| action == "errno") {
        return Finding::good(WHAT, "seccomp");
    }
    Finding::missing(
        WHAT,
        "no seccomp",
        "nothing is started without its filter: the kernel needs CONFIG_SECCOMP_FILTER",
    )
}

fn machines() -> Finding {
    const WHAT: &str = "virtual machines";
    const LOST: &str = "units of kind VirtualMachine wait; everything else works";
    match Kvm::new() {
        Ok(kvm) if kvm.get_api_version() == KVM_VERSION => Finding::good(WHAT, "/dev/kvm"),
        Ok(kvm) => Finding::lacking(WHAT, format!("/dev/kvm of version {}", kvm.get_api_version()), LOST),
        Err(error) => {
            let hint = "switch virtualisation on in the firmware (or nested virtualisation, in a machine), and load kvm_intel or kvm_amd";
            Finding::lacking(WHAT, format!("/dev/kvm: {error}"), format!("{LOST}: {hint}"))
        }
    }
}

fn keeper() -> Finding {
    match Keepers::origin() {
        Origin::Embedded => Finding::good("keeper", "embedded"),
        Origin::Itself => Finding::lacking(
            "keeper",
            "this binary itself",
            "each instance costs about half a MiB more: build with the musl target (rustup target add x86_64-unknown-linux-musl)",
        ),
    }
}
