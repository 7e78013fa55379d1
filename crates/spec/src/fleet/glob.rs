//! Names with `*` in them.

use crate::{
    decode::{Decode, Decoder},
    id::Name,
    yaml::Node,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// Names of machines: one that is written out, or a pattern, in which `*` stands for any text, also none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Glob(String);

/// Why a text is no pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of machines: use 1 to 63 of a-z, 0-9 and -, and * for any text, as till-*")]
pub struct BadGlob(String);

impl Glob {
    /// Whether a machine of this name is meant.
    pub fn matches(&self, name: &Name) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.as_str().strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // The first place that fits leaves the most for what comes after.
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// The one name that is meant, if it is written out.
    pub fn name(&self) -> Option<Name> {
        Name::new(&self.0).ok()
    }

    /// A name that is meant: what the pattern says about it, it says about all.
    pub fn example(&self) -> Option<Name> {
        ["", "x"].iter().find_map(|any| Name::new(&self.0.replace('*', any)).ok())
    }
}

impl FromStr for Glob {
    type Err = BadGlob;

    fn from_str(text: &str) -> Result<Self, BadGlob> {
        let is_right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'*');
        let glob = Self(text.to_owned());
        // What no name can be like is a mistake, not a rule about nobody.
        let is_glob = (1..=63).contains(&text.len()) && text.bytes().all(is_right) && glob.example().is_some();
        if is_glob { Ok(glob) } else { Err(BadGlob(text.chars().take(80).collect())) }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0
    }
}

impl TryFrom<String> for Glob {
    type Error = BadGlob;

    fn try_from(text: String) -> Result<Self, BadGlob> {
        text.parse()
    }
}

impl Decode for Glob {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.parse(node, "a name, or one with * in it")
    }
}

impl JsonSchema for Glob {
    fn schema_name() -> Cow<'static, str> {
        "Glob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9*]([a-z0-9*-]*[a-z0-9*])?$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_stand_for_any_text() {
        let cases = [
            ("*", "till-1", true),
            ("till-1", "till-1", true),
            ("till-1", "till-10", false),
            ("till-*", "till-1", true),
            ("till-*", "tills-1", false),
            ("*-1", "till-1", true),
            ("*-1", "1", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abbcc", true),
            ("a*bc*c", "abc", false),
            ("**", "x", true),
        ];
        for (glob, name, matches) in cases {
            assert_eq!(glob.parse::<Glob>().unwrap().matches(&Name::new(name).unwrap()), matches, "{glob} {name}");
        }
        for bad in ["", "Till-*", "a b", "till-?", "-a", "*-", "-*-", &"a".repeat(64)] {
            let parsed = bad.parse::<Glob>();
            assert!(parsed.is_err() || parsed.unwrap().example().is_some(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_like_what_was_cut_out_of_it(name in "[a-z0-9][a-z0-9-]{0,20}[a-z0-9]", from in 0_usize..22, to in 0_usize..22) {
            let (from, to) = (from.min(name.len()), to.min(name.len()));
            let glob = format!("{}*{}", &name[..from.min(to)], &name[from.max(to)..]);
            let glob: Glob = glob.parse().unwrap();
            prop_assert!(glob.matches(&Name::new(&name).unwrap()));
            prop_assert!(glob.matches(&glob.example().unwrap()));
        }

        #[test]
        fn nothing_panics(text: String) {
            let _ = text.parse::<Glob>();
        }
    }
}
