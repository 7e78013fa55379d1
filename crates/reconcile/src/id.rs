//! Names of what the core itself gives names to: orders, instances, sources.

use abide_spec::{Digest, Name};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Time since the machine booted (`CLOCK_BOOTTIME`). The driver owns the clock; the core is only ever told.
pub type Time = std::time::Duration;

/// Where wishes come from: a repository, a directory, a namespace, a hub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(pub Name);

/// The number of an order. `epoch` counts starts of the agent and is durable, so a number is never given twice, and an
/// order from before a crash is recognised as such when it lands late. Its text is `EPOCH-N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Ticket {
    /// Which start of the agent.
    pub epoch: u64,
    /// Which order since then.
    pub n: u64,
}

/// One incarnation of a unit: the ticket of the order that started it.
pub type InstanceId = Ticket;

/// What a person confirms: a short name of a [`crate::Permit`], in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(String);

impl PlanId {
    /// Of 48 bits: enough that nobody confirms one for the other, short enough to type.
    const DIGITS: usize = 12;

    /// The id of a plan with this canonical text.
    pub(crate) fn of(text: &str) -> Self {
        Self(Digest::of(text.as_bytes()).to_string().chars().take(Self::DIGITS).collect())
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is no ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no ticket: it is written EPOCH-N, as 3-17")]
pub struct BadTicket(pub String);

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.n)
    }
}

impl FromStr for Ticket {
    type Err = BadTicket;

    fn from_str(text: &str) -> Result<Self, BadTicket> {
        let parts = text.split_once('-').and_then(|(epoch, n)| Some((epoch.parse().ok()?, n.parse().ok()?)));
        let (epoch, n) = parts.ok_or_else(|| BadTicket(text.to_owned()))?;
        Ok(Self { epoch, n })
    }
}

impl From<Ticket> for String {
    fn from(ticket: Ticket) -> Self {
        ticket.to_string()
    }
}

impl TryFrom<String> for Ticket {
    type Error = BadTicket;

    fn try_from(text: String) -> Result<Self, BadTicket> {
        text.parse()
    }
}
