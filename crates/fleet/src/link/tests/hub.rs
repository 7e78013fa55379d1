//! The hub.

use crate::{
    link::{Address, Folder, Identity, Own, Token, clock::Clock, enroll},
    protocol::{Enroll, Enrolled, Issued, Refusal, RefusalCode},
    server::authority::{Authority, Identity as Certified, Init},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming},
    header::{DATE, HeaderValue, RETRY_AFTER},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

/// What it does with a request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// A status and a document.
    Document(u16, String),
    /// The same, and after how many seconds to come again.
    Later(u16, String, u32),
    /// Bytes, packed or not.
    Bytes(Vec<u8>, bool),
    /// Nothing, for ever.
    Hang,
    /// A byte every 20 seconds, for ever.
    Trickle,
    /// So many bytes.
    Flood(usize),
    /// The connection ends after so many seconds.
    Cut(u64),
    /// A 204 after so many seconds.
    Nothing(u64),
    /// The same as the other, at another date.
    Dated(&'static str, Box<Answer>),
}

/// A request that it got.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) body: String,
    /// By whom.
    pub(super) by: Option<Certified>,
}

/// What is to be answered.
pub(super) type Script = Box<dyn FnMut(&Asked) -> Answer + Send>;

pub(super) struct Hub {
    pub(super) authority: Arc<Authority>,
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    bell: Arc<Notify>,
    script: Arc<Mutex<Script>>,
    _folder: TempDir,
}

/// Which HTTP it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Http {
    One,
    Two,
}

/// An hour is all that certificates may be early by.
pub(super) fn now() -> i64 {
    crate::link::clock::seconds(SystemTime::now())
}

pub(super) fn own() -> Own {
    Arc::new(now)
}

pub(super) fn document(what: &impl Serialize) -> Answer {
    Answer::Document(200, serde_json::to_string(what).unwrap())
}

pub(super) fn refusal(code: RefusalCode, message: &str) -> String {
    serde_json::to_string(&Refusal { code, message: message.to_owned() }).unwrap()
}

impl Hub {
    pub(super) async fn start(http: Http) -> Self {
        Self::start_at(http, now()).await
    }

    /// Its certificates are of that time.
    pub(super) async fn start_at(http: Http, at: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let init = Init { names: vec!["127.0.0.1".to_owned()], fleet_name: "shops".to_owned() };
        let (authority, _) = Authority::init(folder.path(), &init, at * 1000).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Script = Box::new(|_| Answer::Document(500, "?".to_owned()));
        let hub = Self {
            authority: Arc::new(authority),
            port,
            asked: Arc::default(),
            bell: Arc::default(),
            script: Arc::new(Mutex::new(script)),
            _folder: folder,
        };
        let tls = TlsAcceptor::from(Arc::new(hub.tls(http)));
        let (asked, bell, script) = (Arc::clone(&hub.asked), Arc::clone(&hub.bell), Arc::clone(&hub.script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, asked, bell, script) =
                    (tls.clone(), Arc::clone(&asked), Arc::clone(&bell), Arc::clone(&script));
                tokio::spawn(async move { drop(serve(stream, tls, asked, bell, script, http).await) });
            }
        });
        hub
    }

    fn tls(&self, http: Http) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.root().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) = self.authority.server();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![if http == Http::Two { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        config
    }

    pub(super) fn answers(&self, script: impl FnMut(&Asked) -> Answer + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// These one after the other, and then the last of them again and again.
    pub(super) fn answers_each(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        self.answers(move |_| if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() });
    }

    /// Enrols whoever asks.
    pub(super) fn enrols(&self) {
        let authority = Arc::clone(&self.authority);
        self.answers(move |asked| document(&enrolled(&authority, &asked.read())));
    }

    pub(super) fn address(&self) -> Address {
        format!("https://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub(super) fn token(&self) -> Token {
        format!("1f00.secret.{}", self.authority.root_sha256()).parse().unwrap()
    }

    /// All requests of that path so far.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// Waits for a request.
    pub(super) async fn until<T>(&self, found: impl Fn(&[Asked]) -> Option<T>) -> T {
        loop {
            let notified = self.bell.notified();
            let result = found(&self.asked.lock().unwrap());
            match result {
                Some(found) => return found,
                None => notified.await,
            }
        }
    }

    /// A machine that was enrolled at that time, with its folder.
    pub(super) fn machine(&self, at: i64) -> (TempDir, Folder, Identity) {
        let folder = tempfile::tempdir().unwrap();
        let (source, folder) = (Folder::of(folder.path()), folder);
        let key = crate::link::key::Key::make().unwrap();
        let age = crate::trust::age::Identity::generate().unwrap();
        let name = "till-1".parse().unwrap();
        let asked = crate::link::identity::Asked::new(&self.address(), &name, key.to_pem(), age.to_file());
        let issued = issued(&self.authority, "till-1", &key.public(), at);
        let (fleet, root) = (self.authority.fleet().to_owned(), self.authority.root_pem());
        let identity = Identity::enrolled(&asked, fleet, root, issued).unwrap();
        source.write_identity(&identity).unwrap();
        (folder, source, identity)
    }

    /// Whoever asks for a machine, by that clock.
    pub(super) fn client(&self, identity: &Identity, own: Own) -> crate::link::client::Client {
        enroll::client_of(identity, &Arc::new(Clock::new(own, identity.issued_at))).unwrap()
    }
}

impl Asked {
    pub(super) fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(super) fn issued(authority: &Authority, name: &str, key: &str, at: i64) -> Issued {
    let key = BASE64_STANDARD.decode(key).unwrap();
    authority.issue(name, &key, "", at * 1000, at * 1000).unwrap()
}

pub(super) fn enrolled(authority: &Authority, enroll: &Enroll) -> Enrolled {
    Enrolled {
        fleet: authority.fleet().to_owned(),
        name: enroll.name.clone(),
        issued: issued(authority, &enroll.name, &enroll.key, now()),
        root: authority.root_pem(),
    }
}

type Body = BoxBody<Bytes, io::Error>;

async fn serve(
    stream: TcpStream,
    tls: TlsAcceptor,
    all: Arc<Mutex<Vec<Asked>>>,
    bell: Arc<Notify>,
    script: Arc<Mutex<Script>>,
    http: Http,
) -> Result<(), hyper::Error> {
    let Ok(stream) = tls.accept(stream).await else { return Ok(()) };
    let by = stream.get_ref().1.peer_certificates().and_then(|chain| Certified::of(&chain[0]).ok());
    let service = service_fn(move |request: Request<Incoming>| {
        let (all, bell, script, by) = (Arc::clone(&all), Arc::clone(&bell), Arc::clone(&script), by.clone());
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            let asked = Asked { path, body: String::from_utf8_lossy(&body).into_owned(), by };
            let answer = script.lock().unwrap()(&asked);
            all.lock().unwrap().push(asked);
            bell.notify_waiters();
            answered(answer).await
        }
    });
    let stream = TokioIo::new(stream);
    match http {
        Http::One => http1::Builder::new().serve_connection(stream, service).await,
        Http::Two => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await,
    }
}

async fn answered(answer: Answer) -> io::Result<Response<Body>> {
    let whole =
        |bytes: Vec<u8>| -> Body { Full::new(Bytes::from(bytes)).map_err(|never: Infallible| match never {}).boxed() };
    let response = |status: u16, body: Body| Response::builder().status(status).body(body).unwrap();
    Ok(match answer {
        Answer::Document(status, text) => response(status, whole(text.into_bytes())),
        Answer::Later(status, text, after) => {
            let mut response = response(status, whole(text.into_bytes()));
            response.headers_mut().insert(RETRY_AFTER, after.into());
            response
        }
        Answer::Bytes(bytes, is_packed) => {
            let mut response = response(200, whole(bytes));
            if is_packed {
                response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
            }
            response
        }
        Answer::Hang => std::future::pending().await,
        Answer::Trickle => {
            let bytes = futures_util::stream::unfold((), |()| async {
                sleep(Duration::from_secs(20)).await;
                Some((Ok(Frame::data(Bytes::from_static(b" "))), ()))
            });
            response(200, BodyExt::boxed(StreamBody::new(bytes)))
        }
        Answer::Flood(bytes) => response(200, whole(vec![b' '; bytes])),
        Answer::Cut(after) => {
            sleep(Duration::from_secs(after)).await;
            return Err(io::Error::other("cut"));
        }
        Answer::Nothing(after) => {
            sleep(Duration::from_secs(after)).await;
            response(204, whole(Vec::new()))
        }
        Answer::Dated(date, answer) => {
            let mut response = Box::pin(answered(*answer)).await?;
            response.headers_mut().insert(DATE, HeaderValue::from_static(date));
            response
        }
    })
}
