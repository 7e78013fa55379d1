//! Who comes to the fleet, or stays in it with another certificate, and what becomes of its row: pure. All that come at once
//! are one transaction, in which each sees what became of those before it.

use super::{Machine, Millis, NewMachine, NotEnrolled, Standing, Token, token::Entry};
use abide_spec::Name;
use std::collections::BTreeMap;

/// One that comes.
pub(super) enum Coming {
    /// By a token, of which this is the secret's SHA-256.
    Enroll { token: String, secret: [u8; 32], new: NewMachine, now: Millis },
    /// For a certificate of this serial.
    Renew { name: Name, key: String, serial: i64 },
    /// With a certificate that isn't known.
    Adopt { new: NewMachine, now: Millis },
}

/// Whether something became of it.
pub(super) type Came = Result<bool, NotEnrolled>;

/// What is known of those that come.
pub(super) struct Known {
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) machines: BTreeMap<Name, Machine>,
}

impl Coming {
    /// Which machine.
    pub(super) fn name(&self) -> &Name {
        match self {
            Self::Enroll { new, .. } | Self::Adopt { new, .. } => &new.name,
            Self::Renew { name, .. } => name,
        }
    }

    /// By which token.
    pub(super) fn token(&self) -> Option<&String> {
        match self {
            Self::Enroll { token, .. } => Some(token),
            Self::Renew { .. } | Self::Adopt { .. } => None,
        }
    }

    /// Judges it, and enters what becomes of it. A machine that changes gets this version.
    pub(super) fn enter(&self, known: &mut Known, version: i64) -> Came {
        let changed = match self {
            Self::Enroll { token, secret, new, now } => Some(known.enroll(token, secret, new, *now)?),
            Self::Renew { name, key, serial } => known.renew(name, key, *serial),
            Self::Adopt { new, now } => known.adopt(new, *now),
        };
        let is_news = changed.is_some();
        known.machines.extend(changed.map(|machine| (machine.name.clone(), Machine { version, ..machine })));
        Ok(is_news)
    }
}

impl Known {
    fn enroll(
        &mut self,
        token: &str,
        secret: &[u8; 32],
        new: &NewMachine,
        now: Millis,
    ) -> Result<Machine, NotEnrolled> {
        // Of digests: how long comparing them takes says nothing about the secret.
        let token = self.tokens.get_mut(token).filter(|token| token.secret == *secret).ok_or(NotEnrolled::Unknown)?;
        let known = self.machines.get(&new.name);
        Ok(match (token.judge(new, known, now)?, known) {
            (Entry::Again, Some(known)) => {
                let serial = known.serial.max(new.serial);
                Machine { serial, recipient: new.recipient.clone(), ..known.clone() }
            }
            (Entry::New | Entry::Again, known) => {
                token.uses_left -= 1;
                let numbered = known.map_or(0, |known| known.numbered);
                Machine { numbered, ..Machine::new(new, token.labels.clone(), now) }
            }
        })
    }

    fn renew(&self, name: &Name, key: &str, serial: i64) -> Option<Machine> {
        let known = self.machines.get(name)?;
        let may = known.revoked_at.is_none() && serial > known.serial;
        may.then(|| Machine { key: key.to_owned(), serial, ..known.clone() })
    }

    fn adopt(&self, new: &NewMachine, now: Millis) -> Option<Machine> {
        let known = self.machines.get(&new.name);
        if Standing::of(known, new.serial) != Standing::Adopt {
            return None;
        }
        let machine = known.cloned().unwrap_or_else(|| Machine::new(new, BTreeMap::new(), now));
        let recipient = if new.recipient.is_empty() { machine.recipient.clone() } else { new.recipient.clone() };
        Some(Machine { key: new.key.clone(), serial: new.serial, first_serial: new.serial, recipient, ..machine })
    }
}
