//! Names: of kinds, of documents, of units.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// The kinds whose documents become units, in the order in which lists show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A container of ours.
    Container,
    /// A virtual machine of ours.
    VirtualMachine,
    /// Data that outlives what uses it.
    Volume,
}

/// The name of a document: a DNS label (RFC 1123), 1 to 63 of `a-z 0-9 -`, beginning and ending with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

/// The scope of a unit: the name of its source, or its Kubernetes namespace.
pub type Scope = Name;

/// A unit as documents of the same scope refer to it: `Kind/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitRef {
    /// The kind before the slash.
    pub kind: Kind,
    /// The name after it.
    pub name: Name,
}

/// A thing that is wanted or there. Its text is `SCOPE:KIND/NAME`, with `#INDEX` where the index isn't 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitId {
    /// Whose it is.
    pub scope: Scope,
    /// What it is.
    pub kind: Kind,
    /// How its document is called.
    pub name: Name,
    /// Which replica it is; 0 today.
    pub index: u16,
}

/// A SHA-256 of something's canonical form. Equal digests mean "no change wanted".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Why a text is no name, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name: use 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")]
pub struct BadName {
    /// What was written, cut to what fits a message.
    pub text: String,
}

impl Name {
    /// Checks `text` against RFC 1123.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let is_name = bytes.len() <= 63
            && bytes.first().is_some_and(|byte| is_word(byte))
            && bytes.last().is_some_and(|byte| is_word(byte))
            && bytes.iter().all(|byte| is_word(byte) || *byte == b'-');
        if is_name { Ok(Self(text.into())) } else { Err(BadName { text: text.chars().take(80).collect() }) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 3] = [Self::Container, Self::VirtualMachine, Self::Volume];

    /// The word of the YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "Container",
            Self::VirtualMachine => "VirtualMachine",
            Self::Volume => "Volume",
        }
    }
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UnitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.scope, self.kind, self.name)?;
        if self.index == 0 { Ok(()) } else { write!(f, "#{}", self.index) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
