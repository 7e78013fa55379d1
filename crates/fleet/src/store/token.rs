//! Tokens: what lets machines in that nobody knows yet.

use super::{Machine, Millis, NewMachine};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is called.
    pub id: String,
    /// The SHA-256 of its secret: who reads the store can't enrol.
    pub secret: [u8; 32],
    /// How many machines it still lets in.
    pub uses_left: u32,
    /// Until when.
    pub expires_at: Millis,
    /// Which names it gives: `*` stands for any characters. None: every.
    pub names: Option<String>,
    /// The labels that the machines get.
    pub labels: BTreeMap<String, String>,
}

/// Why a machine isn't let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEnrolled {
    /// There is no such token, or this is not its secret.
    #[error("the token is unknown: `abide hub token create` makes one")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired: `abide hub token create` makes another")]
    Expired,
    /// It has let in as many as it lets.
    #[error("the token is used up: `abide hub token create` makes another")]
    UsedUp,
    /// It doesn't give this name.
    #[error("the token gives names like {0:?} only")]
    Name(String),
    /// A machine has it.
    #[error("another machine has this name; if it is gone, `abide hub machine revoke` it first")]
    NameTaken,
    /// The key is that of a machine that was revoked.
    #[error("this key was revoked: enrol with new ones")]
    KeyRevoked,
}

/// How a machine is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// For the first time: the token is used.
    New,
    /// As before: the answer got lost.
    Again,
}

impl Token {
    /// Whether this lets it in. `known` is the machine that has the name.
    pub(super) fn judge(&self, new: &NewMachine, known: Option<&Machine>, now: Millis) -> Result<Entry, NotEnrolled> {
        if now >= self.expires_at {
            return Err(NotEnrolled::Expired);
        }
        if let Some(names) = self.names.as_ref().filter(|names| !matches(names, new.name.as_str())) {
            return Err(NotEnrolled::Name(names.clone()));
        }
        match known {
            Some(known) if known.revoked_at.is_none() && known.key == new.key => return Ok(Entry::Again),
            Some(known) if known.revoked_at.is_none() => return Err(NotEnrolled::NameTaken),
            Some(known) if known.key == new.key => return Err(NotEnrolled::KeyRevoked),
            Some(_) | None => {}
        }
        if self.uses_left == 0 { Err(NotEnrolled::UsedUp) } else { Ok(Entry::New) }
    }
}

/// Whether a name is one of these: `*` stands for any characters.
fn matches(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    // The leftmost place of each leaves the most for the next.
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (glob, name) in
            [("*", "till-1"), ("till-*", "till-1"), ("till-1", "till-1"), ("t*l*1", "till-1"), ("*-1", "till-1")]
        {
            assert!(matches(glob, name), "{glob} {name}");
        }
        for (glob, name) in
            [("", "till-1"), ("till", "till-1"), ("till-1*1", "till-1"), ("*l*l*l*", "till-1"), ("*-2", "till-1")]
        {
            assert!(!matches(glob, name), "{glob} {name}");
        }
    }
}
