use super::{Dependency, Port, Probe, Resources, RestartPolicy};
use crate::{decode::object, id::Name, quantity::Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A virtual machine: what it boots, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualMachineSpec {
    /// What it boots.
    pub boot: Boot,
    /// vCPUs and memory.
    #[serde(default)]
    pub resources: Resources,
    /// Disks, in order: `/dev/vda`, `/dev/vdb`, …
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// What the host publishes.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// When it can serve; at once unless said. `http` or `tcp`.
    #[serde(default)]
    pub readiness: Option<Probe>,
    /// When it must be killed. `http` or `tcp`.
    #[serde(default)]
    pub liveness: Option<Probe>,
    /// What happens when it ends; `Always` unless said.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// What must be there first.
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
    /// How long it may take from the power button to the kill; 30s unless said.
    #[serde(default = "stop_grace_period")]
    pub stop_grace_period: Span,
}

object!(VirtualMachineSpec {
    boot "boot" required,
    resources "resources" optional,
    disks "disks" optional,
    ports "ports" optional,
    readiness "readiness" optional,
    liveness "liveness" optional,
    restart_policy "restartPolicy" optional,
    depends_on "dependsOn" optional,
    stop_grace_period "stopGracePeriod" or(stop_grace_period()),
});

fn stop_grace_period() -> Span {
    Span(Duration::from_secs(30))
}

/// Direct kernel boot: an ELF with a PVH note, or a bzImage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Boot {
    /// The kernel.
    pub kernel: BootFile,
    /// The initial RAM disk.
    #[serde(default)]
    pub initrd: Option<BootFile>,
    /// The kernel's command line.
    #[serde(default)]
    pub cmdline: String,
}

object!(Boot { kernel "kernel" required, initrd "initrd" optional, cmdline "cmdline" optional });

/// Where a boot file is. Exactly one of `file` and `hostPath`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootFile {
    /// A file of the repository, 64 MiB at most. A cluster has none.
    #[serde(default)]
    pub file: Option<String>,
    /// A file of the host (granted only).
    #[serde(default)]
    pub host_path: Option<String>,
}

object!(BootFile { file "file" optional, host_path "hostPath" optional });

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Disk {
    /// A `Volume` of form `Disk` of the same source or namespace.
    pub volume: Name,
    /// Whether the guest can't write it.
    #[serde(default)]
    pub read_only: bool,
}

object!(Disk { volume "volume" required, read_only "readOnly" optional });
