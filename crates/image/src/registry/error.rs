//! What can go wrong with a registry.

use crate::verify::Mismatch;
use std::io;

/// Why a registry doesn't give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or it was lost.
    #[error("{registry} can't be reached: {why}")]
    Unreachable {
        /// The host.
        registry: String,
        /// What happened.
        why: String,
    },
    /// It hangs, or trickles.
    #[error("{registry} is too slow: less than {bytes_min} bytes came within {seconds} s")]
    Slow {
        /// The host.
        registry: String,
        /// What had to come at least.
        bytes_min: u64,
        /// For how long was waited.
        seconds: u64,
    },
    /// It wants other credentials, or some.
    #[error("{registry} refuses {what} (HTTP {status}): {hint}")]
    Denied {
        /// The host.
        registry: String,
        /// What was asked for.
        what: String,
        /// 401 or 403.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// It isn't there.
    #[error("{registry} has no {what}, or hides it without the right credentials")]
    Missing {
        /// The host.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// Another status.
    #[error("{registry} answers HTTP {status} for {what}")]
    Status {
        /// The host.
        registry: String,
        /// What was asked for.
        what: String,
        /// As answered.
        status: u16,
    },
    /// An answer that makes no sense.
    #[error("{registry} is no proper registry: {why}")]
    Odd {
        /// The host.
        registry: String,
        /// What is odd.
        why: String,
    },
    /// It wants the credentials to go elsewhere.
    #[error(
        "{registry} wants credentials sent to {realm:?}, which is not below its own domain over https; they were not sent"
    )]
    Realm {
        /// The host.
        registry: String,
        /// Where to.
        realm: String,
    },
    /// The bytes are others than announced.
    #[error("{registry} sends another {what} than was asked for")]
    Mismatch {
        /// The host.
        registry: String,
        /// What was asked for.
        what: String,
        /// How it differs.
        source: Mismatch,
    },
    /// The certificates to be trusted can't be read.
    #[error("cannot read the certificates to trust from {path}")]
    Authorities {
        /// The file.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl RegistryError {
    /// Whether the same request may succeed another time, without anybody changing the unit.
    pub fn can_retry(&self) -> bool {
        match self {
            // Somebody pushes what is missing, grants what is denied, or mends the server.
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Denied { .. } | Self::Missing { .. } => true,
            Self::Authorities { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Odd { .. } | Self::Realm { .. } | Self::Mismatch { .. } => false,
        }
    }
}
