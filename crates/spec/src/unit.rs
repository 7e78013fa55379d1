//! What a document means: itself, with everything it refers to.

use crate::{
    id::{Digest, UnitId},
    kind::{ContainerSpec, VirtualMachineSpec, VolumeSpec},
};
use std::{collections::BTreeMap, sync::Arc};

/// A checked document with everything it refers to: what a backend needs to bring it up, and nothing it has to look up.
///
/// It is recorded with what runs, so its serialized form carries a version (`format`), and is read by later releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Which unit it is.
    pub id: UnitId,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// What is wanted.
    pub spec: UnitSpec,
    /// The ConfigMaps and Secrets that the spec names: those keys alone that it uses, or all if it mounts them.
    pub data: BTreeMap<DataRef, BTreeMap<String, Data>>,
    /// The repository's files that the spec names, by the path as written: found in the store of files by digest.
    pub files: BTreeMap<String, FileRef>,
    /// Registries among those the spec names that are granted over plain http.
    pub insecure_registries: Vec<String>,
}

/// A unit's own spec, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitSpec {
    /// Kind `Container`.
    Container(Arc<ContainerSpec>),
    /// Kind `VirtualMachine`.
    VirtualMachine(Arc<VirtualMachineSpec>),
    /// Kind `Volume`.
    Volume(Arc<VolumeSpec>),
}

/// A ConfigMap or a Secret, as a unit names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataRef {
    /// `v1` `ConfigMap`.
    ConfigMap(crate::id::Name),
    /// `v1` `Secret`.
    Secret(crate::id::Name),
}

/// Bytes of a ConfigMap or Secret. `Debug` shows their number only.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(pub Arc<[u8]>);

/// A file, or a folder of files, of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// SHA-256 of its content; of a folder, of its listing.
    pub digest: Digest,
    /// Bytes in all.
    pub size: u64,
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
