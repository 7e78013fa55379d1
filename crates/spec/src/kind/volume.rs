use crate::{
    decode::{Decode, Decoder, object},
    quantity::Bytes,
    yaml::Node,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Data that outlives what uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeSpec {
    /// What it is for; `Directory` unless said.
    #[serde(default)]
    pub form: VolumeForm,
    /// Of a disk, its size. May grow, never shrink.
    #[serde(default)]
    pub size: Option<Bytes>,
    /// What becomes of the data when the document goes; `Keep` unless said.
    #[serde(default)]
    pub reclaim: Reclaim,
}

object!(VolumeSpec { form "form" optional, size "size" optional, reclaim "reclaim" optional });

/// What a volume is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumeForm {
    /// For containers.
    #[default]
    Directory,
    /// For virtual machines: a raw, sparse file.
    Disk,
}

impl Decode for VolumeForm {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.word(node, &[("Directory", Self::Directory), ("Disk", Self::Disk)])
    }
}

/// What becomes of data when its document is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Reclaim {
    /// It stays, and is listed as orphaned.
    #[default]
    Keep,
    /// It is deleted, once the guard was told so.
    Delete,
}

impl Decode for Reclaim {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.word(node, &[("Keep", Self::Keep), ("Delete", Self::Delete)])
    }
}
