//! A repository behind https: one connection, one deadline, Git's smart HTTP protocol (gitprotocol-http(5)).
//!
//! First contact is `GET info/refs`: it tells which protocol the server speaks, and is the only request whose redirect is
//! followed, on the same host alone, so that the token never goes anywhere else. Then a poll is one `POST`.

use crate::{
    cache::History,
    packet::{self, Packet, PacketError, printable},
    upload_pack::{self, Advertisement, Refs},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use git2::Oid;
use serde::{Deserialize, Serialize};
use std::{
    fmt, io,
    io::{Read, Write},
    time::{Duration, Instant},
};
use ureq::{
    http,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// More than the references of a very big repository need; only a server of protocol version 0 sends them all.
const ADVERTISEMENT_BYTES_MAX: u64 = 64 << 20;

/// Redirects followed on first contact.
const REDIRECTS_MAX: usize = 5;

/// What is secret, or only this machine's, about a remote repository. `Debug` shows nothing of it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// A token, or `USER:TOKEN`.
    pub(crate) token: Option<String>,
    /// Certificates in PEM to trust instead of the built-in ones.
    pub(crate) authorities: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// Why a remote repository can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error("the CA file holds no certificate in PEM")]
    Authorities,
    #[error("{0}")]
    Transport(String),
    #[error("nothing complete came within {} s", .0.as_secs_f32())]
    Deadline(Duration),
    #[error("it asks for a token (HTTP {0}): name a file with one in `credentials.tokenFile`")]
    TokenMissing(u16),
    #[error("it refuses the token (HTTP {0}): look whether it has expired and may read this repository")]
    TokenRefused(u16),
    #[error("it has no such repository, or hides it without the right token (HTTP {0})")]
    Missing(u16),
    #[error("it answers HTTP {0}")]
    Status(u16),
    #[error("it redirects to {0}: register that URL if you trust it")]
    Redirect(String),
    #[error("it answers with {0}, which is not Git: a login page or a proxy may be in between")]
    NotGit(String),
    #[error("it is a SHA-256 repository, which abide can't read yet; SHA-1 ones work")]
    Sha256,
    #[error("it speaks protocol version 0 and can't send a single commit (no `shallow`)")]
    NoShallow,
    #[error("it sends more than {0} bytes")]
    TooLarge(u64),
    #[error("it sends something that is not Git's protocol: {0}")]
    Protocol(String),
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error("storing what it sends: {0}")]
    Store(#[source] io::Error),
}

/// A remote repository that is talked to.
pub(crate) struct Remote {
    agent: ureq::Agent,
    base: String,
    authorization: Option<String>,
    deadline: Duration,
    /// What the server is able to do; forgotten when it answers oddly.
    able: Option<Advertisement>,
}

impl Remote {
    /// Prepares to talk to `url`. Each of [`refs`](Self::refs) and [`fetch`](Self::fetch) takes at most `deadline`.
    pub(crate) fn new(url: &str, secrets: &Secrets, deadline: Duration) -> Result<Self, RemoteError> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &secrets.authorities {
            let certificates: Vec<_> = parse_pem(pem.as_bytes())
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(RemoteError::Authorities);
            }
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let agent = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .max_redirects(0)
            // The child has no environment; what answers the poll must be what is fetched from.
            .proxy(None)
            .http_status_as_error(false)
            .user_agent(concat!("git/2.0 (abide ", env!("CARGO_PKG_VERSION"), ")"))
            .build()
            .new_agent();
        let authorization = secrets.token.as_deref().map(str::trim).filter(|token| !token.is_empty()).map(|token| {
            // Forges take a token as the password of any user.
            let pair = if token.contains(':') { token.to_owned() } else { format!("git:{token}") };
            format!("Basic {}", BASE64_STANDARD.encode(pair))
        });
        Ok(Self { agent, base: url.trim_end_matches('/').to_owned(), authorization, deadline, able: None })
    }

    /// The commit that `branch` points to, and where all of the repository is wanted, its tags; none if there is no such
    /// branch. A broken answer is an error, never "none".
    pub(crate) fn refs(&mut self, branch: &str, history: History) -> Result<Refs, RemoteError> {
        let end = Instant::now() + self.deadline;
        let name = format!("refs/heads/{branch}");
        // A server of version 0 says where its branches are in the advertisement itself, so each poll needs a new one.
        if !matches!(self.able, Some(Advertisement::V2)) {
            self.able = Some(self.discover(end)?);
        }
        if let Some(Advertisement::V0 { refs, .. }) = &self.able {
            return Ok(upload_pack::refs_of(refs, &name, history));
        }
        let answer = self.post(&upload_pack::ls_refs(&name, history), end);
        let refs = answer.and_then(|mut body| {
            let refs = upload_pack::read_refs(&mut (&mut body).take(ADVERTISEMENT_BYTES_MAX), &name)?;
            drain(&mut body)?;
            Ok(refs)
        });
        if refs.is_err() {
            self.able = None;
        }
        refs.map_err(|error| self.late(error, end))
    }

    /// Writes the pack of these commits or tags, without what commit `have` has already, to `pack`.
    pub(crate) fn fetch(
        &mut self,
        wants: &[Oid],
        have: Option<Oid>,
        history: History,
        pack: &mut dyn Write,
        bytes_max: u64,
    ) -> Result<(), RemoteError> {
        let end = Instant::now() + self.deadline;
        if self.able.is_none() {
            self.able = Some(self.discover(end)?);
        }
        let request = match &self.able {
            Some(Advertisement::V0 { capabilities, .. }) => {
                if history == History::None && !capabilities.iter().any(|word| word == "shallow") {
                    return Err(RemoteError::NoShallow);
                }
                upload_pack::fetch_v0(wants, have, history)
            }
            _ => upload_pack::fetch_v2(wants, have, history),
        };
        let result = self.post(&request, end).and_then(|mut body| {
            upload_pack::read_pack(&mut body, pack, bytes_max)?;
            drain(&mut body)
        });
        result.map_err(|error| self.late(error, end))
    }

    /// First contact.
    fn discover(&mut self, end: Instant) -> Result<Advertisement, RemoteError> {
        const SERVICE: &str = "/info/refs?service=git-upload-pack";
        for _ in 0..=REDIRECTS_MAX {
            let request = self.agent.get(format!("{}{SERVICE}", self.base)).header("Git-Protocol", "version=2");
            let request = match &self.authorization {
                Some(authorization) => request.header("Authorization", authorization),
                None => request,
            };
            let answer = request.config().timeout_global(Some(left(end))).build().call();
            let answer = answer.map_err(|error| self.late(transport(&error), end))?;
            if answer.status().is_redirection() {
                let to = answer.headers().get("location").map(|value| printable(value.as_bytes())).unwrap_or_default();
                self.base = follow(&self.base, &to, SERVICE).ok_or(RemoteError::Redirect(to))?;
                continue;
            }
            let mut body = self.body(answer, "application/x-git-upload-pack-advertisement")?;
            let read = upload_pack::read_advertisement(&mut (&mut body).take(ADVERTISEMENT_BYTES_MAX));
            let able = read.and_then(|able| drain(&mut body).map(|()| able));
            return able.map_err(|error| self.late(error, end));
        }
        Err(RemoteError::Redirect("itself, again and again".to_owned()))
    }

    fn post(&self, request: &str, end: Instant) -> Result<impl Read + use<>, RemoteError> {
        let post = self
            .agent
            .post(format!("{}/git-upload-pack", self.base))
            .header("Content-Type", "application/x-git-upload-pack-request")
            .header("Accept", "application/x-git-upload-pack-result")
            .header("Git-Protocol", "version=2");
        let post = match &self.authorization {
            Some(authorization) => post.header("Authorization", authorization),
            None => post,
        };
        let answer = post.config().timeout_global(Some(left(end))).build().send(request.as_bytes());
        let answer = answer.map_err(|error| self.late(transport(&error), end))?;
        self.body(answer, "application/x-git-upload-pack-result")
    }

    /// The body, if it is what was asked for.
    fn body(&self, answer: http::Response<ureq::Body>, wanted: &str) -> Result<impl Read + use<>, RemoteError> {
        let status = answer.status().as_u16();
        match (status, &self.authorization) {
            (200, _) => {}
            (401 | 403, None) => return Err(RemoteError::TokenMissing(status)),
            (401 | 403, Some(_)) => return Err(RemoteError::TokenRefused(status)),
            (404 | 410, _) => return Err(RemoteError::Missing(status)),
            _ => return Err(RemoteError::Status(status)),
        }
        let kind = answer.headers().get("content-type").map_or(&b"no content type"[..], http::HeaderValue::as_bytes);
        if kind != wanted.as_bytes() {
            return Err(RemoteError::NotGit(printable(kind)));
        }
        Ok(answer.into_body().into_reader())
    }

    /// Whatever breaks once the deadline is over broke because of it.
    fn late(&self, error: RemoteError, end: Instant) -> RemoteError {
        match error {
            RemoteError::Packet(PacketError::Broken(_)) | RemoteError::Transport(_) if Instant::now() >= end => {
                RemoteError::Deadline(self.deadline)
            }
            error => error,
        }
    }
}

/// How long until `end`; never zero, which would mean no deadline.
fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// Reads to the very end, so that the connection is kept for the next poll.
fn drain(body: &mut dyn Read) -> Result<(), RemoteError> {
    io::copy(&mut body.take(ADVERTISEMENT_BYTES_MAX), &mut io::sink()).map_err(PacketError::Broken)?;
    Ok(())
}

/// Where a redirect of first contact leads, if that is a repository on the same host.
fn follow(base: &str, to: &str, service: &str) -> Option<String> {
    let origin = |url: &str| {
        let uri: http::Uri = url.parse().ok()?;
        Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
    };
    let from = origin(base)?;
    let to =
        if to.starts_with('/') && !to.starts_with("//") { format!("{}://{}{to}", from.0, from.1) } else { to.into() };
    (origin(&to)? == from).then(|| to.strip_suffix(service).map(str::to_owned)).flatten()
}

fn transport(error: &ureq::Error) -> RemoteError {
    RemoteError::Transport(match error {
        ureq::Error::HostNotFound => "its name isn't known: look at the URL and at this machine's DNS".to_owned(),
        // What TLS has to say comes as an error of the stream.
        ureq::Error::Io(error) if error.to_string().contains("certificate") => {
            format!("{error}; if it is your own authority's, name its file in `credentials.caFile`")
        }
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    })
}

/// Skips to the first packet of data.
pub(crate) fn data(from: &mut dyn Read) -> Result<Vec<u8>, RemoteError> {
    loop {
        if let Packet::Data(data) = packet::read(from)? {
            return Ok(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_on_its_host() {
        let service = "/info/refs?service=git-upload-pack";
        let to = |to: &str| follow("https://a.example/x", to, service);
        assert_eq!(to(&format!("https://A.example/y.git{service}")).as_deref(), Some("https://A.example/y.git"));
        assert_eq!(to(&format!("/y.git{service}")).as_deref(), Some("https://a.example/y.git"));
        assert_eq!(to("/login"), None);
        assert_eq!(to(&format!("http://a.example/y{service}")), None);
        assert_eq!(to(&format!("https://a.example:444/y{service}")), None);
        assert_eq!(to(&format!("//b.example/y{service}")), None);
        assert_eq!(to(&format!("https://a.example@b.example/y{service}")), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let secrets = Secrets { token: Some("hunter2".to_owned()), authorities: None };
        assert_eq!(format!("{secrets:?}"), "Secrets");
    }
}
