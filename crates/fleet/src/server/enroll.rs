//! Who becomes a machine of the fleet, and stays one.

use super::{
    Inner,
    admit::{Shown, Signer},
    answer::{Answer, Refused, json, refused},
    authority::has_key,
    route::Peer,
};
use crate::{
    protocol::{Enroll, Enrolled, Issued, RefusalCode, Renew},
    store::{Machine, Millis, NewMachine, NotEnrolled},
};
use abide_spec::Name;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ring::digest::{SHA256, digest};
use std::sync::atomic::Ordering;

pub(super) async fn enroll(inner: &Inner, peer: &Peer, asked: Enroll) -> Result<Answer, Refused> {
    let bad = |why: String| refused(RefusalCode::BadRequest, why);
    let name: Name = asked.name.parse().map_err(|error| bad(format!("{error}")))?;
    let key = proved(&asked.key, &asked.proof, &asked.possession())?;
    if !is_recipient(&asked.recipient) {
        return Err(bad("`recipient` is to be one of age's: age1 and 58 letters and digits".to_owned()));
    }
    let secret = asked.token.split_once('.').and_then(|(id, secret)| {
        let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
        let hash: [u8; 32] = digest(&SHA256, &secret).as_ref().try_into().ok()?;
        Some((id.to_owned(), hash))
    });
    let Some((token, secret)) = secret else {
        return Err(refused(RefusalCode::Token, "a token is ID.SECRET, as `abide hub token create` prints it"));
    };
    let serial = serial(inner, &name);
    let new = NewMachine { name: name.clone(), key: asked.key, serial, recipient: asked.recipient.clone() };
    let now = Millis(inner.clock.now());
    let enrolled = inner.with_store(move |store| store.enroll(&token, &secret, &new, now)).await?;
    enrolled.map_err(|why| {
        let code = match why {
            NotEnrolled::NameTaken => RefusalCode::NameTaken,
            NotEnrolled::KeyRevoked => RefusalCode::Revoked,
            NotEnrolled::Unknown | NotEnrolled::Expired | NotEnrolled::UsedUp | NotEnrolled::Name(_) => {
                RefusalCode::Token
            }
        };
        refused(code, why.to_string())
    })?;
    let issued = issue(inner, &name, &key, &asked.recipient, serial)?;
    inner.roster.wake();
    inner.counters.enrolled.fetch_add(1, Ordering::Relaxed);
    tracing::info!(machine = name.as_str(), address = %peer.address, "enrolled");
    let authority = inner.authority();
    let (fleet, root) = (authority.fleet().to_owned(), authority.root_pem());
    Ok(json(&Enrolled { fleet, name: name.to_string(), issued, root }))
}

pub(super) async fn renew(
    inner: &Inner,
    Shown { identity, signer, .. }: Shown<'_>,
    machine: &Machine,
    asked: Renew,
) -> Result<Answer, Refused> {
    let key = proved(&asked.key, &asked.proof, &asked.possession(identity.name.as_str()))?;
    let serial = serial(inner, &identity.name);
    let name = identity.name.clone();
    // What another key signed counts only with the machine's own key, which so stays what it is until the new certificate is
    // shown: should this answer be lost, the machine can ask again. That one is then adopted.
    if signer == Signer::Present {
        let renewed = inner.with_store(move |store| store.renew(&name, &asked.key, serial)).await?;
        if !renewed {
            let why = "this machine was renewed or revoked just now: try again with its newest certificate";
            return Err(refused(RefusalCode::Unavailable, why));
        }
        inner.roster.wake();
    }
    let recipient = if machine.recipient.is_empty() { &identity.recipient } else { &machine.recipient };
    Ok(json(&issue(inner, &identity.name, &key, recipient, serial)?))
}

/// Later than any that the machine has.
fn serial(inner: &Inner, name: &Name) -> i64 {
    let last = inner.roster.known(name).map_or(0, |machine| machine.serial);
    inner.clock.now().max(last.saturating_add(1))
}

fn issue(inner: &Inner, name: &Name, key: &[u8], recipient: &str, serial: i64) -> Result<Issued, Refused> {
    inner.authority().issue(name.as_str(), key, recipient, serial, inner.clock.now()).map_err(|error| {
        tracing::warn!(%error, machine = name.as_str(), "no certificate could be made");
        refused(RefusalCode::BadRequest, format!("no certificate can be made: {error}"))
    })
}

/// The public key, if who asks has its private part.
fn proved(key: &str, proof: &str, message: &[u8]) -> Result<Vec<u8>, Refused> {
    let decoded = BASE64_STANDARD.decode(key).ok().zip(BASE64_STANDARD.decode(proof).ok());
    let proved = decoded.filter(|(key, proof)| has_key(key, message, proof)).map(|(key, _)| key);
    proved.ok_or_else(|| refused(RefusalCode::BadRequest, "`proof` isn't made with the private part of `key`"))
}

fn is_recipient(text: &str) -> bool {
    let rest = text.strip_prefix("age1").unwrap_or_default();
    rest.len() == 58 && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}
