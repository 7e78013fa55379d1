//! How long certificates of the day are good.

use abide_spec::quantity::Span;
use std::{fmt, str::FromStr, time::Duration};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a machine's certificate is good. It is renewed after two thirds of that; the hub's own lasts three times as
/// long, and is renewed when as much as a machine's is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(Duration);

/// Why certificates can't be good for so long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLifetime {
    /// It is no time.
    #[error("{0}")]
    Form(String),
    /// Too short or too long.
    #[error("a certificate is good for at least {} and at most {}", Span(Lifetime::MIN), Span(Lifetime::MAX))]
    Bounds,
}

impl Lifetime {
    /// Long enough to be renewed in time by whoever is there; for trying out what happens.
    pub const MIN: Duration = Duration::from_secs(10);

    /// The hub's own lasts three times as long, which is well within what the issuing key's does.
    pub const MAX: Duration = Duration::from_secs(90 * DAY.as_secs());

    /// Of so long.
    pub fn new(machine: Duration) -> Result<Self, BadLifetime> {
        if (Self::MIN..=Self::MAX).contains(&machine) { Ok(Self(machine)) } else { Err(BadLifetime::Bounds) }
    }

    /// Of a machine's certificate.
    pub fn machine(self) -> Duration {
        self.0
    }

    /// Of the hub's own.
    pub fn server(self) -> Duration {
        self.0 * 3
    }

    /// The hub's own is renewed when less than this is left of it.
    pub(super) fn server_left(self) -> Duration {
        self.0
    }
}

/// A machine may be away for a month.
impl Default for Lifetime {
    fn default() -> Self {
        Self(30 * DAY)
    }
}

impl FromStr for Lifetime {
    type Err = BadLifetime;

    fn from_str(text: &str) -> Result<Self, BadLifetime> {
        let Span(machine) = text.parse().map_err(|error| BadLifetime::Form(format!("{error}")))?;
        Self::new(machine)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one() {
        for (text, seconds) in [("10s", 10), ("1h", 3600), ("2160h", 90 * 86400)] {
            assert_eq!(text.parse::<Lifetime>().unwrap().machine().as_secs(), seconds, "{text}");
        }
        for text in ["9s", "2161h", "0s", "soon"] {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
        assert_eq!(Lifetime::default().to_string(), "720h");
    }
}
