//! Who is believed to be the hub, and how a machine shows who it is.

use super::{clock::Clock, words};
use ring::digest::{SHA256, digest};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{fmt, io, sync::Arc, time::Duration};

/// A hub's chain has fewer certificates. Each can prove once that it is later than was thought.
const CHAIN_MAX: usize = 8;

/// Which root a hub's certificate has to be from.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Root {
    /// This one: DER.
    Pinned(Vec<u8>),
    /// One whose SHA-256 this is.
    Named([u8; 32]),
}

/// What a machine shows.
pub(super) struct Shown {
    /// Its certificate and those above it: PEM.
    pub(super) chain: String,
    /// Its key: PEM.
    pub(super) key: String,
}

/// Why nothing can be shown or believed.
#[derive(Debug, thiserror::Error)]
pub enum CertificateTrouble {
    /// What is kept can't be read.
    #[error("the machine's {0} can't be read")]
    Pem(&'static str),
    /// The parts don't fit.
    #[error("the machine's key, certificate and root don't fit together")]
    Unfit(#[from] Error),
}

/// The hub shows no certificate of the root that the token names.
#[derive(Debug, thiserror::Error)]
#[error(
    "its root is not the one that the token names: is this the hub that the token is from, or does somebody answer in its place?"
)]
struct OtherRoot;

/// How a machine talks TLS to its hub.
pub(super) fn config(
    root: Root,
    shown: Option<&Shown>,
    clock: &Arc<Clock>,
) -> Result<ClientConfig, CertificateTrouble> {
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(Verifier { root, clock: Arc::clone(clock), provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_details(provider, Arc::clone(clock) as Arc<_>)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some(shown) => {
            let chain = certificates(&shown.chain).ok_or(CertificateTrouble::Pem("certificate"))?;
            let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes());
            config.with_client_auth_cert(chain, key.map_err(|_| CertificateTrouble::Pem("key"))?)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of a PEM text, if there are any and nothing is broken.
pub(super) fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found.ok().filter(|found| !found.is_empty())
}

/// What a token names a root by.
pub(super) fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, der).as_ref());
    hash
}

/// Why a handshake failed.
pub(super) fn why(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::InvalidCertificate(CertificateError::Other(other))) => other.0.to_string(),
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "its certificate is not of this fleet's root: does somebody answer in the hub's place?".to_owned()
        }
        Some(Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after })) => {
            let at = |time: &UnixTime| words::date(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
            format!(
                "its certificate expired on {}, and it is {} by this machine's clock: if that is right, start the hub anew",
                at(not_after),
                at(time)
            )
        }
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

/// Believes hubs of one root, at a time that may be later than the machine's clock ([`super::clock`]).
struct Verifier {
    root: Root,
    clock: Arc<Clock>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Who judges a chain by the root, which must be among `shown` if only its hash is known.
    fn judge(&self, shown: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let root = match &self.root {
            Root::Pinned(der) => CertificateDer::from(der.clone()),
            Root::Named(hash) => {
                let root = shown.iter().find(|each| fingerprint(each) == *hash);
                let other = || Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(OtherRoot))));
                root.ok_or_else(other)?.clone().into_owned()
            }
        };
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let made = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build();
        made.map_err(|error| Error::General(error.to_string()))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judge = self.judge(above)?;
        let by_own_clock = Duration::from_secs(u64::try_from(self.clock.own()).unwrap_or(0));
        let verified = judge.verify_server_cert(own, above, name, stapled, UnixTime::since_unix_epoch(by_own_clock));
        if verified.is_ok() {
            return verified;
        }
        let mut at = now;
        for _ in 0..CHAIN_MAX {
            match judge.verify_server_cert(own, above, name, stapled, at) {
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }))
                    if not_before > at =>
                {
                    at = not_before;
                }
                Ok(verified) => {
                    // All of the chain holds at that time, so our authority saw it.
                    self.clock.prove(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
                    return Ok(verified);
                }
                other => return other,
            }
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYet))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.root {
            Root::Pinned(_) => "Verifier(pinned)",
            Root::Named(_) => "Verifier(named)",
        })
    }
}
