//! What a document means: itself, with everything it refers to.

use crate::{
    id::{Digest, Kind, Name, UnitId},
    kind::{ContainerSpec, Dependency, Port, Probe, RestartPolicy, VirtualMachineSpec, VolumeSpec},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A checked document with everything it refers to: what a backend needs to bring it up, and nothing it has to look up.
///
/// It is recorded with what runs and read by later releases; who records it writes a version beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// Which unit it is.
    pub id: UnitId,
    /// `metadata.labels`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// What is wanted.
    pub spec: UnitSpec,
    /// Of the ConfigMaps that the spec names, the keys that it uses, or all if it mounts them.
    #[serde(default)]
    pub config_maps: BTreeMap<Name, BTreeMap<String, Data>>,
    /// The same of Secrets.
    #[serde(default)]
    pub secrets: BTreeMap<Name, BTreeMap<String, Data>>,
    /// The repository's files that the spec names, by the path as written: found in the store of files by digest.
    #[serde(default)]
    pub files: BTreeMap<String, FileRef>,
    /// Registries that are granted over plain http.
    #[serde(default)]
    pub insecure_registries: Vec<String>,
}

/// A unit's own spec, by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnitSpec {
    /// Kind `Container`.
    Container(Arc<ContainerSpec>),
    /// Kind `VirtualMachine`.
    VirtualMachine(Arc<VirtualMachineSpec>),
    /// Kind `Volume`.
    Volume(Arc<VolumeSpec>),
    /// Of any kind, and elsewhere: it is told one word. No document says this.
    Assignment(Arc<Assignment>),
    /// Kind `Machine`: one of a fleet, which is told a commit. No document says this.
    Machine(Arc<MachineTarget>),
}

/// What something elsewhere is told: an object of a cluster, its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The word.
    pub to: String,
}

/// What a machine of a fleet is to be on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineTarget {
    /// The commit, by its 40 hexadecimal digits.
    pub commit: String,
}

/// Bytes of a ConfigMap or Secret, in JSON as base64. `Debug` shows their number only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Data(pub Arc<[u8]>);

/// A file, or a folder of files, of the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// SHA-256 of its content; of a folder, of its [`Listing`] as JSON.
    pub digest: Digest,
    /// Bytes in all.
    pub size: u64,
}

/// What is in a folder: paths below it, and where the store of files has them.
pub type Listing = BTreeMap<String, ListedFile>;

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Whether it may be executed.
    pub executable: bool,
}

impl Unit {
    /// SHA-256 of the unit as today's code reads it. Equal digests mean that nothing differs.
    pub fn digest(&self) -> Digest {
        // Maps are sorted and fields in the order of the structs, so equal units have equal texts.
        Digest::of(&serde_json::to_vec(self).expect("a unit has only keys and values that JSON has"))
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        self.id.kind
    }

    /// What must be there before it.
    pub fn depends_on(&self) -> &[Dependency] {
        match &self.spec {
            UnitSpec::Container(spec) => &spec.depends_on,
            UnitSpec::VirtualMachine(spec) => &spec.depends_on,
            UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => &[],
        }
    }

    /// What the host publishes.
    pub fn ports(&self) -> &[Port] {
        match &self.spec {
            UnitSpec::Container(spec) => &spec.ports,
            UnitSpec::VirtualMachine(spec) => &spec.ports,
            UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => &[],
        }
    }

    /// When it can serve.
    pub fn readiness(&self) -> Option<&Probe> {
        match &self.spec {
            UnitSpec::Container(spec) => spec.readiness.as_ref(),
            UnitSpec::VirtualMachine(spec) => spec.readiness.as_ref(),
            UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => None,
        }
    }

    /// When it must be killed.
    pub fn liveness(&self) -> Option<&Probe> {
        match &self.spec {
            UnitSpec::Container(spec) => spec.liveness.as_ref(),
            UnitSpec::VirtualMachine(spec) => spec.liveness.as_ref(),
            UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => None,
        }
    }

    /// What happens when it exits.
    pub fn restart_policy(&self) -> RestartPolicy {
        match &self.spec {
            UnitSpec::Container(spec) => spec.restart_policy,
            UnitSpec::VirtualMachine(spec) => spec.restart_policy,
            UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => RestartPolicy::Always,
        }
    }

    /// The volumes that it uses, and whether it may write them.
    pub fn volumes(&self) -> Vec<(&Name, bool)> {
        match &self.spec {
            UnitSpec::Container(spec) => {
                spec.volumes.iter().filter_map(|mount| Some((mount.volume.as_ref()?, !mount.read_only))).collect()
            }
            UnitSpec::VirtualMachine(spec) => spec.disks.iter().map(|disk| (&disk.volume, !disk.read_only)).collect(),
            UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => Vec::new(),
        }
    }
}

impl UnitSpec {
    /// The kind of the documents that say it, if any do.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Container(_) => Some(Kind::Container),
            Self::VirtualMachine(_) => Some(Kind::VirtualMachine),
            Self::Volume(_) => Some(Kind::Volume),
            Self::Assignment(_) | Self::Machine(_) => None,
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl From<Data> for String {
    fn from(data: Data) -> Self {
        STANDARD.encode(&data.0)
    }
}

impl TryFrom<String> for Data {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        STANDARD.decode(text).map(|bytes| Self(bytes.into()))
    }
}
