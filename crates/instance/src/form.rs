//! Records in JSON: each says the version of its form, and none is guessed at.

use serde::{Deserialize, de::DeserializeOwned};
use std::path::PathBuf;

/// Why a record can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It isn't what was written.
    #[error("{} can't be read: {remedy}", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It was written by a later release.
    #[error("{} was written by a later release (version {v}): run that one", path.display())]
    Later {
        /// The record.
        path: PathBuf,
        /// Of the record.
        v: u32,
    },
}

/// A kind of record.
pub(crate) struct Form {
    /// The one that this release writes.
    pub(crate) version: u32,
    /// What to do with one that is damaged.
    pub(crate) remedy: &'static str,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

impl Form {
    /// Reads the record that was found at `path`.
    pub(crate) fn read<T: DeserializeOwned>(&self, bytes: &[u8], path: PathBuf) -> Result<T, FormError> {
        let record = match serde_json::from_slice::<Version>(bytes) {
            Ok(Version { v }) if v > self.version => return Err(FormError::Later { path, v }),
            Ok(_) => serde_json::from_slice(bytes),
            Err(error) => Err(error),
        };
        record.map_err(|source| FormError::Damaged { path, remedy: self.remedy, source })
    }
}
