//! Which request is what, and what all of them have in common.

use super::{
    Inner,
    admit::{self, Admission, Shown, Signer, admit},
    answer::{self, Answer, Refused, refused, refused_as},
    authority::Identity,
    enroll, objects, openapi, poll, report,
    shares::{Share, block},
};
use crate::{
    protocol::{REQUEST_BYTES_MAX, RefusalCode},
    store::{Machine, Millis, NewMachine},
};
use abide_spec::Name;
use hyper::{
    Method, Request, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT_ENCODING, ALLOW, CONNECTION, HeaderValue},
};
use serde::de::DeserializeOwned;
use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

/// For how long a request waits for its turn.
pub(super) const TURN: Duration = Duration::from_secs(2);

/// Of an enrolment: anybody may send one.
const ENROLMENT_BYTES_MAX: usize = 16 << 10;

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// As its certificate says, if it showed one.
    pub(super) identity: Option<Identity>,
    /// That certificate's public key, as [`Machine::key`].
    pub(super) key: Option<String>,
    /// Until when that is good: milliseconds since 1970.
    pub(super) expires_at: Option<i64>,
    /// The issuing key that signed it, if that was the present one when it was shown.
    pub(super) signer: Option<[u8; 32]>,
    pub(super) address: IpAddr,
    /// It came when there were nearly too many.
    pub(super) is_full: bool,
}

/// Answers one request.
pub(super) async fn answer(inner: &Arc<Inner>, peer: &Peer, request: Request<Incoming>) -> Answer {
    let is_head = request.method() == Method::HEAD;
    let mut answer = granted(inner, peer, request).await.unwrap_or_else(|refusal| {
        inner.counters.refused.fetch_add(1, Ordering::Relaxed);
        *refusal
    });
    if peer.is_full || *inner.ending.borrow() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if is_head { answer.map(|_| answer::Content::default()) } else { answer }
}

async fn granted(inner: &Arc<Inner>, peer: &Peer, request: Request<Incoming>) -> Result<Answer, Refused> {
    let path = request.uri().path().to_owned();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match (path.as_str(), is_read) {
        ("/v1/health", true) => return health(inner),
        ("/v1/openapi.json", true) => return Ok(answer::text("application/json", openapi::text())),
        ("/v1/health" | "/v1/openapi.json", false) => return Err(only("GET, HEAD")),
        ("/v1/enroll" | "/v1/renew" | "/v1/poll" | "/v1/report" | "/v1/chain" | "/v1/objects", _) => {
            if request.method() != Method::POST {
                return Err(only("POST"));
            }
        }
        _ => {
            return Err(refused_as(
                StatusCode::NOT_FOUND,
                format!("there is nothing at {path:?}: is this hub older than what asks?"),
            ));
        }
    }
    if peer.is_full {
        return Err(refused(RefusalCode::Unavailable, "this hub has as many machines as it can: try again later"));
    }
    let is_enrolment = path == "/v1/enroll";
    let share = share(inner, peer, is_enrolment)?;
    // It comes before it takes a place: who sends slowly keeps nobody else out.
    let is_gzip = takes_gzip(&request);
    let body = body(inner, request, if is_enrolment { ENROLMENT_BYTES_MAX } else { REQUEST_BYTES_MAX }).await?;
    let place = timeout(TURN, Arc::clone(&inner.requests).acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        return Err(refused(RefusalCode::Unavailable, "this hub has too much to do: try again later"));
    };
    if is_enrolment {
        return enroll::enroll(inner, peer, parse(&body)?).await;
    }
    let (shown, machine) = admitted(inner, peer, path == "/v1/renew").await?;
    let answer = match path.as_str() {
        "/v1/poll" => poll::poll(inner, shown, machine, parse(&body)?, place).await,
        "/v1/renew" => enroll::renew(inner, shown, &machine, parse(&body)?).await,
        "/v1/report" => report::report(inner, &machine, parse(&body)?).await,
        "/v1/chain" => objects::chain(inner, &machine.name, parse(&body)?, is_gzip).await,
        _ => objects::objects(inner, &machine.name, parse(&body)?, is_gzip).await,
    }?;
    Ok(answer.map(|content| content.of(share)))
}

/// What who asks has of all that may be under way, before anything of it is read.
fn share(inner: &Inner, peer: &Peer, is_enrolment: bool) -> Result<Option<Share<Name>>, Refused> {
    if is_enrolment {
        if !inner.enrolments.may(block(peer.address), Instant::now(), inner.limits.enrolments) {
            return Err(refused(RefusalCode::Busy, "too many enrolments from this address: try again later"));
        }
        return Ok(None);
    }
    let name = &identity(peer)?.name;
    let share = inner.shares.take(name, inner.limits.requests_each);
    let busy = || refused(RefusalCode::Busy, "this machine has as many requests under way as it may: try again later");
    share.map(Some).ok_or_else(busy)
}

async fn body(inner: &Inner, request: Request<Incoming>, most: usize) -> Result<Bytes, Refused> {
    let body = timeout(inner.limits.patience, answer::read(request.into_body(), most)).await;
    let late = |_| refused_as(StatusCode::REQUEST_TIMEOUT, "the request didn't come to its end");
    let big = || refused_as(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {most} bytes"));
    body.map_err(late)?.ok_or_else(big)
}

fn identity(peer: &Peer) -> Result<&Identity, Refused> {
    let why = "this needs a machine's certificate: enrol it with `abide enroll`";
    peer.identity.as_ref().ok_or_else(|| refused(RefusalCode::Unknown, why))
}

/// The place among those that are worked on: what waits gives it back.
pub(super) type Place = OwnedSemaphorePermit;

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| refused(RefusalCode::BadRequest, format!("no such request: {error}")))
}

fn only(methods: &'static str) -> Refused {
    let mut answer = refused_as(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods} is known there"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn takes_gzip(request: &Request<Incoming>) -> bool {
    let words = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    words.split(',').any(|word| word.split(';').next().is_some_and(|word| word.trim() == "gzip"))
}

fn health(inner: &Inner) -> Result<Answer, Refused> {
    if *inner.ending.borrow() {
        Err(refused(RefusalCode::Unavailable, "this hub process ends"))
    } else if inner.roster.is_told() {
        Ok(answer::json(&serde_json::json!({"hub": inner.hub, "fleet": inner.authority().fleet()})))
    } else {
        Err(refused(RefusalCode::Unavailable, "the hub's database doesn't answer"))
    }
}

/// The machine that asks, if it may. One with a certificate that the store doesn't know is taken as what it proves to be.
async fn admitted<'a>(
    inner: &Arc<Inner>,
    peer: &'a Peer,
    is_renewal: bool,
) -> Result<(Shown<'a>, Arc<Machine>), Refused> {
    let identity = identity(peer)?;
    let now = inner.clock.now();
    if !is_renewal && peer.expires_at.is_none_or(|end| now > end) {
        let why = format!("the certificate of {} has expired: renew it", identity.name.as_str());
        return Err(refused(RefusalCode::Unknown, why));
    }
    let authority = inner.authority();
    let known = inner.roster.known(&identity.name);
    // What was signed by another key than there is now may be from before that was stolen, or by who stole it.
    let is_present = peer.signer == Some(authority.issuing_sha256());
    let signer = if is_present { Signer::Present } else { Signer::Other };
    let shown = Shown { identity, key: peer.key.as_deref().unwrap_or_default(), signer };
    match (admit(shown, authority.fleet(), known.as_deref()), known) {
        (Admission::Known, Some(machine)) => return Ok((shown, machine)),
        (Admission::Refused(code, why), _) => return Err(refused(code, why)),
        (Admission::Known | Admission::Adopt | Admission::Doubted, _) => {}
    }
    // Another process of this hub may just have written what isn't known here yet, so the store itself is asked.
    let new = NewMachine {
        name: identity.name.clone(),
        key: shown.key.to_owned(),
        serial: identity.serial,
        recipient: identity.recipient.clone(),
    };
    let machine = inner
        .with_store(move |store| {
            if is_present && store.adopt(&new, Millis(now))? {
                tracing::info!(
                    machine = new.name.as_str(),
                    "a machine shows that it is newer than what is known of it: it is taken as such"
                );
            }
            store.machine(&new.name)
        })
        .await?;
    let Some(machine) = machine else {
        return Err(refused(RefusalCode::Unknown, format!("there is no machine {}", identity.name.as_str())));
    };
    inner.roster.apply(vec![machine.clone()], Instant::now());
    match admit(shown, authority.fleet(), Some(&machine)) {
        Admission::Refused(code, why) => Err(refused(code, why)),
        Admission::Doubted => Err(refused(RefusalCode::Unknown, admit::doubted(identity.name.as_str()))),
        Admission::Known | Admission::Adopt => Ok((shown, Arc::new(machine))),
    }
}
