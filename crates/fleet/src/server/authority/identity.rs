//! Who a certificate is about: names in it, so that no more of it has to be read than what verifying it reads.

use abide_spec::Name;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::{fmt, time::Duration};
use webpki::{EndEntityCert, Error, KeyUsage};

/// What the names of machines' certificates end with. It is nobody's on the internet.
const DOMAIN: &str = "abide.internal";

/// In the second name of a certificate.
const RECIPIENT: &str = "recipient";

/// A machine of a fleet, as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// How it is called.
    pub name: Name,
    /// Grows from one certificate to the next: when it was issued, milliseconds since 1970, unless the clock was put back.
    pub serial: i64,
    /// Of which fleet.
    pub fleet: String,
    /// To what values for it are encrypted, so that a hub that forgot it learns it again; may be empty.
    pub recipient: String,
}

/// A certificate that is not a machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate that names no machine of a fleet")]
pub struct NoIdentity;

impl Identity {
    /// Of a certificate that was verified.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, NoIdentity> {
        let certificate = EndEntityCert::try_from(certificate).map_err(|_| NoIdentity)?;
        let mut names = certificate.valid_dns_names();
        let mut identity = names.next().and_then(parse).ok_or(NoIdentity)?;
        identity.recipient = names.next().and_then(recipient).unwrap_or_default();
        Ok(identity)
    }

    /// The names that say so.
    pub(super) fn names(&self) -> Vec<String> {
        let recipient = (!self.recipient.is_empty()).then(|| format!("{}.{RECIPIENT}.{DOMAIN}", self.recipient));
        [self.to_string()].into_iter().chain(recipient).collect()
    }
}

/// Until when a certificate is good: milliseconds since 1970.
pub fn expires_at(certificate: &CertificateDer<'_>) -> Option<i64> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    // At the end of time it has expired, which is found before anything else is asked of it, and says when that was.
    let never = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    match certificate.verify_for_usage(&[], &[], &[], never, KeyUsage::client_auth(), None, None) {
        Err(Error::CertExpired { not_after, .. }) => i64::try_from(not_after.as_secs()).ok()?.checked_mul(1000),
        _ => None,
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{DOMAIN}", self.name.as_str(), self.serial, self.fleet)
    }
}

fn parse(name: &str) -> Option<Identity> {
    let mut parts = name.strip_suffix(DOMAIN)?.strip_suffix('.')?.split('.');
    let (name, serial, fleet) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(Identity {
        name: name.parse().ok()?,
        serial: serial.parse().ok()?,
        fleet: fleet.to_owned(),
        recipient: String::new(),
    })
}

fn recipient(name: &str) -> Option<String> {
    let (recipient, rest) = name.split_once('.')?;
    (rest.strip_prefix(RECIPIENT)?.strip_prefix('.')? == DOMAIN).then(|| recipient.to_owned())
}
