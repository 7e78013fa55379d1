//! Words that can't be wrong once they exist.

use crate::{
    decode::{Decode, Decoder},
    yaml::Node,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// Which fleet a repository is of: 32 hexadecimal digits, drawn once. Machines keep to the one that they enrolled in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FleetId(String);

/// A commit by its id: 40 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Commit(String);

/// A folder of the repository, as `hosts/till-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Folder(String);

/// Who may sign: a line of an OpenSSH public key, of a kind that signatures are checked of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SignerKey(String);

/// Why a text is none of these, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {why}")]
pub struct BadWord {
    /// What was written, cut to what fits a message.
    text: String,
    why: &'static str,
}

const NO_FLEET: &str = "is no fleet's id: 32 of 0-9 and a-f are, as `abide hub init` draws them";
const NO_COMMIT: &str = "is no commit: write the 40 hexadecimal digits of its id";
const NO_FOLDER: &str =
    "is no folder of the repository: write it as hosts/till-1, without `.`, `..` and what is hidden";
const NO_KEY: &str = "is no key that signatures are checked of: write the line of a file that \
    `ssh-keygen -t ed25519` or `-t ed25519-sk` made, as ssh-ed25519 AAAA… anna";

/// Kinds of keys, and what follows their name in them: the key, and of a security key the application.
const KEYS: [&str; 2] = ["ssh-ed25519", "sk-ssh-ed25519@openssh.com"];

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_folder(text: &str) -> bool {
    text.len() <= 1024 && !text.contains('\0') && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// What is signed with the key is for others to check; that it is one, and all of it, is seen here.
fn is_key(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (Some(kind), Some(packed)) = (words.next(), words.next()) else { return false };
    let Ok(bytes) = STANDARD.decode(packed) else { return false };
    let Some(fields) = fields(&bytes) else { return false };
    let has_key = |fields: &[&[u8]]| fields.first() == Some(&kind.as_bytes()) && fields[1].len() == 32;
    let is_long_enough = fields.len() == if kind == KEYS[0] { 2 } else { 3 };
    KEYS.contains(&kind) && is_long_enough && has_key(&fields) && !text.contains(['\n', '\r'])
}

/// The fields of a key as SSH packs them: each after its length.
fn fields(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        fields.push(field);
        bytes = rest;
    }
    Some(fields)
}

impl SignerKey {
    /// The key without what people call it: equal ones are the same key.
    pub fn without_comment(&self) -> String {
        self.0.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }
}

macro_rules! word {
    ($type:ident, $is:expr, $no:ident, $expected:literal, $pattern:literal) => {
        impl $type {
            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = BadWord;

            fn from_str(text: &str) -> Result<Self, BadWord> {
                if $is(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(BadWord { text: text.chars().take(80).collect(), why: $no })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$type> for String {
            fn from(word: $type) -> Self {
                word.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadWord;

            fn try_from(text: String) -> Result<Self, BadWord> {
                text.parse()
            }
        }

        impl Decode for $type {
            fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
                to.parse(node, $expected)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

word!(FleetId, |text| is_hex(text, 32), NO_FLEET, "the id of a fleet", "^[0-9a-f]{32}$");
word!(Commit, |text| is_hex(text, 40), NO_COMMIT, "a commit", "^[0-9a-f]{40}$");
word!(Folder, is_folder, NO_FOLDER, "a folder", r"^[^/.][^/]*(/[^/.][^/]*)*$");
word!(SignerKey, is_key, NO_KEY, "a key", r"^(ssh-ed25519|sk-ssh-ed25519@openssh\.com) [A-Za-z0-9+/=]+( .*)?$");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANNA: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f anna";

    #[test]
    fn keys_are_whole() {
        let key: SignerKey = ANNA.parse().unwrap();
        assert_eq!(key.without_comment(), ANNA.strip_suffix(" anna").unwrap());
        let rsa = ANNA.replace("ssh-ed25519", "ssh-rsa");
        for bad in ["", "ssh-ed25519", &ANNA[..40], &rsa, &ANNA.replace("AAAAC3Nz", "AAAAC3NA"), &format!("{ANNA}\nx")]
        {
            assert!(bad.parse::<SignerKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_are_inside() {
        for good in ["base", "hosts/till-1", "a b/c"] {
            assert!(good.parse::<Folder>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "/base", "base/", "a//b", "a/../b", ".git", "a/.b"] {
            assert!(bad.parse::<Folder>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text: String, bytes: Vec<u8>) {
            let _ = (text.parse::<FleetId>(), text.parse::<Commit>(), text.parse::<Folder>(), text.parse::<SignerKey>());
            let _ = format!("ssh-ed25519 {}", STANDARD.encode(bytes)).parse::<SignerKey>();
        }
    }
}
