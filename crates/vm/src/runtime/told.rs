//! What a VMM and its keeper are told, out of a unit and a place: no file is touched here.

use crate::{
    machine::DISKS_MAX,
    vmm::{Config, DiskConfig, FORMAT, NetConfig},
};
use abide_host::{
    cgroup::{Device, Limits},
    keeper::{Identity, Job, OpenFiles, Program},
    net::link::mac,
};
use abide_instance::Place;
use abide_reconcile::{Name, spec::kind::VirtualMachineSpec};
use std::path::{Path, PathBuf};

// What a document may say, a machine has room for.
const _: () = assert!(abide_reconcile::spec::limits::DISKS_MAX <= DISKS_MAX);

/// Unless said.
const MEMORY_BYTES: u64 = 256 << 20;
/// A guest's memory is made of pages.
const PAGE_BYTES: u64 = 4096;

/// What a VMM takes besides its guest's memory: itself, and the kernel's tables of that memory.
const OVERHEAD_BYTES: u64 = 32 << 20;
const TABLES_FRACTION: u64 = 64;

/// Besides those of vCPUs and disks: the devices' thread, and threads that KVM itself adds to the process.
const OTHER_THREADS: u64 = 8;

/// Where the keeper puts the tap device: the first after the standard streams.
const TAP: i32 = 3;

/// The VMM opens these, and no other: null, urandom, kvm (devices.txt of Linux; misc has major 10).
pub(super) const DEVICES: [Device; 3] = [Device::character(1, 3), Device::character(1, 9), Device::character(10, 232)];

/// CAP_DAC_OVERRIDE, for what a host's path names; CAP_SETPCAP and CAP_SYS_CHROOT, to give up everything.
const CAPABILITIES: u64 = 1 << 1 | 1 << 8 | 1 << 18;

/// Of a VMM, which has its tap as a descriptor and its sockets in a directory.
const NAMESPACES: libc::c_int = libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Three for each of the most disks, and three dozen.
const OPEN_FILES: u64 = 128;

/// The files that a machine is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) kernel: PathBuf,
    pub(super) initrd: Option<PathBuf>,
    /// In order, of each disk of the spec.
    pub(super) disks: Vec<PathBuf>,
}

pub(super) fn vcpus(spec: &VirtualMachineSpec) -> u8 {
    // Whole ones, 64 at most: the spec was checked.
    spec.resources.cpu.map_or(1, |cpu| u8::try_from(cpu.millis / 1000).unwrap_or(u8::MAX))
}

/// What doesn't fill a page is not there: `1000M` is no whole number of pages.
pub(super) fn memory(spec: &VirtualMachineSpec) -> u64 {
    spec.resources.memory.map_or(MEMORY_BYTES, |memory| memory.0 / PAGE_BYTES * PAGE_BYTES)
}

/// Processor time has no limit but the number of vCPUs: a limit would stop a vCPU that holds a lock for which the others
/// spin.
pub(super) fn limits(spec: &VirtualMachineSpec) -> Limits {
    let memory = memory(spec);
    Limits {
        cpu_millis: None,
        memory_bytes: Some(memory.saturating_add(OVERHEAD_BYTES + memory / TABLES_FRACTION)),
        pids: Some(u64::from(vcpus(spec)) + spec.disks.len() as u64 + OTHER_THREADS),
    }
}

/// What the VMM is told, but for its network where there is no place for it so far.
pub(super) fn config(spec: &VirtualMachineSpec, files: Files, name: &Name, place: Option<&Place>) -> Config {
    let address = place.and_then(|place| place.address);
    let disk =
        |(disk, path): (&abide_reconcile::spec::kind::Disk, PathBuf)| DiskConfig { path, read_only: disk.read_only };
    Config {
        format: FORMAT,
        memory: memory(spec),
        vcpus: vcpus(spec),
        kernel: files.kernel,
        initrd: files.initrd,
        cmdline: cmdline(&spec.boot.cmdline, name, place),
        disks: spec.disks.iter().zip(files.disks).map(disk).collect(),
        net: address.map(|address| NetConfig { tap: TAP, mac: mac(address) }),
    }
}

/// What the user wrote, and the address as Linux reads it (admin-guide/nfs/nfsroot.rst), unless the user wrote that. What
/// comes after `--` is the first process's.
fn cmdline(written: &str, name: &Name, place: Option<&Place>) -> String {
    let written = written.trim();
    let (kernel, of_init) = match written.find("-- ") {
        Some(at) if at == 0 || written[..at].ends_with(' ') => written.split_at(at),
        _ => (written, ""),
    };
    let is_said = kernel.split(' ').any(|word| word.starts_with("ip="));
    let address = place.and_then(|place| Some((place, place.address?))).filter(|_| !is_said);
    let address = address.map(|(place, address)| {
        let netmask = std::net::Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(place.prefix)).unwrap_or(0));
        format!("ip={address}::{}:{netmask}:{name}:eth0:off", place.gateway)
    });
    let parts = [kernel.trim_end(), address.as_deref().unwrap_or_default(), of_init];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// More disks than a machine has room for.
pub(super) fn has_too_many_disks(spec: &VirtualMachineSpec) -> bool {
    spec.disks.len() > DISKS_MAX
}

/// The VMM, as a keeper is to execute it. Control groups, log and directory are the caller's.
pub(super) fn job(program: &Path, directory: &Path) -> Job {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    Job {
        program: Program {
            args: vec![bytes(program), b"vmm".to_vec(), bytes(directory)].into(),
            env: Vec::new().into(),
            working_dir: "/".to_owned(),
        },
        identity: Identity { capabilities: CAPABILITIES, no_new_privileges: true, ..Identity::default() },
        namespaces: u64::from(NAMESPACES.cast_unsigned()),
        open_files: OpenFiles { soft: OPEN_FILES, hard: OPEN_FILES },
        // Nobody sends it: the power button is pressed over a socket.
        stop_signal: libc::SIGTERM,
        ..Job::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_reconcile::{InstanceId, Kind, Scope, UnitId};
    use std::net::Ipv4Addr;

    fn spec(text: serde_json::Value) -> VirtualMachineSpec {
        serde_json::from_value(text).unwrap()
    }

    fn place(prefix: u8) -> Place {
        let name = Name::new("db").unwrap();
        let unit = UnitId { scope: Scope::new("test").unwrap(), kind: Kind::VirtualMachine, name, index: 0 };
        Place {
            unit,
            instance: InstanceId { epoch: 1, n: 2 },
            dir: "/run/x".into(),
            address: Some(Ipv4Addr::new(10, 1, 16, 7)),
            gateway: Ipv4Addr::new(10, 1, 16, 1),
            prefix,
        }
    }

    #[test]
    fn the_address_is_added_to_the_command_line_unless_it_is_there() {
        let ip = "ip=10.1.16.7::10.1.16.1:255.255.240.0:db:eth0:off";
        let cases = [
            ("", ip.to_owned()),
            ("console=ttyS0 quiet", format!("console=ttyS0 quiet {ip}")),
            (" console=ttyS0  ", format!("console=ttyS0 {ip}")),
            ("console=ttyS0 ip=dhcp", "console=ttyS0 ip=dhcp".to_owned()),
            ("zip=1", format!("zip=1 {ip}")),
            ("quiet -- single ip=x", format!("quiet {ip} -- single ip=x")),
            ("-- single", format!("{ip} -- single")),
            ("a=b-- c", format!("a=b-- c {ip}")),
        ];
        let name = Name::new("db").unwrap();
        for (written, expected) in cases {
            assert_eq!(cmdline(written, &name, Some(&place(20))), expected);
        }
        assert_eq!(cmdline("quiet", &name, None), "quiet");
        let none = Place { address: None, ..place(20) };
        assert_eq!(cmdline("quiet", &name, Some(&none)), "quiet");
        for (prefix, netmask) in [(0, "0.0.0.0"), (8, "255.0.0.0"), (32, "255.255.255.255")] {
            assert!(cmdline("", &name, Some(&place(prefix))).contains(netmask));
        }
    }

    #[test]
    fn a_machine_is_what_the_spec_says() {
        let kernel = serde_json::json!({"file": "k"});
        let small = spec(serde_json::json!({"boot": {"kernel": kernel}}));
        assert_eq!((vcpus(&small), memory(&small)), (1, 256 << 20));
        let big = spec(serde_json::json!({
            "boot": {"kernel": kernel, "cmdline": "quiet"},
            "resources": {"cpu": "2", "memory": "1000M"},
            "disks": [{"volume": "a"}, {"volume": "b", "readOnly": true}],
        }));
        let files = Files { kernel: "/k".into(), initrd: None, disks: vec!["/a".into(), "/b".into()] };
        let made = config(&big, files, &Name::new("db").unwrap(), Some(&place(20)));
        assert_eq!((made.vcpus, made.memory), (2, 999_997_440));
        assert_eq!(made.disks.iter().map(|disk| disk.read_only).collect::<Vec<_>>(), [false, true]);
        assert_eq!(made.net, Some(NetConfig { tap: 3, mac: [2, 0x42, 10, 1, 16, 7] }));
        let limits = limits(&big);
        assert!(limits.memory_bytes.is_some_and(|bytes| bytes > made.memory + OVERHEAD_BYTES));
        assert_eq!((limits.cpu_millis, limits.pids), (None, Some(12)));
    }
}
