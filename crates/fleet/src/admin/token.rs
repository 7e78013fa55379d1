//! Tokens, as a hub's admin socket makes and tells of them: `/admin/tokens`.

use crate::store::{Millis, Token as Stored};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewToken {
    /// How many machines it lets in.
    pub uses: u32,
    /// For how many seconds.
    pub seconds: u64,
    /// The names that it gives: `*` stands for any characters; every one unless said.
    #[serde(default)]
    pub names: Option<String>,
    /// The labels on the hub that the machines get.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What was made: the only time that its secret is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// What it is called.
    pub id: String,
    /// All of it, with the fingerprint of the hub's root.
    pub token: String,
    /// Where machines reach the hub.
    pub url: String,
}

/// One that there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// What it is called.
    pub id: String,
    /// How many machines it still lets in.
    pub uses_left: u32,
    /// Until when: milliseconds since 1970.
    pub expires_at: i64,
    /// Which names it gives.
    #[serde(default)]
    pub names: Option<String>,
    /// Which labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// All that there are, also what is used up or expired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Each of them.
    pub tokens: Vec<Token>,
}

impl From<Stored> for Token {
    fn from(Stored { id, secret: _, uses_left, expires_at, names, labels }: Stored) -> Self {
        Self { id, uses_left, expires_at: expires_at.0, names, labels }
    }
}

/// The kernel gives no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel gives no random numbers")]
pub struct NoRandom;

impl NewToken {
    /// Draws it: what the store keeps, and its secret.
    pub fn draw(self, now: Millis) -> Result<(Stored, String), NoRandom> {
        let random = SystemRandom::new();
        let (mut id, mut secret) = ([0; 5], [0; 32]);
        random.fill(&mut id).and_then(|()| random.fill(&mut secret)).map_err(|_| NoRandom)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &secret).as_ref());
        let stored = Stored {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            secret: hash,
            uses_left: self.uses,
            expires_at: now.plus(Duration::from_secs(self.seconds)),
            names: self.names,
            labels: self.labels,
        };
        Ok((stored, BASE64_URL_SAFE_NO_PAD.encode(secret)))
    }
}
