//! What a certificate says of itself. A hub can say anything about one; what is in it, our authority signed, and how long
//! it can be good at most, the root.

use super::tls;
use crate::server::authority::MACHINE_SKEW;
use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, UnixTime},
};
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

/// When a machine's certificate is one: seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) issued_at: i64,
    /// After two thirds of its time.
    pub(super) renew_at: i64,
    /// When it, or what is above it, isn't good any more.
    pub(super) expires_at: i64,
    /// When it isn't by itself.
    pub(super) ends_at: i64,
}

/// Why a chain is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It can't be read.
    #[error("it can't be read")]
    Form,
    /// No root of ours is above it, or it was over when it began.
    #[error("it is not of the root that this machine knows: {0}")]
    Root(Error),
}

/// The times of the first of these, as far as those above it last, if the root stands for it.
pub(super) fn times(chain: &str, root: &str) -> Result<Times, Untrusted> {
    let (chain, root) = tls::certificates(chain).zip(tls::certificates(root)).ok_or(Untrusted::Form)?;
    let own = EndEntityCert::try_from(&chain[0]).map_err(|_| Untrusted::Form)?;
    let (begin, ends_at) = validity(&chain[0]).ok_or(Untrusted::Form)?;
    let all: Vec<(i64, i64)> = chain.iter().map(validity).collect::<Option<_>>().ok_or(Untrusted::Form)?;
    let expires_at = all.iter().map(|(_, end)| *end).fold(ends_at, i64::min);
    // All of it is good then, if it ever is.
    let latest_begin = all.iter().map(|(begin, _)| *begin).fold(begin, i64::max);
    // It begins a little before it is issued, as clocks differ.
    let issued_at = begin.saturating_add(seconds(MACHINE_SKEW.as_secs()));
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(latest_begin).unwrap_or(0)));
    let anchor = anchor_from_trusted_cert(&root[0]).map_err(Untrusted::Root)?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    own.verify_for_usage(algorithms, &[anchor], &chain[1..], at, KeyUsage::client_auth(), None, None)
        .map_err(Untrusted::Root)?;
    let renew_at = issued_at.saturating_add(expires_at.saturating_sub(issued_at) / 3 * 2);
    Ok(Times { issued_at, renew_at, expires_at, ends_at })
}

/// From when to when a certificate is good: found by asking at the begin and at the end of time, where it isn't, which is
/// found before anything else is asked of it.
fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let at = |at: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        certificate.verify_for_usage(&[], &[], &[], at, KeyUsage::client_auth(), None, None).err()
    };
    match (at(0), at(u64::MAX)) {
        (Some(Error::CertNotValidYet { not_before, .. }), Some(Error::CertExpired { not_after, .. })) => {
            Some((seconds(not_before.as_secs()), seconds(not_after.as_secs())))
        }
        _ => None,
    }
}

fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
