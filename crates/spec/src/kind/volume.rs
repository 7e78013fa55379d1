use crate::quantity::Bytes;

/// `spec` of kind `Volume`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// What it is for.
    pub form: VolumeForm,
    /// Of a disk, its size. May grow, never shrink.
    pub size: Option<Bytes>,
    /// What becomes of the data when the document goes.
    pub reclaim: Reclaim,
}

/// What a volume is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VolumeForm {
    /// For containers.
    #[default]
    Directory,
    /// For virtual machines: a raw, sparse file.
    Disk,
}

/// What becomes of data when its document is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Reclaim {
    /// It stays, and is listed as orphaned.
    #[default]
    Keep,
    /// It is deleted, once the guard was told so.
    Delete,
}
