//! What a person carries from the hub to a machine: `ID.SECRET.ROOT`.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// The right to become a machine of a fleet, and which hub to believe.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the hub knows it by, and is told: `ID.SECRET`.
    pub(super) shown: String,
    /// The SHA-256 of the root's certificate.
    pub(super) root: [u8; 32],
}

/// Why a text is no token. Never says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no token as `abide hub token create` prints it: copy all of it, ID.SECRET.ROOT")]
pub struct BadToken;

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let (shown, root) = text.trim().rsplit_once('.').ok_or(BadToken)?;
        let is_part = |part: &str| {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=128).contains(&part.len()) && part.bytes().all(is_letter)
        };
        let (id, secret) = shown.split_once('.').ok_or(BadToken)?;
        if !is_part(id) || !is_part(secret) {
            return Err(BadToken);
        }
        Ok(Self { shown: shown.to_owned(), root: fingerprint(root).ok_or(BadToken)? })
    }
}

impl Token {
    /// What the hub lists it by.
    pub fn id(&self) -> &str {
        self.shown.split_once('.').map_or("", |(id, _)| id)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id())
    }
}

/// 32 bytes as hexadecimal digits or as base64.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> =
        text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_the_root() {
        let (hex, base64) = ("ab".repeat(32), BASE64_URL_SAFE_NO_PAD.encode([0xab; 32]));
        for root in [hex, base64] {
            let token: Token = format!(" 1f00.S3cr-t_.{root}\n").parse().unwrap();
            assert_eq!((token.id(), token.shown.as_str(), token.root), ("1f00", "1f00.S3cr-t_", [0xab; 32]));
            assert!(!format!("{token:?}").contains("S3cr"), "{token:?}");
        }
    }

    #[test]
    fn what_is_none() {
        let hex = "ab".repeat(32);
        let texts = [
            String::new(),
            "a.b".into(),
            format!("a.b.{}", &hex[1..]),
            format!("a.b.{}g", &hex[1..]),
            format!(".b.{hex}"),
            format!("a..{hex}"),
            format!("a.b.c.{hex}"),
        ];
        for text in texts {
            assert_eq!(text.parse::<Token>(), Err(BadToken), "{text}");
        }
    }
}
