use super::{Dependency, Port, Probe, Resources, RestartPolicy};
use crate::{id::Name, quantity::{Bytes, Span}};
use std::collections::BTreeMap;

/// `spec` of kind `Container`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, `oci:PATH[:REF]` or `docker-archive:PATH[:REF]`. A path is of the repository,
    /// or an absolute granted one.
    pub image: String,
    /// Replaces the image's entrypoint.
    pub command: Option<Vec<String>>,
    /// Replaces the image's arguments.
    pub args: Option<Vec<String>>,
    /// Added to the image's environment.
    pub env: BTreeMap<String, EnvValue>,
    /// `USER[:GROUP]`, by name or number; the image's unless said.
    pub user: Option<String>,
    /// Absolute; the image's unless said.
    pub working_dir: Option<String>,
    /// Whether the root file system is read-only; it isn't unless said.
    pub read_only_root: bool,
    /// What other units and the host may reach.
    pub ports: Vec<Port>,
    /// What is mounted.
    pub volumes: Vec<Mount>,
    /// What it may use.
    pub resources: Resources,
    /// When it can serve; at once unless said.
    pub readiness: Option<Probe>,
    /// When it must be killed.
    pub liveness: Option<Probe>,
    /// What happens when it exits; `Always` unless said.
    pub restart_policy: RestartPolicy,
    /// What must be there first.
    pub depends_on: Vec<Dependency>,
    /// How long it may take from the stop signal to the kill; 10s unless said.
    pub stop_grace_period: Span,
    /// What it may do beyond the default.
    pub security: Security,
    /// `host: true` shares the host's network (granted only).
    pub host_network: bool,
}

/// A value of the environment. Exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// `{value: TEXT}`
    Value(String),
    /// `{configMap: NAME, key: KEY}`
    ConfigMap {
        /// Of the same source.
        name: Name,
        /// In its data.
        key: String,
    },
    /// `{secret: NAME, key: KEY}`
    Secret {
        /// Of the same source.
        name: Name,
        /// In its data.
        key: String,
    },
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Where: an absolute path, not `/`, not below `/proc`, `/sys` or `/dev`.
    pub mount_path: String,
    /// Whether it can't be written; ConfigMaps and Secrets never can.
    pub read_only: bool,
}

/// What is mounted. Exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// `{volume: NAME}`: a `Volume` of form `Directory` of the same source.
    Volume(Name),
    /// `{configMap: NAME}`: a file a key.
    ConfigMap(Name),
    /// `{secret: NAME}`: a file a key, on a tmpfs.
    Secret(Name),
    /// `{tmpfs: SIZE}`: empty and gone with the instance.
    Tmpfs(Bytes),
    /// `{hostPath: PATH}`: granted only.
    HostPath(String),
}

/// What a container may do beyond, or less than, the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Capabilities added to the default set, as `NET_ADMIN` (granted only, as `privileged`).
    pub capabilities_add: Vec<String>,
    /// Capabilities taken from it; `ALL` takes every one.
    pub capabilities_drop: Vec<String>,
    /// Lets set-user-ID programs work; they don't unless said.
    pub allow_privilege_escalation: bool,
}
