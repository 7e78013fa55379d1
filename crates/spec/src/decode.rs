//! From nodes to values, with every mistake and its place: where serde stops at the first, this goes on.

use crate::{
    diagnostic::{Diagnostic, Place, suggest},
    id::{Kind, Name, NodeName, UnitRef},
    quantity::{Bytes, Cpu, Span},
    words,
    yaml::{File, Node, Value},
};
use std::{collections::BTreeMap, fmt::Display, str::FromStr};

/// A type that may be written. `None` says that a mistake was reported.
pub(crate) trait Decode: Sized {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self>;
}

/// Where mistakes go.
pub(crate) struct Decoder<'a> {
    pub(crate) file: &'a File,
    pub(crate) mistakes: &'a mut Vec<Diagnostic>,
    /// Whether lines may hold secrets, and must not be shown.
    pub(crate) is_secret: bool,
}

/// A map whose keys are all known.
pub(crate) struct Object<'n> {
    node: &'n Node,
}

impl Decoder<'_> {
    pub(crate) fn mistake(&mut self, place: Place, message: impl Into<String>) {
        let mut mistake = self.file.diagnostic(place, message);
        if self.is_secret {
            mistake.text.clear();
        }
        self.mistakes.push(mistake);
    }

    /// The fields of an object; an unknown one is a mistake, but no reason not to read the others.
    pub(crate) fn object<'n>(&mut self, node: &'n Node, known: &[&str]) -> Option<Object<'n>> {
        let Value::Map(entries) = &node.value else {
            self.mistake(
                node.place,
                format!("expected an object with `{}`, not {}", known.join("`, `"), describe(node)),
            );
            return None;
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            self.mistake(key.place, words::unknown_field(&key.text, known.iter().copied()));
        }
        Some(Object { node })
    }

    fn scalar<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n str> {
        if let Value::Scalar(text) = &node.value {
            return Some(text);
        }
        self.mistake(node.place, format!("expected {expected}, not {}", describe(node)));
        None
    }

    pub(crate) fn parse<T: FromStr<Err: Display>>(&mut self, node: &Node, expected: &str) -> Option<T> {
        let text = self.scalar(node, expected)?;
        text.parse().map_err(|error: T::Err| self.mistake(node.place, error.to_string())).ok()
    }

    pub(crate) fn number<T: FromStr>(&mut self, node: &Node, expected: &str) -> Option<T> {
        let text = self.scalar(node, expected)?;
        // `FromStr` of integers takes a sign that YAML's numbers don't have here.
        let number = text.parse().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit()));
        if number.is_none() {
            self.mistake(node.place, format!("expected {expected}, not {text:?}"));
        }
        number
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.scalar(node, "a word")?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let hint = suggest(text, words.iter().map(|(word, _)| *word));
            self.mistake(node.place, format!("unknown value {text:?}{hint}"));
        }
        found
    }

    /// The key, among `keys`, that says which of several forms was written. Exactly one may.
    pub(crate) fn one_of<'k>(&mut self, node: &Node, keys: &[&'k str]) -> Option<&'k str> {
        let written: Vec<&str> = keys.iter().copied().filter(|key| node.get(key).is_some()).collect();
        if let [key] = written[..] {
            return Some(key);
        }
        self.mistake(node.place, words::exactly_one(keys));
        None
    }
}

impl Object<'_> {
    pub(crate) fn required<T: Decode>(&self, key: &str, to: &mut Decoder<'_>) -> Option<T> {
        match self.node.get(key) {
            Some(node) => T::decode(node, to),
            None => {
                to.mistake(self.node.place, words::missing(key));
                None
            }
        }
    }

    /// A field that is missing, or has nothing written, is as if it had its default. So is one with a mistake: it was
    /// reported, and what is beside it can still be checked.
    pub(crate) fn optional<T: Decode>(
        &self,
        key: &str,
        default: impl FnOnce() -> T,
        to: &mut Decoder<'_>,
    ) -> Option<T> {
        match self.node.get(key) {
            None | Some(Node { value: Value::Null, .. }) => Some(default()),
            Some(node) => T::decode(node, to).or_else(|| Some(default())),
        }
    }
}

pub(crate) fn describe(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Scalar(text) if text.chars().count() <= 40 => format!("{text:?}"),
        Value::Scalar(_) => "a long text".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "an object".to_owned(),
    }
}

/// Makes a struct decodable from the list of its fields: name, key, and `required`, `optional` or `or(default)`.
macro_rules! object {
    ($type:ident { $($field:ident $key:literal $need:ident $(($default:expr))?),* $(,)? }) => {
        impl $crate::decode::Decode for $type {
            fn decode(node: &$crate::yaml::Node, to: &mut $crate::decode::Decoder<'_>) -> Option<Self> {
                let object = to.object(node, &[$($key),*])?;
                // All are read before the first `?`, so that each mistake is found.
                $(let $field = $crate::decode::object!(@ $need, object, $key, to $(, $default)?);)*
                Some(Self { $($field: $field?),* })
            }
        }
    };
    (@ required, $object:ident, $key:literal, $to:ident) => { $object.required($key, $to) };
    (@ optional, $object:ident, $key:literal, $to:ident) => { $object.optional($key, Default::default, $to) };
    (@ or, $object:ident, $key:literal, $to:ident, $default:expr) => { $object.optional($key, || $default, $to) };
}
pub(crate) use object;

impl Decode for String {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.scalar(node, "a text").map(str::to_owned)
    }
}

impl Decode for bool {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.word(node, &[("true", true), ("false", false)])
    }
}

impl Decode for u16 {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.number(node, "a port from 1 to 65535").filter(|port| {
            let is_port = *port != 0;
            if !is_port {
                to.mistake(node.place, words::no_port("0"));
            }
            is_port
        })
    }
}

impl Decode for u32 {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.number(node, "a whole number")
    }
}

impl Decode for u64 {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.number(node, "a whole number")
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        T::decode(node, to).map(Some)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        let Value::List(list) = &node.value else {
            to.mistake(node.place, format!("expected a list, not {}", describe(node)));
            return None;
        };
        let values: Vec<Option<T>> = list.iter().map(|node| T::decode(node, to)).collect();
        values.into_iter().collect()
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            to.mistake(node.place, format!("expected an object, not {}", describe(node)));
            return None;
        };
        let values: Vec<Option<(String, T)>> =
            entries.iter().map(|(key, node)| T::decode(node, to).map(|value| (key.text.clone(), value))).collect();
        values.into_iter().collect()
    }
}

impl Decode for Name {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.parse(node, "a name")
    }
}

impl Decode for NodeName {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.parse(node, "the name of a node")
    }
}

impl Decode for UnitRef {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        let text = to.scalar(node, "a unit, as Container/web")?;
        let Some((kind, name)) = text.split_once('/') else {
            to.mistake(node.place, words::no_unit(text));
            return None;
        };
        let Some(kind) = Kind::WRITTEN.into_iter().find(|known| known.as_str() == kind) else {
            to.mistake(node.place, words::unknown_kind(kind));
            return None;
        };
        let name = Name::new(name).map_err(|error| to.mistake(node.place, error.to_string())).ok()?;
        Some(Self { kind, name })
    }
}

impl Decode for Bytes {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.parse(node, "an amount of bytes, as 256Mi")
    }
}

impl Decode for Cpu {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.parse(node, "processor time, as 1500m")
    }
}

impl Decode for Span {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.parse(node, "a span of time, as 2s")
    }
}
