//! Which request is what, and what all of them have in common.

use super::{
    Inner,
    admit::{Admission, admit},
    answer::{self, Answer, Refused, refused, refused_as},
    authority::Identity,
    enroll, objects, openapi, poll, report,
};
use crate::{
    protocol::{REQUEST_BYTES_MAX, RefusalCode},
    store::{Machine, Millis, NewMachine},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::{
    Method, Request, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT_ENCODING, ALLOW, CONNECTION, HeaderValue},
};
use serde::de::DeserializeOwned;
use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

/// For how long a request waits for its turn.
const TURN: Duration = Duration::from_secs(2);

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// As its certificate says, if it showed one.
    pub(super) identity: Option<Identity>,
    /// That certificate's public key.
    pub(super) key: Option<Vec<u8>>,
    /// Until when that is good: milliseconds since 1970.
    pub(super) expires_at: Option<i64>,
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
    let place = timeout(TURN, Arc::clone(&inner.requests).acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        return Err(refused(RefusalCode::Unavailable, "this hub has too much to do: try again later"));
    };
    let is_gzip = takes_gzip(&request);
    let body = timeout(inner.limits.patience, answer::read(request.into_body(), REQUEST_BYTES_MAX)).await;
    let Some(body) = body.map_err(|_| refused_as(StatusCode::REQUEST_TIMEOUT, "the request didn't come to its end"))?
    else {
        let why = format!("a request has at most {REQUEST_BYTES_MAX} bytes");
        return Err(refused_as(StatusCode::PAYLOAD_TOO_LARGE, why));
    };
    if path == "/v1/enroll" {
        return Ok(enroll::enroll(inner, peer, parse(&body)?).await?.map(|content| content.holding(Some(place))));
    }
    let (identity, machine) = admitted(inner, peer, path == "/v1/renew").await?;
    if path == "/v1/poll" {
        return poll::poll(inner, identity, machine, parse(&body)?, place).await;
    }
    let answer = match path.as_str() {
        "/v1/renew" => enroll::renew(inner, identity, &machine, parse(&body)?).await,
        "/v1/report" => report::report(inner, &machine, parse(&body)?).await,
        "/v1/chain" => objects::chain(inner, parse(&body)?, is_gzip).await,
        _ => objects::objects(inner, parse(&body)?, is_gzip).await,
    }?;
    Ok(answer.map(|content| content.holding(Some(place))))
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
) -> Result<(&'a Identity, Arc<Machine>), Refused> {
    let Some(identity) = &peer.identity else {
        return Err(refused(RefusalCode::Unknown, "this needs a machine's certificate: enrol it with `abide enroll`"));
    };
    let now = inner.clock.now();
    if !is_renewal && peer.expires_at.is_none_or(|end| now > end) {
        let why = format!("the certificate of {} has expired: renew it", identity.name.as_str());
        return Err(refused(RefusalCode::Unknown, why));
    }
    let authority = inner.authority();
    let known = inner.roster.known(&identity.name);
    match (admit(identity, authority.fleet(), known.as_deref()), known) {
        (Admission::Known, Some(machine)) => return Ok((identity, machine)),
        (Admission::Refused(code, why), _) => return Err(refused(code, why)),
        (Admission::Known | Admission::Adopt, _) => {}
    }
    // Another process of this hub may just have written what isn't known here yet, so the store itself is asked.
    let new = NewMachine {
        name: identity.name.clone(),
        key: BASE64_STANDARD.encode(peer.key.as_deref().unwrap_or_default()),
        serial: identity.serial,
        recipient: identity.recipient.clone(),
    };
    let machine = inner
        .with_store(move |store| {
            if store.adopt(&new, Millis(now))? {
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
    inner.roster.apply(vec![machine.clone()], std::time::Instant::now());
    match admit(identity, authority.fleet(), Some(&machine)) {
        Admission::Refused(code, why) => Err(refused(code, why)),
        Admission::Known | Admission::Adopt => Ok((identity, Arc::new(machine))),
    }
}
