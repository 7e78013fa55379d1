//! What keeps a machine from its hub, in words.

pub(super) use abide_reconcile::with_causes;

use crate::protocol::{FrameError, Refusal, RefusalCode};
use std::{io, time::Duration};

/// Why a request has no answer, or another than was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Name service.
    #[error("the name {0} can't be resolved")]
    Name(String, #[source] io::Error),
    /// Nobody listens, or nothing gets there.
    #[error("could not connect to {0}")]
    Connect(String, #[source] io::Error),
    /// The proxy of the environment.
    #[error("the proxy {proxy}, which `https_proxy` names, {why}")]
    Proxy {
        /// Which.
        proxy: String,
        /// What it does.
        why: String,
    },
    /// Who answers isn't believed, or doesn't believe us.
    #[error("the TLS handshake with {0} failed: {1}")]
    Handshake(String, String),
    /// Too slow.
    #[error("{what} took longer than {} s", after.as_secs())]
    Slow {
        /// What.
        what: &'static str,
        /// As long as it may take.
        after: Duration,
    },
    /// Cut on the way.
    #[error("the connection was lost")]
    Lost(#[source] hyper::Error),
    /// Who answers is no hub, as a proxy whose hub is away.
    #[error("the answer is no hub's: status {status}")]
    NoHub {
        /// The answer's.
        status: u16,
        /// When to come again.
        after: Option<Duration>,
    },
    /// The hub says no.
    #[error("{}", .0.message)]
    Refused(Refusal, Option<Duration>),
    /// Too much.
    #[error("the answer has more than {0} bytes")]
    TooBig(usize),
    /// An answer that says nothing.
    #[error("the answer can't be read")]
    Answer(#[from] serde_json::Error),
    /// Objects that are none.
    #[error("the answer can't be read")]
    Frames(#[from] FrameError),
}

impl Trouble {
    /// Whether somebody on the way may have cut a request for being idle.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Slow { .. } => true,
            Self::NoHub { status, .. } => matches!(status, 408 | 502 | 504),
            _ => false,
        }
    }

    /// When the hub says that one may come again.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Refused(_, after) | Self::NoHub { after, .. } => *after,
            _ => None,
        }
    }

    /// Whether only a person can change it.
    pub(super) fn is_outside(&self) -> bool {
        use RefusalCode::{Cloned, Protocol, Revoked, Unknown};
        matches!(self, Self::Refused(Refusal { code: Unknown | Revoked | Cloned | Protocol, .. }, _))
    }
}
