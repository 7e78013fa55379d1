//! Certificates, made.

use super::{Identity, Lifetime};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Longer than most machines are in use.
const ROOT_LIFE: Duration = Duration::from_secs(3650 * DAY.as_secs());

/// As often may the root's key be fetched from where it lies.
const ISSUING_LIFE: Duration = Duration::from_secs(730 * DAY.as_secs());

/// By so much clocks may differ, and a certificate is good as soon as it is made.
pub const MACHINE_SKEW: Duration = HOUR;

/// Why a certificate can't be made.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// The name.
    #[error("a machine's name is 1 to 63 of a-z, 0-9 and -")]
    Name,
    /// The key.
    #[error("a machine's key is a point of P-256, uncompressed: 65 bytes, the first of them 4")]
    Key,
    /// The maker.
    #[error("making a certificate")]
    Making(#[from] rcgen::Error),
}

/// What signs, and what is signed for.
pub(super) fn root(key: KeyPair, fleet: &str, now: i64) -> Result<(CertificateDer<'static>, Signer), rcgen::Error> {
    let params = root_params(fleet, now);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.der().clone(), Issuer::new(params, key)))
}

/// Who signs certificates.
pub(super) type Signer = Issuer<'static, KeyPair>;

/// The root again, with its key.
pub(super) fn root_signer(key: KeyPair, fleet: &str) -> Signer {
    Issuer::new(root_params(fleet, 0), key)
}

/// What signs from day to day.
pub(super) fn issuing(
    root: &Signer,
    key: &KeyPair,
    fleet: &str,
    now: i64,
) -> Result<CertificateDer<'static>, rcgen::Error> {
    Ok(issuing_params(fleet, key, now).signed_by(key, root)?.der().clone())
}

/// The same again, with its key.
pub(super) fn issuing_signer(key: KeyPair, fleet: &str) -> Signer {
    Issuer::new(issuing_params(fleet, &key, 0), key)
}

/// The hub's own.
pub(super) fn server(
    issuing: &Signer,
    key: &KeyPair,
    names: &[String],
    now: i64,
    lifetime: Lifetime,
) -> Result<CertificateDer<'static>, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    lasts(&mut params, now, lifetime.server());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "abide hub");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params.signed_by(key, issuing)?.der().clone())
}

/// A machine's.
pub(super) fn machine(
    issuing: &Signer,
    identity: &Identity,
    key: &[u8],
    now: i64,
    lifetime: Lifetime,
) -> Result<CertificateDer<'static>, NotIssued> {
    let mut params = CertificateParams::new(identity.names())?;
    lasts(&mut params, now, lifetime.machine());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, identity.name.as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params.signed_by(&Point::new(key)?, issuing)?.der().clone())
}

/// Whether `proof`, ECDSA with SHA-256 in ASN.1, was made with the key of which `point` is the public part.
pub fn has_key(point: &[u8], message: &[u8], proof: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, proof).is_ok()
}

fn root_params(fleet: &str, now: i64) -> CertificateParams {
    authority(format!("abide fleet {fleet} root"), BasicConstraints::Constrained(1), now, ROOT_LIFE)
}

/// Named after its key: those of two times are two.
fn issuing_params(fleet: &str, key: &KeyPair, now: i64) -> CertificateParams {
    let of = super::hex(&ring::digest::digest(&ring::digest::SHA256, key.public_key_raw()).as_ref()[..4]);
    authority(format!("abide fleet {fleet} issuing {of}"), BasicConstraints::Constrained(0), now, ISSUING_LIFE)
}

fn authority(name: String, constraints: BasicConstraints, now: i64, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    lasts(&mut params, now, life);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn lasts(params: &mut CertificateParams, from: i64, life: Duration) {
    let from = Duration::from_millis(from.max(0).unsigned_abs());
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + from.saturating_sub(MACHINE_SKEW);
    params.not_after = epoch + from + life;
}

/// A public key of P-256.
struct Point<'a>(&'a [u8]);

impl<'a> Point<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, NotIssued> {
        if bytes.len() == 65 && bytes[0] == 4 { Ok(Self(bytes)) } else { Err(NotIssued::Key) }
    }
}

impl PublicKeyData for Point<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}
