use super::{Dependency, Port, Probe, Resources, RestartPolicy};
use crate::{id::Name, quantity::Span};

/// `spec` of kind `VirtualMachine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualMachineSpec {
    /// What it boots.
    pub boot: Boot,
    /// vCPUs and memory.
    pub resources: Resources,
    /// Disks, in order: `/dev/vda`, `/dev/vdb`, …
    pub disks: Vec<Disk>,
    /// What the host may reach.
    pub ports: Vec<Port>,
    /// When it can serve; at once unless said. `http` or `tcp`.
    pub readiness: Option<Probe>,
    /// When it must be killed. `http` or `tcp`.
    pub liveness: Option<Probe>,
    /// What happens when it ends; `Always` unless said.
    pub restart_policy: RestartPolicy,
    /// What must be there first.
    pub depends_on: Vec<Dependency>,
    /// How long it may take from the power button to the kill; 30s unless said.
    pub stop_grace_period: Span,
}

/// Direct kernel boot: an ELF with a PVH note, or a bzImage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The kernel.
    pub kernel: BootFile,
    /// The initial RAM disk.
    pub initrd: Option<BootFile>,
    /// The kernel's command line.
    pub cmdline: String,
}

/// Where a boot file is. Exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootFile {
    /// `{file: PATH}`: of the repository, 64 MiB at most.
    File(String),
    /// `{hostPath: PATH}`: granted only.
    HostPath(String),
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A `Volume` of form `Disk` of the same source.
    pub volume: Name,
    /// Whether the guest can't write it.
    pub read_only: bool,
}
