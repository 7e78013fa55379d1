//! Who may ask, and whether it is the one who asked before: pure.

use super::authority::Identity;
use crate::{
    protocol::RefusalCode,
    store::{Machine, Standing},
};

/// A certificate of our authority, as it was shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) identity: &'a Identity,
    /// The public key that who shows it has, as [`Machine::key`].
    pub(super) key: &'a str,
    pub(super) signer: Signer,
}

/// Who signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// The present issuing key.
    Present,
    /// Another one that the root has signed: an earlier one, which may have been stolen since.
    Other,
}

/// What becomes of a machine that shows a certificate of our authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is known.
    Known,
    /// The store doesn't know what the certificate proves: it is from before this machine was enrolled, or renewed.
    Adopt,
    /// Another issuing key than the present one signed it, and it isn't that of the machine as it is known.
    Doubted,
    /// No.
    Refused(RefusalCode, String),
}

/// Judges a certificate by what the store has.
pub(super) fn admit(shown: Shown<'_>, fleet: &str, known: Option<&Machine>) -> Admission {
    let identity = shown.identity;
    let name = identity.name.as_str();
    if identity.fleet != fleet {
        let why = format!("this is the hub of fleet {fleet}, and {name} is of fleet {}", identity.fleet);
        return Admission::Refused(RefusalCode::Unknown, why);
    }
    match Standing::of(known, identity.serial) {
        // Who stole an issuing key can make a certificate for every name, and none for the key of a machine.
        Standing::Good | Standing::Adopt if shown.signer == Signer::Other => {
            let is_its_own = known.is_some_and(|known| known.key == shown.key);
            if is_its_own { Admission::Known } else { Admission::Doubted }
        }
        Standing::Good => Admission::Known,
        Standing::Adopt => Admission::Adopt,
        Standing::Old => Admission::Refused(
            RefusalCode::Unknown,
            format!("{name} was enrolled anew since this certificate was issued: the name is another machine's now"),
        ),
        Standing::Revoked => Admission::Refused(
            RefusalCode::Revoked,
            format!(
                "{name} was revoked: what it runs, runs on. To have it back, enrol it with a new token, `abide enroll`"
            ),
        ),
        Standing::Cloned => Admission::Refused(RefusalCode::Cloned, cloned(name)),
    }
}

/// What is said to a certificate that stays doubted.
pub(super) fn doubted(name: &str) -> String {
    format!(
        "this certificate of {name} was signed by an issuing key that isn't the hub's present one, and for another key than {name} has: renew it at a process of the hub that has the newest issuing key, or enrol it anew"
    )
}

/// What both of two machines with one identity are told.
pub(super) fn cloned(name: &str) -> String {
    format!(
        "two machines say that they are {name}: is one a copy of the other's disk? `abide hub machine revoke {name}` on the hub, and enrol both with names of their own"
    )
}

/// Which of a machine's sessions one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// The present one.
    Present,
    /// One that wasn't seen before: its agent was started again.
    New,
    /// One before the present one: who has it should be gone.
    Earlier,
}

/// Judges a session by what the store has.
pub(super) fn session(known: &Machine, session: &str) -> Session {
    if known.session.as_deref() == Some(session) {
        Session::Present
    } else if known.earlier.iter().any(|earlier| earlier == session) {
        Session::Earlier
    } else {
        Session::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Millis, NewMachine};
    use std::collections::BTreeMap;

    #[test]
    fn the_table() {
        let identity = |serial| Identity {
            name: "till-1".parse().unwrap(),
            serial,
            fleet: "f".to_owned(),
            recipient: String::new(),
        };
        let new =
            NewMachine { name: "till-1".parse().unwrap(), key: "own".to_owned(), serial: 5, recipient: String::new() };
        let known = Machine::new(&new, BTreeMap::new(), Millis(0));
        let revoked = Machine { revoked_at: Some(Millis(1)), ..known.clone() };
        let table = [
            (5, "own", Signer::Present, Some(&known), "Known"),
            (6, "new", Signer::Present, Some(&known), "Adopt"),
            (6, "new", Signer::Present, None, "Adopt"),
            (4, "old", Signer::Present, Some(&known), "Refused(Unknown"),
            (5, "own", Signer::Other, Some(&known), "Known"),
            (5, "thief", Signer::Other, Some(&known), "Doubted"),
            (6, "thief", Signer::Other, Some(&known), "Doubted"),
            (6, "thief", Signer::Other, None, "Doubted"),
            (4, "own", Signer::Other, Some(&known), "Refused(Unknown"),
            (6, "own", Signer::Other, Some(&revoked), "Refused(Revoked"),
        ];
        for (serial, key, signer, known, expected) in table {
            let identity = identity(serial);
            let admission = admit(Shown { identity: &identity, key, signer }, "f", known);
            let words = format!("{admission:?}");
            assert!(words.starts_with(expected), "{serial} {key} {signer:?}: {words}");
        }
    }
}
