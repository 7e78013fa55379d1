//! Who may ask, and whether it is the one who asked before: pure.

use super::authority::Identity;
use crate::{
    protocol::RefusalCode,
    store::{Machine, Standing},
};

/// What becomes of a machine that shows a certificate of our authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is known.
    Known,
    /// The store doesn't know what the certificate proves: it is from before this machine was enrolled, or renewed.
    Adopt,
    /// No.
    Refused(RefusalCode, String),
}

/// Judges a certificate by what the store has.
pub(super) fn admit(identity: &Identity, fleet: &str, known: Option<&Machine>) -> Admission {
    let name = identity.name.as_str();
    if identity.fleet != fleet {
        let why = format!("this is the hub of fleet {fleet}, and {name} is of fleet {}", identity.fleet);
        return Admission::Refused(RefusalCode::Unknown, why);
    }
    match Standing::of(known, identity.serial) {
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
