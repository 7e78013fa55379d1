//! A figure: what was measured, and what is to be reached.

use crate::measure::Spread;
use std::fmt;

/// One line of a row.
#[derive(Debug)]
pub(crate) struct Figure {
    /// What was measured, as "10,000 units: bring-up".
    pub(crate) what: String,
    /// In what.
    pub(crate) unit: Unit,
    /// What it was.
    pub(crate) spread: Spread,
    /// What is to be reached, if anything.
    pub(crate) goals: Vec<Goal>,
}

/// In what a figure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Of time; samples are in seconds.
    Milliseconds,
    /// The same, of what is short.
    Microseconds,
    /// Of memory; samples are in bytes.
    Mebibytes,
    /// The same, of what is small.
    Kibibytes,
    /// Of what is sent, by thousands as lines are sold; samples are in bytes.
    Kilobytes,
    /// That many.
    Packets,
    /// Of one core.
    PercentOfCore,
    /// Ours in parts of the peer's.
    Times,
}

/// At most so much, of one number of the spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// Of which.
    pub(crate) of: Statistic,
    /// In the figure's unit.
    pub(crate) at_most: f64,
}

/// A number of a spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistic {
    Median,
    Percentile99,
    Maximum,
}

impl Figure {
    /// A figure without a goal.
    pub(crate) fn new(what: impl Into<String>, unit: Unit, spread: Spread) -> Self {
        Self { what: what.into(), unit, spread, goals: Vec::new() }
    }

    /// Sets what is to be reached.
    pub(crate) fn at_most(mut self, of: Statistic, at_most: f64) -> Self {
        self.goals.push(Goal { of, at_most });
        self
    }

    /// Whether this goal of it is reached.
    pub(crate) fn reaches(&self, goal: &Goal) -> bool {
        let value = match goal.of {
            Statistic::Median => self.spread.median,
            Statistic::Percentile99 => self.spread.percentile_99,
            Statistic::Maximum => self.spread.maximum,
        };
        self.unit.told(value) <= goal.at_most
    }
}

impl Unit {
    /// A sample in the unit.
    pub(crate) fn told(self, sample: f64) -> f64 {
        match self {
            Self::Milliseconds => sample * 1e3,
            Self::Microseconds => sample * 1e6,
            Self::Kibibytes => sample / 1024.0,
            Self::Mebibytes => sample / f64::from(1 << 20),
            Self::PercentOfCore => sample * 1e2,
            Self::Kilobytes => sample / 1e3,
            Self::Packets | Self::Times => sample,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Kibibytes => "KiB",
            Self::Mebibytes => "MiB",
            Self::Kilobytes => "kB",
            Self::Packets => "packets",
            Self::PercentOfCore => "% of a core",
            Self::Times => "×",
        })
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Median => "median",
            Self::Percentile99 => "p99",
            Self::Maximum => "max",
        })
    }
}
