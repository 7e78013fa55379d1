//! Requests to the hub. Each has deadlines and bounds for all that the other side could draw out or blow up.
//!
//! By HTTP/2 one connection carries them all; by HTTP/1.1 each that is under way has one, which is kept for the next.

use super::{
    clock::{Clock, seconds},
    dial::{Connection, Dialer, Sender, within},
    trouble::Trouble,
};
use crate::protocol::{
    ANSWER_BYTES_MAX, Chain, Enroll, Enrolled, Frame, Issued, Objects, Poll, Refusal, Renew, Report, Target,
    read_frames,
};
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HOST, HeaderMap, RETRY_AFTER},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// For the head of an answer, over what the hub was asked to wait.
const HEAD: Duration = Duration::from_secs(30);

/// For the next bytes of a body.
const NEXT_BYTES: Duration = Duration::from_secs(30);

/// For all of it: this, and a second for each [`BYTES_A_SECOND`]. A slow line is served, and one who sends a byte now and
/// then isn't.
const BODY: Duration = Duration::from_secs(60);
const BYTES_A_SECOND: u64 = 1 << 10;

/// Of an answer that is a document.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Of an answer that is objects: many, or a single one that is bigger than that.
const OBJECTS_BYTES_MAX: usize = if ANSWER_BYTES_MAX > BLOB_BYTES_MAX { ANSWER_BYTES_MAX } else { BLOB_BYTES_MAX };
const BLOB_BYTES_MAX: usize = 64 << 20;

/// What kinds and lengths of objects add to their content.
const FRAMING_BYTES_MAX: usize = 1 << 20;

/// A connection that had ended says so within this time.
const STALE: Duration = Duration::from_secs(5);

/// Connections by HTTP/1.1 that are kept without a request.
const IDLE_MAX: usize = 2;

/// A machine's way to its hub.
pub(super) struct Client {
    dialer: Dialer,
    clock: Arc<Clock>,
    kept: Mutex<Kept>,
    /// So that two who find no connection don't both make one that both could use.
    dialing: tokio::sync::Mutex<()>,
}

/// Connections that the next request can use.
#[derive(Default)]
struct Kept {
    many: Option<(hyper::client::conn::http2::SendRequest<Full<Bytes>>, tokio::task::AbortHandle)>,
    one: Vec<Connection>,
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Client {
    pub(super) fn new(dialer: Dialer, clock: Arc<Clock>) -> Self {
        Self { dialer, clock, kept: Mutex::default(), dialing: tokio::sync::Mutex::default() }
    }

    /// Has a connection made, and nothing more.
    pub(super) async fn greet(&self) -> Result<(), Trouble> {
        self.connection().await.map(drop)
    }

    /// Asks for a target; none is news.
    pub(super) async fn poll(&self, poll: &Poll) -> Result<Option<Target>, Trouble> {
        let head = Duration::from_secs(poll.wait.into()) + HEAD;
        let answer = self.ask("/v1/poll", poll, head, DOCUMENT_BYTES_MAX).await?;
        if answer.status == StatusCode::NO_CONTENT { Ok(None) } else { answer.read().map(Some) }
    }

    pub(super) async fn report(&self, report: &Report) -> Result<(), Trouble> {
        self.ask("/v1/report", report, HEAD, DOCUMENT_BYTES_MAX).await.map(drop)
    }

    pub(super) async fn enroll(&self, enroll: &Enroll) -> Result<Enrolled, Trouble> {
        self.ask("/v1/enroll", enroll, HEAD, DOCUMENT_BYTES_MAX).await?.read()
    }

    pub(super) async fn renew(&self, renew: &Renew) -> Result<Issued, Trouble> {
        self.ask("/v1/renew", renew, HEAD, DOCUMENT_BYTES_MAX).await?.read()
    }

    pub(super) async fn chain(&self, chain: &Chain) -> Result<Vec<Frame>, Trouble> {
        self.ask("/v1/chain", chain, HEAD, OBJECTS_BYTES_MAX + FRAMING_BYTES_MAX).await?.frames()
    }

    pub(super) async fn objects(&self, objects: &Objects) -> Result<Vec<Frame>, Trouble> {
        self.ask("/v1/objects", objects, HEAD, OBJECTS_BYTES_MAX + FRAMING_BYTES_MAX).await?.frames()
    }

    /// Every request may be made again: the hub knows tokens, keys, sessions and numbers that it has seen.
    async fn ask(
        &self,
        path: &str,
        what: &impl Serialize,
        head: Duration,
        bytes_max: usize,
    ) -> Result<Answer, Trouble> {
        let body = Bytes::from(serde_json::to_vec(what)?);
        let (connection, is_used) = self.connection().await?;
        let begin = Instant::now();
        let asked = self.ask_once(connection, path, body.clone(), head, bytes_max).await;
        let answer = match asked {
            // It was closed while nobody looked. Of a new one that would be news, so there is no third time: one hub
            // that answers nothing on a connection that lives would be asked at the speed of the line.
            Err(Trouble::Lost(error)) if is_used && is_stale(&error, begin.elapsed()) => {
                let connection = self.another().await?;
                self.ask_once(connection, path, body, head, bytes_max).await?
            }
            asked => asked?,
        };
        answer.granted()
    }

    async fn ask_once(
        &self,
        mut connection: Connection,
        path: &str,
        body: Bytes,
        head: Duration,
        bytes_max: usize,
    ) -> Result<Answer, Trouble> {
        let answered = self.ask_by(&mut connection, path, body, head, bytes_max).await;
        match &answered {
            Ok(_) => self.keep(connection),
            Err(Trouble::Slow { .. }) => {
                // Whatever else is under way there hangs as well.
                connection.task.abort();
                self.kept().many = None;
            }
            Err(_) => {}
        }
        answered
    }

    async fn ask_by(
        &self,
        connection: &mut Connection,
        path: &str,
        body: Bytes,
        head: Duration,
        bytes_max: usize,
    ) -> Result<Answer, Trouble> {
        let request = |uri: String| {
            let uri: Uri = uri.parse().unwrap_or_default();
            let mut request = Request::new(Full::new(body));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = uri;
            let plain = |text: &'static str| hyper::header::HeaderValue::from_static(text);
            request.headers_mut().insert(CONTENT_TYPE, plain("application/json"));
            request.headers_mut().insert(ACCEPT_ENCODING, plain("gzip"));
            request
        };
        let authority = self.dialer.address.authority();
        let asked = async {
            match &mut connection.sender {
                Sender::Many(sender) => sender.send_request(request(format!("https://{authority}{path}"))).await,
                Sender::One(sender) => {
                    let mut request = request(path.to_owned());
                    if let Ok(host) = authority.parse() {
                        request.headers_mut().insert(HOST, host);
                    }
                    sender.send_request(request).await
                }
            }
        };
        let answer = within(head, "the hub's answer", asked).await?.map_err(Trouble::Lost)?;
        if let Some(date) = date(answer.headers()) {
            self.clock.hear(date);
        }
        read(answer, bytes_max).await
    }

    /// A connection, and whether it was used before.
    async fn connection(&self) -> Result<(Connection, bool), Trouble> {
        if let Some(kept) = self.take() {
            return Ok((kept, true));
        }
        let _alone = self.dialing.lock().await;
        if let Some(kept) = self.take() {
            return Ok((kept, true));
        }
        Ok((self.dialed().await?, false))
    }

    /// A connection that nobody has used, whatever there are.
    async fn another(&self) -> Result<Connection, Trouble> {
        let _alone = self.dialing.lock().await;
        self.dialed().await
    }

    /// Makes a connection, which others use from now on as well.
    async fn dialed(&self) -> Result<Connection, Trouble> {
        let connection = self.dialer.dial().await?;
        if let Sender::Many(sender) = &connection.sender {
            self.kept().many = Some((sender.clone(), connection.task.clone()));
        }
        Ok(connection)
    }

    fn take(&self) -> Option<Connection> {
        let mut kept = self.kept();
        if kept.many.as_ref().is_some_and(|(sender, _)| sender.is_closed()) {
            kept.many = None;
        }
        if let Some((sender, task)) = &kept.many {
            return Some(Connection { sender: Sender::Many(sender.clone()), task: task.clone() });
        }
        while let Some(connection) = kept.one.pop() {
            if matches!(&connection.sender, Sender::One(sender) if sender.is_ready()) {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection) {
        let mut kept = self.kept();
        if matches!(connection.sender, Sender::One(_)) && kept.one.len() < IDLE_MAX {
            kept.one.push(connection);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// What was asked for, or why not.
    fn granted(self) -> Result<Self, Trouble> {
        if self.status.is_success() {
            return Ok(self);
        }
        let after = self.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let after = after.map(Duration::from_secs);
        Err(match serde_json::from_slice::<Refusal>(&self.body) {
            Ok(mut refusal) => {
                // It is shown on a terminal.
                refusal.message = refusal.message.chars().filter(|c| !c.is_control()).take(1000).collect();
                Trouble::Refused(refusal, after)
            }
            Err(_) => Trouble::NoHub { status: self.status.as_u16(), after },
        })
    }

    fn read<T: DeserializeOwned>(self) -> Result<T, Trouble> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// What is inflated is bounded as what is not.
    fn frames(self) -> Result<Vec<Frame>, Trouble> {
        let is_packed = self.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
        Ok(if is_packed {
            read_frames(GzDecoder::new(&self.body[..]), OBJECTS_BYTES_MAX)?
        } else {
            read_frames(&self.body[..], OBJECTS_BYTES_MAX)?
        })
    }
}

/// Whether a connection that was kept had ended before it was used again. What goes on for longer was under way.
fn is_stale(error: &hyper::Error, after: Duration) -> bool {
    error.is_canceled() || error.is_closed() || after < STALE
}

/// Reads an answer to its end, if it has one in time.
async fn read(answer: Response<Incoming>, bytes_max: usize) -> Result<Answer, Trouble> {
    let begin = Instant::now();
    let (parts, mut incoming) = answer.into_parts();
    let mut body = Vec::new();
    loop {
        let whole = BODY + Duration::from_secs(body.len() as u64 / BYTES_A_SECOND);
        let end = (begin + whole).min(Instant::now() + NEXT_BYTES);
        let frame = timeout_at(end, incoming.frame()).await;
        let frame =
            frame.map_err(|_| Trouble::Slow { what: "the rest of the hub's answer", after: begin.elapsed() })?;
        let Some(frame) = frame else { break };
        if let Ok(data) = frame.map_err(Trouble::Lost)?.into_data() {
            if body.len() + data.len() > bytes_max {
                return Err(Trouble::TooBig(bytes_max));
            }
            body.extend_from_slice(&data);
        }
    }
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// The hub's clock.
fn date(headers: &HeaderMap) -> Option<i64> {
    headers.get(DATE)?.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok()).map(seconds)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.dialer.address)
    }
}
