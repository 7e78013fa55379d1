//! Kind `Rollout`: how a commit gets to machines.

use super::{Labels, has_all};
use crate::{
    decode::{Decode, Decoder, object},
    id::Name,
    quantity::Span,
    words,
    yaml::{Node, Value},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    str::FromStr,
    time::Duration,
};

/// How a commit gets to some machines: who comes first, who next, and when to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// Labels on the hub that a machine must have; all machines unless said. A machine is in the first Rollout that
    /// selects it.
    #[serde(default)]
    pub selector: Labels,
    /// Who comes first, and who next. Who is in none is the last wave.
    #[serde(default)]
    pub waves: Vec<WaveSpec>,
    /// How many may be unavailable at once because they change; 25% unless said, and one in any case.
    #[serde(default)]
    pub max_unavailable: CountOrShare,
    /// For how long the machines of a wave must be ready before the next one begins; 10m unless said.
    #[serde(default = "soak")]
    pub soak: Span,
    /// A machine in reach that isn't well so long after it was told a commit has a bad one; 10m unless said. It may have
    /// images to bring over a slow link first.
    #[serde(default = "progress_deadline")]
    pub progress_deadline: Span,
    /// So many machines of a wave may fail before everything stops and goes back; 0 unless said.
    #[serde(default)]
    pub failures_max: u32,
    /// Nobody takes a new commit for the time being.
    #[serde(default)]
    pub paused: bool,
}

object!(RolloutSpec {
    selector "selector" optional,
    waves "waves" optional,
    max_unavailable "maxUnavailable" optional,
    soak "soak" or(soak()),
    progress_deadline "progressDeadline" or(progress_deadline()),
    failures_max "failuresMax" optional,
    paused "paused" optional,
});

fn soak() -> Span {
    Span(Duration::from_secs(600))
}

fn progress_deadline() -> Span {
    Span(Duration::from_secs(600))
}

/// Machines that get a commit at the same stage, of those that no earlier wave has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WaveSpec {
    /// So many of them, by name.
    Count(NonZeroU32),
    /// Such a share of them, by name, rounded up.
    Share(Percent),
    /// Those that have these labels on the hub.
    Labels(Labels),
}

const WAVES: [&str; 3] = ["count", "share", "labels"];

impl Decode for WaveSpec {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        let object = to.object(node, &WAVES)?;
        let way = to.one_of(node, &WAVES)?;
        match way {
            "count" => object.required(way, to).map(Self::Count),
            "share" => object.required(way, to).map(Self::Share),
            _ => object.required(way, to).map(Self::Labels),
        }
    }
}

impl Decode for NonZeroU32 {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.number(node, "a whole number, at least 1")
    }
}

/// A share, 1% to 100%.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Percent(u8);

/// Why a text is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no share: write a whole number from 1% to 100%, as 25%")]
pub struct BadPercent(String);

impl Percent {
    fn of(self, count: usize) -> usize {
        count.saturating_mul(usize::from(self.0)) / 100
    }

    fn of_rounded_up(self, count: usize) -> usize {
        count.saturating_mul(usize::from(self.0)).div_ceil(100)
    }
}

impl FromStr for Percent {
    type Err = BadPercent;

    fn from_str(text: &str) -> Result<Self, BadPercent> {
        let number = text.strip_suffix('%').filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let percent = number.and_then(|number| number.parse().ok()).filter(|percent| (1..=100).contains(percent));
        percent.map(Self).ok_or_else(|| BadPercent(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

impl TryFrom<String> for Percent {
    type Error = BadPercent;

    fn try_from(text: String) -> Result<Self, BadPercent> {
        text.parse()
    }
}

impl Decode for Percent {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.parse(node, "a share, as 25%")
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([1-9][0-9]?|100)%$", "examples": ["25%"] })
    }
}

/// So many, or a share of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CountOrShare {
    /// So many.
    Count(NonZeroU32),
    /// A share of all, rounded down.
    Share(Percent),
}

impl Default for CountOrShare {
    fn default() -> Self {
        Self::Share(Percent(25))
    }
}

impl Decode for CountOrShare {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Scalar(text) if text == "0" => {
                to.mistake(node.place, words::AT_LEAST_ONE);
                None
            }
            Value::Scalar(text) if text.ends_with('%') => Percent::decode(node, to).map(Self::Share),
            _ => to.number(node, "a whole number or a share, as 3 or 25%").map(Self::Count),
        }
    }
}

impl Default for RolloutSpec {
    /// How machines change that no Rollout selects: in one wave.
    fn default() -> Self {
        Self {
            selector: Labels::new(),
            waves: Vec::new(),
            max_unavailable: CountOrShare::default(),
            soak: soak(),
            progress_deadline: progress_deadline(),
            failures_max: 0,
            paused: false,
        }
    }
}

impl RolloutSpec {
    /// Whether it would have a machine with these labels on the hub.
    pub fn selects(&self, labels: &Labels) -> bool {
        has_all(labels, &self.selector)
    }

    /// How many of its machines may be unavailable at once.
    pub fn unavailable_max(&self, of: usize) -> NonZeroUsize {
        let count = match self.max_unavailable {
            CountOrShare::Count(count) => usize::try_from(count.get()).unwrap_or(usize::MAX),
            CountOrShare::Share(share) => share.of(of),
        };
        NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
    }

    /// Its machines by wave: one set for each that is written, also an empty one, and one of those that are left over, if
    /// there are any.
    pub fn waves(&self, machines: &BTreeMap<Name, Labels>) -> Vec<BTreeSet<Name>> {
        let mut left: BTreeMap<&Name, &Labels> = machines.iter().collect();
        let mut waves = Vec::new();
        for wave in &self.waves {
            let members: BTreeSet<Name> = match wave {
                WaveSpec::Count(count) => first(&left, usize::try_from(count.get()).unwrap_or(usize::MAX)),
                WaveSpec::Share(share) => first(&left, share.of_rounded_up(left.len())),
                WaveSpec::Labels(wanted) => {
                    let named = left.iter().filter(|(_, labels)| has_all(labels, wanted));
                    named.map(|(name, _)| (*name).clone()).collect()
                }
            };
            left.retain(|name, _| !members.contains(*name));
            waves.push(members);
        }
        if !left.is_empty() {
            waves.push(left.into_keys().cloned().collect());
        }
        waves
    }
}

fn first(machines: &BTreeMap<&Name, &Labels>, count: usize) -> BTreeSet<Name> {
    machines.keys().take(count).map(|name| (*name).clone()).collect()
}
