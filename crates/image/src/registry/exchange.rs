//! One request and its answer, with a thread of its own that reads while we unpack, and that nobody has to wait for.
//!
//! The thread hands on the head and then pieces of the body through a short queue. Who waits for them looks around every
//! now and then: whether anybody still wants the image, and whether the server keeps up with [`Patience`]. Giving up is
//! dropping the queue; dropping the [`Exchange`] closes the connections, which ends threads that hang in them.

use super::RegistryError;
use crate::origin::Attend;
use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};
use ureq::{ResponseExt as _, config::ConfigBuilder, http, typestate::AgentScope};

/// How slow a server may be: within each `window` of waiting for it, `bytes_min` must come, or the rest of the answer.
/// The time we take for what came doesn't count.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long.
    pub window: Duration,
    /// How much.
    pub bytes_min: u64,
}

impl Default for Patience {
    fn default() -> Self {
        // A modem of 1996 would pass; what is slower has stopped.
        Self { window: Duration::from_secs(30), bytes_min: 64 << 10 }
    }
}

/// For a name to be looked up, and for a connection; these can't be interrupted.
const CONNECT: Duration = Duration::from_secs(10);
/// How soon it is noticed that nobody waits any more.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// Pieces of a body that wait to be unpacked, and their size.
const QUEUE: usize = 16;
const PIECE_BYTES: usize = 128 << 10;
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Connections to a registry.
pub(super) struct Exchange {
    agent: ureq::Agent,
    patience: Patience,
    registry: String,
}

/// The head of an answer, and its body to be read.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// Whose answer it is, after redirects.
    pub(super) authority: Option<String>,
    /// The values of `WWW-Authenticate`.
    pub(super) challenges: Vec<String>,
    /// `Docker-Content-Digest`
    pub(super) digest: Option<String>,
    pub(super) body: Body<'a>,
}

/// Bytes as they come.
pub(super) struct Body<'a> {
    parts: Receiver<Part>,
    piece: io::Cursor<Vec<u8>>,
    is_ended: bool,
    attend: &'a Attend<'a>,
    patience: Patience,
    registry: String,
    /// Of the current window.
    waited: Duration,
    received: u64,
}

enum Part {
    Head { status: u16, authority: Option<String>, challenges: Vec<String>, digest: Option<String> },
    Piece(Vec<u8>),
    End,
    Failed(String),
}

impl Exchange {
    pub(super) fn new(config: ConfigBuilder<AgentScope>, patience: Patience, registry: String) -> Self {
        let config = config
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(patience.window))
            .timeout_per_write(Some(patience.window))
            .max_response_header_size(HEADER_BYTES_MAX);
        Self { agent: config.build().new_agent(), patience, registry }
    }

    /// Asks, and waits for the head of the answer. Headers without a value are left out.
    pub(super) fn get<'a>(
        &self,
        url: &str,
        headers: &[(&str, Option<&str>)],
        attend: &'a Attend<'a>,
    ) -> Result<Answer<'a>, RegistryError> {
        let request = headers.iter().fold(self.agent.get(url), |request, (name, value)| match value {
            Some(value) => request.header(*name, *value),
            None => request,
        });
        let (to, parts) = sync_channel(QUEUE);
        // It isn't waited for: it ends by itself once nobody listens or the connection is closed.
        let started = thread::Builder::new().name("abide-pull".to_owned()).spawn(move || {
            let end = run(request, &to).unwrap_or_else(|error| Part::Failed(reason(&error)));
            // Nobody may listen any more.
            let _ = to.send(end);
        });
        started.map_err(|error| self.unreachable(format!("no thread can be started: {error}")))?;
        let mut body = Body {
            parts,
            piece: io::Cursor::default(),
            is_ended: false,
            attend,
            patience: self.patience,
            registry: self.registry.clone(),
            waited: Duration::ZERO,
            received: 0,
        };
        match body.wait()? {
            Part::Head { status, authority, challenges, digest } => {
                Ok(Answer { status, authority, challenges, digest, body })
            }
            Part::Failed(why) => Err(self.unreachable(why)),
            Part::Piece(_) | Part::End => Err(self.unreachable("its answer has no head".to_owned())),
        }
    }

    fn unreachable(&self, why: String) -> RegistryError {
        RegistryError::Unreachable { registry: self.registry.clone(), why }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.agent.clone().shutdown();
    }
}

impl Body<'_> {
    fn wait(&mut self) -> Result<Part, RegistryError> {
        loop {
            let began = Instant::now();
            let part = self.parts.recv_timeout(LOOK_AROUND);
            self.waited += began.elapsed();
            if let Ok(Part::Piece(piece)) = &part {
                self.received += piece.len() as u64;
            }
            if self.waited >= self.patience.window {
                let Patience { window, bytes_min } = self.patience;
                if self.received < bytes_min && !matches!(part, Ok(Part::End)) {
                    let (registry, seconds) = (self.registry.clone(), window.as_secs());
                    return Err(RegistryError::Slow { registry, bytes_min, seconds });
                }
                (self.waited, self.received) = (Duration::ZERO, 0);
            }
            match part {
                Ok(part) => return Ok(part),
                Err(RecvTimeoutError::Timeout) if !self.attend.is_cancelled() => {}
                Err(RecvTimeoutError::Timeout) => return Ok(Part::Failed("cancelled".to_owned())),
                Err(RecvTimeoutError::Disconnected) => return Ok(Part::Failed("it broke off".to_owned())),
            }
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read != 0 || buffer.is_empty() || self.is_ended {
                return Ok(read);
            }
            match self.wait().map_err(io::Error::other)? {
                Part::Piece(piece) => self.piece = io::Cursor::new(piece),
                Part::End => self.is_ended = true,
                Part::Failed(why) => {
                    let registry = self.registry.clone();
                    return Err(io::Error::other(RegistryError::Unreachable { registry, why }));
                }
                Part::Head { .. } => {}
            }
        }
    }
}

/// In the thread: asks, and hands on what comes until it ends or nobody listens.
fn run(
    request: ureq::RequestBuilder<ureq::typestate::WithoutBody>,
    to: &SyncSender<Part>,
) -> Result<Part, ureq::Error> {
    let answer = request.call()?;
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = answer.headers();
    let head = Part::Head {
        status: answer.status().as_u16(),
        authority: answer.get_uri().authority().map(|authority| authority.as_str().to_owned()),
        challenges: headers.get_all("www-authenticate").iter().filter_map(text).collect(),
        digest: headers.get("docker-content-digest").and_then(text),
    };
    let mut is_wanted = to.send(head).is_ok();
    let mut body = answer.into_body().into_reader();
    while is_wanted {
        let mut piece = vec![0; PIECE_BYTES];
        let read = body.read(&mut piece)?;
        if read == 0 {
            break;
        }
        piece.truncate(read);
        is_wanted = to.send(Part::Piece(piece)).is_ok();
    }
    Ok(Part::End)
}

/// What went wrong, in words for who runs the machine.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name isn't known: look at the name and at this machine's DNS".to_owned(),
        ureq::Error::RequireHttpsOnly(_) => "it redirects to plain http".to_owned(),
        ureq::Error::Io(error) if error.to_string().contains("certificate") => {
            format!("{error}; if it is your own authority's, let this machine trust it")
        }
        error => error.to_string(),
    }
}
