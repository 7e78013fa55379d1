use super::{Dependency, Port, Probe, Resources, RestartPolicy};
use crate::{
    decode::{Decode, Decoder, object},
    id::Name,
    quantity::{Bytes, Span},
    yaml::Node,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A container: an image, and how it is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerSpec {
    /// `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, `oci:PATH` or `docker-archive:PATH`. A path is of the repository (a
    /// cluster has none), or an absolute granted one.
    pub image: String,
    /// Replaces the image's entrypoint.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Replaces the image's arguments.
    #[serde(default)]
    pub args: Option<Vec<String>>,
    /// Added to the image's environment.
    #[serde(default)]
    pub env: BTreeMap<String, EnvValue>,
    /// `USER[:GROUP]`, by name or number; the image's unless said.
    #[serde(default)]
    pub user: Option<String>,
    /// Absolute; the image's unless said.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// Whether the root file system is read-only; it isn't unless said.
    #[serde(default)]
    pub read_only_root: bool,
    /// What the host publishes.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// What is mounted.
    #[serde(default)]
    pub volumes: Vec<Mount>,
    /// What it may use.
    #[serde(default)]
    pub resources: Resources,
    /// When it can serve; at once unless said.
    #[serde(default)]
    pub readiness: Option<Probe>,
    /// When it must be killed.
    #[serde(default)]
    pub liveness: Option<Probe>,
    /// What happens when it exits; `Always` unless said.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// What must be there first.
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
    /// How long it may take from the stop signal to the kill; 10s unless said.
    #[serde(default = "stop_grace_period")]
    pub stop_grace_period: Span,
    /// What it may do beyond, or less than, the default.
    #[serde(default)]
    pub security: Security,
    /// Whether it shares the host's network (granted only).
    #[serde(default)]
    pub host_network: bool,
}

object!(ContainerSpec {
    image "image" required,
    command "command" optional,
    args "args" optional,
    env "env" optional,
    user "user" optional,
    working_dir "workingDir" optional,
    read_only_root "readOnlyRoot" optional,
    ports "ports" optional,
    volumes "volumes" optional,
    resources "resources" optional,
    readiness "readiness" optional,
    liveness "liveness" optional,
    restart_policy "restartPolicy" optional,
    depends_on "dependsOn" optional,
    stop_grace_period "stopGracePeriod" or(stop_grace_period()),
    security "security" optional,
    host_network "hostNetwork" optional,
});

fn stop_grace_period() -> Span {
    Span(Duration::from_secs(10))
}

/// A value of the environment. Exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum EnvValue {
    /// The value itself.
    Value {
        /// As it is.
        value: String,
    },
    /// A key of a ConfigMap.
    ConfigMap {
        /// Of the same source or namespace.
        config_map: Name,
        /// In its data.
        key: String,
    },
    /// A key of a Secret.
    Secret {
        /// Of the same source or namespace.
        secret: Name,
        /// In its data.
        key: String,
    },
}

impl Decode for EnvValue {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        match to.one_of(node, &["value", "configMap", "secret"])? {
            "value" => to.object(node, &["value"])?.required("value", to).map(|value| Self::Value { value }),
            "configMap" => {
                let object = to.object(node, &["configMap", "key"])?;
                let (config_map, key) = (object.required("configMap", to), object.required("key", to));
                Some(Self::ConfigMap { config_map: config_map?, key: key? })
            }
            _ => {
                let object = to.object(node, &["secret", "key"])?;
                let (secret, key) = (object.required("secret", to), object.required("key", to));
                Some(Self::Secret { secret: secret?, key: key? })
            }
        }
    }
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// A `Volume` of form `Directory` of the same source or namespace. Exactly one of `volume`, `configMap`, `secret`,
    /// `tmpfs` and `hostPath`.
    #[serde(default)]
    pub volume: Option<Name>,
    /// A ConfigMap of the same source or namespace: a file a key.
    #[serde(default)]
    pub config_map: Option<Name>,
    /// A Secret of the same source or namespace: a file a key, on a tmpfs.
    #[serde(default)]
    pub secret: Option<Name>,
    /// An empty file system of this size in memory, gone with the instance.
    #[serde(default)]
    pub tmpfs: Option<Bytes>,
    /// A folder or file of the host (granted only).
    #[serde(default)]
    pub host_path: Option<String>,
    /// Where: an absolute path, not `/`, and not below `/proc`, `/sys` or `/dev`.
    pub mount_path: String,
    /// Whether it can't be written; ConfigMaps and Secrets never can.
    #[serde(default)]
    pub read_only: bool,
}

object!(Mount {
    volume "volume" optional,
    config_map "configMap" optional,
    secret "secret" optional,
    tmpfs "tmpfs" optional,
    host_path "hostPath" optional,
    mount_path "mountPath" required,
    read_only "readOnly" optional,
});

/// What a [`Mount`] mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountSource<'a> {
    /// `volume`
    Volume(&'a Name),
    /// `configMap`
    ConfigMap(&'a Name),
    /// `secret`
    Secret(&'a Name),
    /// `tmpfs`
    Tmpfs(Bytes),
    /// `hostPath`
    HostPath(&'a str),
}

impl Mount {
    /// What is mounted; `None` unless exactly one is written, which no checked document has.
    pub fn source(&self) -> Option<MountSource<'_>> {
        let all = [
            self.volume.as_ref().map(MountSource::Volume),
            self.config_map.as_ref().map(MountSource::ConfigMap),
            self.secret.as_ref().map(MountSource::Secret),
            self.tmpfs.map(MountSource::Tmpfs),
            self.host_path.as_deref().map(MountSource::HostPath),
        ];
        let mut written = all.into_iter().flatten();
        written.next().filter(|_| written.next().is_none())
    }
}

/// What a container may do beyond, or less than, the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Security {
    /// Capabilities added to the default set, as `NET_ADMIN` (granted only, as `privileged`).
    #[serde(default)]
    pub capabilities_add: Vec<String>,
    /// Capabilities taken from it; `ALL` takes every one.
    #[serde(default)]
    pub capabilities_drop: Vec<String>,
    /// Lets set-user-ID programs work; they don't unless said.
    #[serde(default)]
    pub allow_privilege_escalation: bool,
}

object!(Security {
    capabilities_add "capabilitiesAdd" optional,
    capabilities_drop "capabilitiesDrop" optional,
    allow_privilege_escalation "allowPrivilegeEscalation" optional,
});
