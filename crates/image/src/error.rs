//! Why an image isn't there.

use crate::{
    local::LocalError, login::LoginError, manifest::DocumentError, registry::RegistryError, unpack::UnpackError,
    verify::Mismatch,
};
use abide_host::fs;
use abide_spec::reference::BadReference;
use std::io;

/// Why an image can't be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Nobody wants it any more.
    #[error("cancelled")]
    Cancelled,
    /// What is written is no image.
    #[error(transparent)]
    Reference(#[from] BadReference),
    /// A file of the repository that the unit doesn't come with.
    #[error("the repository's file {0:?} isn't among those of the unit")]
    NotGiven(String),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The credentials of the registry.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The files.
    #[error("the image can't be read from its files")]
    Local(#[source] LocalError),
    /// The documents.
    #[error("the image can't be used")]
    Document(#[from] DocumentError),
    /// A layer that is not what the image's documents say.
    #[error("layer {number} is not what was announced")]
    Mismatch {
        /// Counted from the lowest, which is 1.
        number: usize,
        /// How it differs.
        source: Mismatch,
    },
    /// A layer.
    #[error("layer {number} can't be unpacked")]
    Unpack {
        /// Counted from the lowest, which is 1.
        number: usize,
        /// What is wrong.
        source: UnpackError,
    },
    /// A layer that can't be read.
    #[error("layer {number} can't be read")]
    Read {
        /// Counted from the lowest, which is 1.
        number: usize,
        /// What is wrong.
        source: io::Error,
    },
    /// The store.
    #[error("the store of images")]
    Store(#[from] StoreError),
}

/// What went wrong with the store of images on disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of it.
    #[error("a file of it can't be used")]
    File(#[from] fs::Error),
    /// Its lock.
    #[error("it can't be locked")]
    Lock(#[source] io::Error),
    /// Two layers of one short name: nobody has ever seen this by chance.
    #[error("its layer {0} is another one than wanted: remove one of the two images")]
    Collision(String),
}

impl PrepareError {
    /// Whether another try may succeed without a change of the unit: the network, the registry's content, a full disk.
    pub fn can_retry(&self) -> bool {
        match self {
            // A person mends the logins.
            Self::Cancelled | Self::Read { .. } | Self::Login(_) => true,
            Self::Registry(error) => error.can_retry(),
            // Files of this machine come and change.
            Self::Local(error) => matches!(error, LocalError::File(_) | LocalError::Read(_)),
            Self::Store(error) => !matches!(error, StoreError::Collision(_)),
            // A disk may be full; an entry may be impossible: the first is by far the more frequent.
            Self::Unpack { source, .. } => matches!(source, UnpackError::Make { .. }),
            Self::Reference(_) | Self::NotGiven(_) | Self::Document(_) | Self::Mismatch { .. } => false,
        }
    }
}
