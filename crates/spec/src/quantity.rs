//! Quantities as Kubernetes writes them (an integer, or a string like `500m`, `256Mi`), and durations like `2s`.

use std::time::Duration;

/// An amount of bytes: `256Mi`, `1G`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// Processor time in thousandths of a core: `2`, `1500m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu {
    /// Thousandths of a core.
    pub millis: u64,
}

/// A span of time: `500ms`, `2s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);
