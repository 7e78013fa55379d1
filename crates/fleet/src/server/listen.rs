//! Connections: taken, held, ended.

use super::{
    Inner,
    authority::{Identity, expires_at},
    limits::Limits,
    route::{self, Peer},
    shares::{Share, block},
};
use crate::alive;
use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::pki_types::CertificateDer;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The pause after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// For how long connections may end by themselves when the hub ends.
const ENDING: Duration = Duration::from_secs(2);

/// Requests of one connection at once.
const STREAMS_MAX: u32 = 16;

/// Of a request's header.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// A connection, as its requests see it.
#[derive(Debug)]
pub(super) struct Use {
    under_way: AtomicUsize,
    /// When a request began or ended last.
    at: Mutex<Instant>,
    sent: Mutex<Sent>,
    /// Rung when one ended, or begins to be answered: from then on the connection may be quiet for another time.
    changed: Notify,
}

/// When a piece of each answer that is being sent was taken last.
#[derive(Debug, Default)]
struct Sent {
    next: u64,
    taken: BTreeMap<u64, Instant>,
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    on: Arc<Use>,
    /// The number of its answer, once that is sent.
    answer: Option<u64>,
}

/// What becomes of a connection that was quiet for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quiet {
    /// Nothing is under way: it is told that this is all.
    Idle,
    /// Something is, and doesn't go on.
    Stuck,
}

impl Use {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            under_way: AtomicUsize::new(0),
            at: Mutex::new(Instant::now()),
            sent: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.touch();
        UnderWay { on: Arc::clone(self), answer: None }
    }

    fn touch(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when it may be quiet, and what becomes of it then.
    fn quiet_until(&self, limits: &Limits) -> (Instant, Quiet) {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if self.under_way.load(Ordering::Relaxed) == 0 {
            return (at + limits.patience, Quiet::Idle);
        }
        // Whatever else is asked meanwhile, each answer has to be taken.
        let stalled = self.sent().taken.values().min().map(|taken| *taken + limits.stall);
        let late = at + limits.wait + limits.request;
        (stalled.map_or(late, |stalled| stalled.min(late)), Quiet::Stuck)
    }
}

impl UnderWay {
    /// Its answer is sent, and another piece of that is taken.
    pub(super) fn advance(&mut self) {
        let mut sent = self.on.sent();
        let answer = *self.answer.get_or_insert_with(|| {
            sent.next += 1;
            sent.next
        });
        let is_first = sent.taken.insert(answer, Instant::now()).is_none();
        drop(sent);
        if is_first {
            self.on.changed.notify_one();
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(answer) = self.answer {
            self.on.sent().taken.remove(&answer);
        }
        self.on.under_way.fetch_sub(1, Ordering::Relaxed);
        self.on.touch();
        self.on.changed.notify_one();
    }
}

/// Takes connections, for ever.
pub(super) async fn accept(inner: &Arc<Inner>, listener: TcpListener) {
    loop {
        let Ok(place) = Arc::clone(&inner.connections).acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, as a rule: some have to be closed first.
                tracing::warn!(%error, "could not accept a connection");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        inner.counters.connections.fetch_add(1, Ordering::Relaxed);
        let is_full = inner.connections.available_permits() < inner.limits.connections / 10;
        let inner = Arc::clone(inner);
        tokio::spawn(async move {
            // A handshake's state is much bigger than what is left of it.
            let shaken = Box::pin(shake(&inner, stream)).await;
            if let Some(stream) = shaken {
                let peer = Arc::new(peer(&inner, &stream, address.ip(), is_full));
                let stranger = if peer.identity.is_none() { Some(stranger(&inner, &peer)) } else { None };
                // Who shows no certificate is one of few: all others have to find room.
                if !matches!(stranger, Some(None)) {
                    serve(&inner, stream, peer).await;
                }
                drop(stranger);
            }
            drop(place);
        });
    }
}

async fn shake(inner: &Inner, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    // Small answers shouldn't wait for more.
    drop(stream.set_nodelay(true));
    alive::watch(&stream);
    let accepting = TlsAcceptor::from(Arc::clone(&inner.tls)).accept(stream);
    match timeout(inner.limits.patience, accepting).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            inner.counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%error, "a handshake failed");
            None
        }
        Err(_) => {
            inner.counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// Room for one without a certificate, if there is any.
fn stranger(inner: &Inner, peer: &Peer) -> Option<(OwnedSemaphorePermit, Share<IpAddr>)> {
    let place = Arc::clone(&inner.strangers).try_acquire_owned().ok()?;
    Some((place, inner.strangers_each.take(&block(peer.address), inner.limits.strangers.1)?))
}

fn peer(inner: &Inner, stream: &TlsStream<TcpStream>, address: IpAddr, is_full: bool) -> Peer {
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    // The verifier has taken no certificate that names no machine.
    let identity = certificate.and_then(|certificate| Identity::of(certificate).ok());
    let expires_at = certificate.and_then(expires_at);
    let authority = inner.authority();
    let signer =
        certificate.filter(|certificate| authority.has_signed(certificate)).map(|_| authority.issuing_sha256());
    let key = certificate.and_then(point).map(|key| BASE64_STANDARD.encode(key));
    Peer { key, identity, expires_at, signer, address, is_full }
}

/// The public key of a certificate of ours.
fn point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let info = certificate.subject_public_key_info();
    // It is of P-256, and ends with the point: 4, and two numbers of 32 bytes.
    let point = info.get(info.len().checked_sub(65)?..)?;
    (point.first() == Some(&4)).then(|| point.to_vec())
}

async fn serve(inner: &Arc<Inner>, stream: TlsStream<TcpStream>, peer: Arc<Peer>) {
    let used = Use::new();
    let service = {
        let (inner, used) = (Arc::clone(inner), Arc::clone(&used));
        service_fn(move |request: hyper::Request<Incoming>| {
            let (inner, peer, under_way) = (Arc::clone(&inner), Arc::clone(&peer), used.begin());
            async move {
                let answer = Box::pin(route::answer(&inner, &peer, request)).await;
                Ok::<_, Infallible>(answer.map(|content| content.under_way(under_way)))
            }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(inner.limits.patience)
        .max_buf_size(HEADER_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut ending = inner.ending.subscribe();
    loop {
        // It may be later by the time it comes, and is then looked at again.
        let (until, _) = used.quiet_until(&inner.limits);
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            _ = ending.wait_for(|ending| *ending) => break,
            () = used.changed.notified() => {}
            () = sleep_until(until) => match used.quiet_until(&inner.limits) {
                (later, _) if later > Instant::now() => {}
                (_, Quiet::Stuck) => return,
                (_, Quiet::Idle) => break,
            },
        }
    }
    connection.as_mut().graceful_shutdown();
    drop(timeout(ENDING, connection).await);
}

/// Waits for connections to end, for a while.
pub(super) async fn end(inner: &Inner) {
    let all = u32::try_from(inner.limits.connections).unwrap_or(u32::MAX);
    drop(timeout(ENDING, inner.connections.acquire_many(all)).await);
}
