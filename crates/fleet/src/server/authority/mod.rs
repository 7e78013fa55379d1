//! The hub's certificate authority: who is the hub, and who is a machine of this fleet.
//!
//! ```text
//!  root (10 years; its key may be taken away) ──► issuing (2 years) ──► the hub's own (90 days, renewed by the hub)
//!                                                       └─────────────► machines' (30 days, renewed by them)
//! ```
//!
//! The last two are what is usual, and may be others ([`Lifetime`]).
//!
//! All of it is in one folder, `hub/` of the root's state, for root alone. Keys are P-256. No date is stored twice: whether a
//! certificate has to be renewed is asked of the certificate.

mod files;
mod identity;
mod lifetime;
mod making;

pub use files::{AuthorityError, Init, Made};
pub use identity::{Identity, NoIdentity, expires_at};
pub use lifetime::{BadLifetime, Lifetime};
pub use making::{MACHINE_SKEW, NotIssued, has_key};

use crate::protocol::Issued;
use files::Record;
use rcgen::{Issuer, KeyPair};
use ring::digest::{SHA256, digest};
use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The authority of a hub, as its folder has it.
pub struct Authority {
    folder: PathBuf,
    record: Record,
    lifetime: Lifetime,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    issuing: CertificateDer<'static>,
    server: CertificateDer<'static>,
    server_key: PrivateKeyDer<'static>,
}

impl Authority {
    /// The fleet's identity, as the tree has to have it.
    pub fn fleet(&self) -> &str {
        &self.record.fleet
    }

    /// By which names and addresses machines reach the hub.
    pub fn names(&self) -> &[String] {
        &self.record.names
    }

    /// The root's certificate.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The same as PEM.
    pub fn root_pem(&self) -> String {
        files::pem(&self.root)
    }

    /// What a token pins the root by: its SHA-256 in lower hexadecimal digits.
    pub fn root_sha256(&self) -> String {
        hex(digest(&SHA256, &self.root).as_ref())
    }

    /// The hub's certificate with what leads to the root and the root itself, and its key.
    pub fn server(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.server.clone(), self.issuing.clone(), self.root.clone()], self.server_key.clone_key())
    }

    /// Which issuing key this has: the SHA-256 of its certificate.
    pub(crate) fn issuing_sha256(&self) -> [u8; 32] {
        // It has as many bytes as such a digest has.
        digest(&SHA256, &self.issuing).as_ref().try_into().unwrap_or_default()
    }

    /// Whether the present issuing key signed a machine's certificate, expired or not. Of which key it is can't be told from
    /// what is shown with it: that is what who shows it says.
    pub(crate) fn has_signed(&self, certificate: &CertificateDer<'_>) -> bool {
        let signed = || {
            let anchor = anchor_from_trusted_cert(&self.issuing).ok()?;
            let at = Duration::from_millis(expires_at(certificate)?.try_into().ok()?);
            let (algorithms, at) =
                (default_provider().signature_verification_algorithms.all, UnixTime::since_unix_epoch(at));
            let certificate = EndEntityCert::try_from(certificate).ok()?;
            let usage = KeyUsage::client_auth();
            certificate.verify_for_usage(algorithms, &[anchor], &[], at, usage, None, None).ok().map(drop)
        };
        signed().is_some()
    }

    /// A machine's certificate, for the time from `now` on: milliseconds since 1970.
    ///
    /// `key` is its public key, an uncompressed point. `serial` grows from one of its certificates to the next: it is the
    /// time as well, or a later one, if the clock of whoever issued the last one was ahead.
    pub fn issue(&self, name: &str, key: &[u8], recipient: &str, serial: i64, now: i64) -> Result<Issued, NotIssued> {
        let identity = Identity {
            name: name.parse().map_err(|_| NotIssued::Name)?,
            serial,
            fleet: self.record.fleet.clone(),
            recipient: recipient.to_owned(),
        };
        let certificate = making::machine(&self.issuer, &identity, key, now, self.lifetime)?;
        let life = self.lifetime.machine().as_millis() as i64;
        Ok(Issued {
            chain: files::pem(&certificate) + &files::pem(&self.issuing),
            renew_at: (now + life * 2 / 3) / 1000,
            expires_at: (now + life) / 1000,
            now: now / 1000,
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.record.fleet)
    }
}

/// Lower hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
