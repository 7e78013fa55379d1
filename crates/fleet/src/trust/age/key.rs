//! Keys, as `age-keygen` writes them.

use super::EncryptError;
use abide_spec::Unseal;
use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
use std::{fmt, str::FromStr};
use x25519_dalek::{PublicKey, StaticSecret};

const RECIPIENT: Hrp = Hrp::parse_unchecked("age");
const IDENTITY: Hrp = Hrp::parse_unchecked("age-secret-key-");

/// Why a text is no key. Never says what the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No recipient.
    #[error("it is no recipient of age: `age1` and 58 characters are; see `abide enroll --recipient` on the machine")]
    Recipient,
    /// No identity.
    #[error("it holds no identity of age, or more than one: a line `AGE-SECRET-KEY-1…` is one")]
    Identity,
}

/// Whom something is encrypted for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recipient(pub(super) [u8; 32]);

impl FromStr for Recipient {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let key = decode(RECIPIENT, text.trim()).ok_or(BadKey::Recipient)?;
        if text.trim().starts_with("age1") { Ok(Self(key)) } else { Err(BadKey::Recipient) }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode::<Bech32>(RECIPIENT, &self.0).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What opens it. Wiped from memory when dropped, and never shown.
#[derive(Clone)]
pub struct Identity(pub(super) StaticSecret);

impl Identity {
    /// A new one.
    pub fn generate() -> Result<Self, EncryptError> {
        Ok(Self(StaticSecret::from(super::random::<32>()?)))
    }

    /// Whom to encrypt for, so that this one opens it.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0).to_bytes())
    }

    /// The one identity of a file: a line, among comments and blank lines.
    pub fn parse(file: &str) -> Result<Self, BadKey> {
        let mut lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) if line.starts_with("AGE-SECRET-KEY-1") => {
                Ok(Self(StaticSecret::from(decode(IDENTITY, line).ok_or(BadKey::Identity)?)))
            }
            _ => Err(BadKey::Identity),
        }
    }

    /// A file that [`Identity::parse`], and `age -i`, read.
    pub fn to_file(&self) -> String {
        let secret =
            bech32::encode_upper::<Bech32>(IDENTITY, self.0.as_bytes()).expect("short enough for any checksum");
        format!("# public key: {}\n{secret}\n", self.recipient())
    }
}

impl Unseal for Identity {
    fn unseal(&self, armored: &str) -> Result<Vec<u8>, String> {
        super::decrypt(self, armored).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {})", self.recipient())
    }
}

fn decode(kind: Hrp, text: &str) -> Option<[u8; 32]> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    let bytes: Vec<u8> = checked.byte_iter().collect();
    // Written anew it must be the same, or one key had several texts.
    let same = bech32::encode::<Bech32>(kind, &bytes).ok()?;
    if checked.hrp() == kind && same.eq_ignore_ascii_case(text) { bytes.try_into().ok() } else { None }
}
