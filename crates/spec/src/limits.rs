//! What may be written at most, and the words that may be written where a text isn't free.
//!
//! Lists and maps have bounds that nothing real comes near: an API server keeps rules only about what is bounded.

/// Ports of a unit.
pub const PORTS_MAX: usize = 256;
/// What is mounted into a container.
pub const MOUNTS_MAX: usize = 128;
/// Variables of a container's environment.
pub const VARIABLES_MAX: usize = 1024;
/// Disks of a virtual machine: what its one bus has room for.
pub const DISKS_MAX: usize = 15;
/// What a unit waits for.
pub const DEPENDENCIES_MAX: usize = 256;
/// More vCPUs than this no machine of ours has.
pub const VCPUS_MAX: u64 = 64;
/// Less memory than this boots nothing.
pub const MACHINE_MEMORY_MIN: u64 = 16 << 20;
/// The block that disks are made of, in bytes.
pub const SECTOR: u64 = 512;
/// Longer than a year is a mistake, and keeps sums of times far from overflow.
pub const SPAN_HOURS_MAX: u64 = 366 * 24;
/// Where nothing may be mounted: what is there belongs to the kernel.
pub const KERNEL_PATHS: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Linux takes 2047 on x86; the address that is added needs some of them.
pub const CMDLINE_BYTES_MAX: usize = 1900;
/// What any capability is called (capabilities(7)).
pub const CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];
