//! The admin socket, for who may open it: its mode is 0600.

use super::{
    Inner, Server,
    answer::{self, Answer, Refused, json, nothing, refused, refused_as},
    metrics,
};
use crate::{
    admin::{
        detail::{Detail, Labels},
        machine::{Filter, Machines},
        rollout::{self, Look, Looked, NotPaused, Pause, Rollouts},
        token::{Created, NewToken, Tokens},
    },
    link::Address,
    protocol::{REQUEST_BYTES_MAX, RefusalCode},
    store::Millis,
};
use abide_spec::Name;
use hyper::{
    Method, Request, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    task::{JoinError, spawn_blocking},
    time::sleep,
};

/// The pause after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// A label's key and value, each.
const LABEL_CHARS_MAX: usize = 63;

impl Server {
    /// Answers at the admin socket, for ever. `reached` is where machines reach this hub.
    pub async fn serve_admin(&self, listener: UnixListener, reached: &Address) {
        let url: Arc<str> = reached.to_string().into();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, Door::Admin { url: Arc::clone(&url) }),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection at the admin socket");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    /// Tells anybody how it goes, for ever.
    pub async fn serve_metrics(&self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, Door::Metrics),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection for metrics");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    fn spawn(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, door: Door) {
        let inner = Arc::clone(&self.0);
        let patience = inner.limits.patience;
        let service = service_fn(move |request: Request<Incoming>| {
            let (inner, door) = (Arc::clone(&inner), door.clone());
            async move {
                let answer = Box::pin(granted(&inner, door, request)).await;
                Ok::<_, Infallible>(answer.unwrap_or_else(|refusal| *refusal))
            }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(patience);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

/// Where somebody came in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Door {
    Admin { url: Arc<str> },
    Metrics,
}

async fn granted(inner: &Arc<Inner>, door: Door, request: Request<Incoming>) -> Result<Answer, Refused> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let bad = |why: String| refused(RefusalCode::BadRequest, why);
    let parts: Option<Vec<String>> = uri.path().split('/').skip(1).map(decode).collect();
    let parts = parts.ok_or_else(|| bad("no such path".to_owned()))?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if (&method, &parts[..]) == (&Method::GET, &["metrics"]) {
        return Ok(answer::text("text/plain; version=0.0.4", metrics::text(inner)));
    }
    let Door::Admin { url } = door else { return Err(refused_as(StatusCode::NOT_FOUND, "only /metrics is here")) };
    let body = answer::read(request.into_body(), REQUEST_BYTES_MAX).await;
    let body = body.ok_or_else(|| bad(format!("a request has at most {REQUEST_BYTES_MAX} bytes")))?;
    match (&method, &parts[..]) {
        (&Method::GET, ["admin", "machines"]) => machines(inner, uri.query().unwrap_or_default()),
        (&Method::GET, ["admin", "machines", name]) => detail(inner, &machine(name)?).await,
        (&Method::PATCH, ["admin", "machines", name]) => label(inner, machine(name)?, parse(&body)?).await,
        (&Method::DELETE, ["admin", "machines", name]) => revoke(inner, machine(name)?).await,
        (&Method::POST, ["admin", "machines", name, "retry"]) => retry(inner, machine(name)?).await,
        (&Method::GET, ["admin", "tokens"]) => {
            let tokens = inner.with_own_store(|store| store.tokens()).await?;
            Ok(json(&Tokens { tokens: tokens.into_iter().map(Into::into).collect() }))
        }
        (&Method::POST, ["admin", "tokens"]) => create(inner, &url, parse(&body)?).await,
        (&Method::DELETE, ["admin", "tokens", id]) => remove(inner, (*id).to_owned()).await,
        (&Method::POST, ["admin", "authority"]) => authority(inner).await,
        (&Method::GET, ["admin", "rollouts"]) => Ok(json(&inner.with_own_store(|store| Rollouts::read(store)).await?)),
        (&Method::POST, ["admin", "repository", "look"]) => {
            let asked: Option<Look> = if body.is_empty() { None } else { parse(&body)? };
            look(inner, asked.and_then(|asked| asked.commit)).await
        }
        (&Method::PUT, ["admin", "rollouts", name]) => pause(inner, (*name).to_owned(), parse(&body)?).await,
        _ => Err(refused_as(StatusCode::NOT_FOUND, format!("{method} {} is nothing that is known here", uri.path()))),
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| refused(RefusalCode::BadRequest, format!("no such request: {error}")))
}

fn machine(name: &str) -> Result<Name, Refused> {
    name.parse::<Name>().map_err(|error| refused(RefusalCode::BadRequest, error.to_string()))
}

fn nobody(name: &Name) -> Refused {
    refused_as(StatusCode::NOT_FOUND, format!("there is no machine {name}: `abide hub machine list` shows all"))
}

fn machines(inner: &Inner, query: &str) -> Result<Answer, Refused> {
    let bad = |why: String| refused(RefusalCode::BadRequest, why);
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((decode(key)?, decode(value)?))
    };
    let pairs: Option<Vec<(String, String)>> = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
    let pairs = pairs.ok_or_else(|| bad("no such query".to_owned()))?;
    let filter = Filter::read(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let filter = filter.map_err(|error| bad(error.to_string()))?;
    Ok(json(&Machines::of(inner.roster.all().iter().map(|machine| &**machine), &filter)))
}

async fn detail(inner: &Inner, name: &Name) -> Result<Answer, Refused> {
    let (of, wanted) = (name.clone(), name.clone());
    let found = inner.with_own_store(move |store| {
        store.machine(&of)?.map(|machine| Ok((machine, store.happenings(&of)?))).transpose()
    });
    let (machine, happened) = found.await?.ok_or_else(|| nobody(&wanted))?;
    Ok(json(&Detail::of(&machine, happened)))
}

async fn label(inner: &Inner, name: Name, asked: Labels) -> Result<Answer, Refused> {
    let texts = asked.labels.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]).flatten();
    if texts.into_iter().any(|text| text.is_empty() || text.chars().count() > LABEL_CHARS_MAX) {
        let why = format!("a label's key and value have 1 to {LABEL_CHARS_MAX} characters each");
        return Err(refused(RefusalCode::BadRequest, why));
    }
    let of = name.clone();
    if !inner.with_own_store(move |store| store.label(&of, &asked.labels)).await? {
        return Err(nobody(&name));
    }
    inner.roster.wake();
    detail(inner, &name).await
}

async fn revoke(inner: &Inner, name: Name) -> Result<Answer, Refused> {
    let (of, now) = (name.clone(), Millis(inner.clock.now()));
    if !inner.with_own_store(move |store| store.revoke(&of, now)).await? {
        return Err(nobody(&name));
    }
    inner.roster.wake();
    tracing::info!(machine = name.as_str(), "revoked");
    detail(inner, &name).await
}

/// Who leads notices it by itself.
async fn retry(inner: &Inner, name: Name) -> Result<Answer, Refused> {
    let of = name.clone();
    if !inner.with_own_store(move |store| store.ask_retry(&of)).await? {
        return Err(nobody(&name));
    }
    tracing::info!(machine = name.as_str(), "its commit is to be tried again");
    detail(inner, &name).await
}

async fn create(inner: &Inner, url: &str, asked: NewToken) -> Result<Answer, Refused> {
    if asked.uses == 0 || asked.seconds == 0 {
        return Err(refused(
            RefusalCode::BadRequest,
            "a token lets in one machine at least, and lasts a second at least",
        ));
    }
    let drawn = asked.draw(Millis(inner.clock.now()));
    let (token, secret) = drawn.map_err(|error| refused(RefusalCode::Unavailable, error.to_string()))?;
    let id = token.id.clone();
    inner.with_own_store(move |store| store.put_token(&token)).await?;
    let token = format!("{id}.{secret}.{}", inner.authority().root_sha256());
    Ok(json(&Created { id, token, url: url.to_owned() }))
}

async fn authority(inner: &Arc<Inner>) -> Result<Answer, Refused> {
    let read = inner.reread_authority().await;
    read.map(|()| nothing()).map_err(|why| refused_as(StatusCode::INTERNAL_SERVER_ERROR, why))
}

async fn remove(inner: &Inner, id: String) -> Result<Answer, Refused> {
    let of = id.clone();
    if inner.with_own_store(move |store| store.remove_token(&of)).await? {
        Ok(nothing())
    } else {
        Err(refused_as(StatusCode::NOT_FOUND, format!("there is no token {id}: `abide hub token list` shows all")))
    }
}

async fn look(inner: &Inner, awaited: Option<String>) -> Result<Answer, Refused> {
    let unavailable = |error: JoinError| refused(RefusalCode::Unavailable, error.to_string());
    let repository = Arc::clone(&inner.repository);
    let looked = spawn_blocking(move || repository.look()).await.map_err(unavailable)?;
    let Some(awaited) = awaited else { return Ok(json(&looked)) };
    // What is rolled out is asked for after the look, so that it is known here.
    let newest = inner.with_own_store(|store| Rollouts::read(store)).await?.newest;
    let repository = Arc::clone(&inner.repository);
    let is_passed = spawn_blocking(move || repository.comes_after(&newest, &awaited)).await.map_err(unavailable)?;
    Ok(json(&Looked { is_passed, ..looked }))
}

async fn pause(inner: &Inner, name: String, asked: Pause) -> Result<Answer, Refused> {
    let paused = inner.with_own_store(move |store| match rollout::pause(store, &name, asked) {
        Ok(rollouts) => Ok(Ok(rollouts)),
        Err(NotPaused::Store(error)) => Err(error),
        Err(error @ NotPaused::Unknown { .. }) => Ok(Err(error.to_string())),
    });
    let paused = paused.await?;
    paused.map(|rollouts| json(&rollouts)).map_err(|why| refused_as(StatusCode::NOT_FOUND, why))
}

/// The text that was written so in a path or a query; none if it isn't any.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}
