//! Quantities as Kubernetes writes them (an integer, or a string like `500m`, `256Mi`), and durations like `2s`.

use crate::{limits::SPAN_HOURS_MAX, words};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

/// An amount of bytes: `256Mi`, `1G`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Bytes(pub u64);

/// Processor time: `2`, `1500m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cpu {
    /// Thousandths of a core.
    pub millis: u64,
}

/// A span of time: `500ms`, `2s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Span(pub Duration);

/// Why a text is no quantity, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadQuantity(String);

const BINARY: [(&str, u64); 6] =
    [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40), ("Pi", 1 << 50), ("Ei", 1 << 60)];
const DECIMAL: [(&str, u64); 6] = [
    ("k", 1000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];
const SPANS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

impl BadQuantity {
    /// Says what to write: `exact`, which is the same, or how such quantities are written.
    fn of(quantity: words::Quantity, text: &str, exact: Option<String>) -> Self {
        Self(exact.map_or_else(|| quantity.no(text), |exact| quantity.instead_of(text, &exact)))
    }
}

impl FromStr for Bytes {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let (number, unit) = split(text);
        let factor = BINARY.iter().chain(&DECIMAL).find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let factor = if unit.is_empty() { Some(1) } else { factor };
        if let (Some((whole, part)), Some(factor)) = (number.split_once('.'), factor) {
            let exact = fraction(whole, part, factor).map(|bytes| Self(bytes).to_string());
            return Err(BadQuantity::of(words::BYTES, text, exact));
        }
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor?));
        // What a signed integer holds is what everybody else reads.
        let bytes = bytes.filter(|bytes| i64::try_from(*bytes).is_ok());
        bytes.map(Self).ok_or_else(|| BadQuantity::of(words::BYTES, text, None))
    }
}

impl FromStr for Cpu {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let (number, unit) = split(text);
        if let (Some((whole, part)), "") = (number.split_once('.'), unit) {
            let exact = fraction(whole, part, 1000).map(|millis| format!("{millis}m"));
            return Err(BadQuantity::of(words::CPU, text, exact));
        }
        let number = number.parse::<u64>().ok();
        let millis = match unit {
            "" => number.and_then(|cores| cores.checked_mul(1000)),
            "m" => number,
            _ => None,
        };
        let millis = millis.filter(|millis| *millis > 0);
        millis.map(|millis| Self { millis }).ok_or_else(|| BadQuantity::of(words::CPU, text, None))
    }
}

impl FromStr for Span {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let (number, unit) = split(text);
        let factor = SPANS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor?));
        let millis = millis.filter(|millis| *millis <= SPAN_HOURS_MAX * 3_600_000);
        let span = millis.map(|millis| Self(Duration::from_millis(millis)));
        span.ok_or_else(|| BadQuantity::of(words::SPAN, text, None))
    }
}

/// Where the number ends and the unit begins.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// `whole.part` times `factor`, where that is a whole number, and near enough to be a hint: a cluster's rules, which give the
/// same, have no room for more.
fn fraction(whole: &str, part: &str, factor: u64) -> Option<u64> {
    if whole.len() > 6 || part.len() > 6 || factor > 1 << 40 {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = part.parse::<u64>().ok()?.checked_mul(factor)?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    if part % scale == 0 { whole.checked_add(part / scale) } else { None }
}

/// The number with the largest unit that divides it.
fn written(f: &mut fmt::Formatter<'_>, number: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fitting = units.iter().rev().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    match fitting {
        Some((name, factor)) => write!(f, "{}{name}", number / factor),
        None => write!(f, "{number}"),
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        written(f, self.0, &BINARY)
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis.is_multiple_of(1000) {
            write!(f, "{}", self.millis / 1000)
        } else {
            write!(f, "{}m", self.millis)
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 { f.write_str("0s") } else { written(f, millis, &SPANS) }
    }
}

macro_rules! quantity {
    ($type:ident, $name:literal, $pattern:literal, $example:literal) => {
        impl From<$type> for String {
            fn from(quantity: $type) -> Self {
                quantity.to_string()
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadQuantity;

            fn try_from(text: String) -> Result<Self, BadQuantity> {
                text.parse()
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "integer"], "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

quantity!(Bytes, "Bytes", "^[0-9]+(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$", "256Mi");
quantity!(Cpu, "Cpu", "^[0-9]+m?$", "1500m");
quantity!(Span, "Span", "^[0-9]+(ms|s|m|h)$", "2s");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("1Ki", 1024), ("256Mi", 256 << 20), ("1G", 1_000_000_000)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_refused_says_what_to_write() {
        let cases = [
            ("1.5Gi".parse::<Bytes>().unwrap_err(), "\"1.5Gi\" is no amount of bytes: write 1536Mi"),
            (
                "256MB".parse::<Bytes>().unwrap_err(),
                "\"256MB\" is no amount of bytes: write a whole number with Ki, Mi, Gi, Ti or k, M, G, T, as 256Mi",
            ),
            (
                "99999999999Ei".parse::<Bytes>().unwrap_err(),
                "\"99999999999Ei\" is no amount of bytes: write a whole number with Ki, Mi, Gi, Ti or k, M, G, T, as 256Mi",
            ),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(
            "1.5".parse::<Cpu>().unwrap_err().to_string(),
            "\"1.5\" is no amount of processor time: write 1500m"
        );
        assert_eq!(
            "0".parse::<Cpu>().unwrap_err().to_string(),
            "\"0\" is no amount of processor time: write cores, as 2, or thousandths of one, as 1500m"
        );
        assert_eq!(
            "5".parse::<Span>().unwrap_err().to_string(),
            "\"5\" is no span of time: write a whole number with ms, s, m or h, as 2s or 1500ms"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(n in 0..=i64::MAX as u64, millis in 1_u64..1 << 40, span in 0_u64..366 * 24 * 3_600_000) {
            prop_assert_eq!(Bytes(n).to_string().parse(), Ok(Bytes(n)));
            prop_assert_eq!(Cpu { millis }.to_string().parse(), Ok(Cpu { millis }));
            let span = Span(Duration::from_millis(span));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn nothing_panics(text: String) {
            let _ = (text.parse::<Bytes>(), text.parse::<Cpu>(), text.parse::<Span>());
        }
    }
}
