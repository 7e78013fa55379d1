use crate::{
    decode::{Decode, Decoder, object},
    yaml::Node,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

/// A Secret for a fleet, whose repository everyone in it may read: each value can be opened by those machines alone that
/// it was encrypted for. Units refer to it as to any Secret.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct SealedSecretSpec {
    /// Values by key: each as `abide encrypt --recipient age1…` prints it, for one recipient or more.
    pub data: BTreeMap<String, Armored>,
}

object!(SealedSecretSpec { data "data" required });

/// A file of age in its armor, by its form; whether it opens, only a machine finds out.
#[derive(Clone, PartialEq, Eq)]
pub struct Armored(String);

/// Why a text is no sealed value. It isn't quoted: it may be what was to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no sealed value: write all that `abide encrypt --recipient age1…` prints, from `{BEGIN}` to `{END}`")]
pub struct BadArmor;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
/// What is in the armor of every version-1 file.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";

impl Armored {
    /// As it was written, from the first dash to the last.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Armored {
    type Err = BadArmor;

    fn from_str(text: &str) -> Result<Self, BadArmor> {
        let text = text.trim();
        let packed = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END)).ok_or(BadArmor)?;
        let packed: String = packed.split_ascii_whitespace().collect();
        let file = STANDARD.decode(packed).map_err(|_| BadArmor)?;
        if file.starts_with(MAGIC) { Ok(Self(text.to_owned())) } else { Err(BadArmor) }
    }
}

impl Decode for Armored {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.parse(node, "a sealed value")
    }
}

impl JsonSchema for Armored {
    fn schema_name() -> Cow<'static, str> {
        "Armored".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": format!(r"^\s*{BEGIN}[A-Za-z0-9+/=\s]+{END}\s*$") })
    }
}

impl fmt::Debug for Armored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sealed bytes", self.0.len())
    }
}
