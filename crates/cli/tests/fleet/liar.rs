//! A hub in a thief's hands: it has the keys of the real one, and answers as it likes.

use abide_fleet::{
    protocol::{
        Chain, Frame, Issued, ObjectId, ObjectKind, Objects, Poll, Refusal, RefusalCode, Renew, Target, write_frame,
    },
    server::{
        authority::{Authority, Identity, Lifetime},
        tls::WallClock,
    },
    trust::{age, way},
};
use abide_git::{Oid, Repository};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto::ring::default_provider,
    server::WebPkiClientVerifier,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// How it lies about what machines ask for.
#[derive(Clone)]
pub(crate) enum Lie {
    /// It doesn't: the target itself is the lie.
    Target,
    /// For an object it sends another one.
    Instead(ObjectId, Frame),
    /// It has all but this one.
    Without(ObjectId),
    /// It sends one more than was asked for.
    Beside(Frame),
    /// These are how one commit leads to another.
    Chain(Vec<ObjectId>),
    /// To each question for objects it sends these bytes, and says whether they are packed.
    Bytes(Vec<u8>, bool),
    /// The target has this number.
    Number(u64),
}

/// Which certificate it gives to machines that renew theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The one that was asked for.
    Honest,
    /// Another machine's.
    Another,
    /// One of which it says that it ends in a thousand years.
    Endless,
    /// One by which values for the machine are to be encrypted to somebody else.
    Diverted,
}

/// In each answer it says that this is the present day: each certificate would be old.
const DATE: &str = "Tue, 31 Dec 2999 23:59:59 GMT";

/// Of which release it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    Present,
    /// It says only what it must.
    Older,
    /// It says more than anybody knows today.
    Newer,
}

/// It listens until the test's process ends.
pub(crate) struct Liar(Arc<Inner>);

struct Inner {
    authority: Authority,
    /// What it has of objects.
    repository: PathBuf,
    said: Mutex<(Target, Lie)>,
    /// The number of the next target, if it isn't a lie.
    next: AtomicU64,
    release: Mutex<Release>,
    renewal: Mutex<Renewal>,
    /// Who had a certificate renewed, each time.
    renewed: Mutex<Vec<String>>,
    bell: Condvar,
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

impl Liar {
    /// Takes the place of a hub that is gone, with its authority's folder. Says nothing before it is made to.
    pub(crate) fn start(address: &str, authority: &Path, repository: &Path) -> Self {
        let authority = Authority::open(authority, Lifetime::default(), WallClock::system().now()).unwrap();
        let config = Arc::new(config(&authority));
        // Later than all that the real one said.
        let number = u64::try_from(WallClock::system().now()).unwrap();
        let target = Target { number, commit: ObjectId([0; 20]), tag: None, rotations: Vec::new(), spread: 4 };
        let inner = Arc::new(Inner {
            authority,
            repository: repository.to_owned(),
            said: Mutex::new((target, Lie::Target)),
            next: AtomicU64::new(number + 1),
            release: Mutex::new(Release::Present),
            renewal: Mutex::new(Renewal::Honest),
            renewed: Mutex::default(),
            bell: Condvar::new(),
        });
        let listener = TcpListener::bind(address).unwrap();
        let serving = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (inner, config) = (Arc::clone(&serving), Arc::clone(&config));
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    // Who hangs up has his reasons.
                    drop(inner.serve(StreamOwned::new(connection, stream.unwrap()), number));
                });
            }
        });
        Self(inner)
    }

    /// From now on it is of this release.
    pub(crate) fn is_of(&self, release: Release) {
        *self.0.release.lock().unwrap() = release;
    }

    /// From now on it renews certificates so.
    pub(crate) fn renews(&self, renewal: Renewal) {
        *self.0.renewal.lock().unwrap() = renewal;
    }

    /// How often it gave this machine another certificate.
    pub(crate) fn renewed(&self, name: &str) -> usize {
        self.0.renewed.lock().unwrap().iter().filter(|renewed| *renewed == name).count()
    }

    /// From now on it says this.
    pub(crate) fn says(&self, commit: ObjectId, lie: Lie) {
        let next = self.0.next.fetch_add(1, Ordering::Relaxed);
        let number = if let Lie::Number(number) = lie { number } else { next };
        let mut said = self.0.said.lock().unwrap();
        *said = (Target { number, commit, tag: None, rotations: Vec::new(), spread: 4 }, lie);
        self.0.bell.notify_all();
    }
}

fn config(authority: &Authority) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root().clone()).unwrap();
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (chain, key) = authority.server();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

impl Inner {
    /// Answers the requests of a connection. `silent` is the number of a target that is none.
    fn serve(&self, stream: Stream, silent: u64) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (path, body) = request(&mut stream)?;
            let chain = stream.get_ref().conn.peer_certificates().unwrap();
            let by = Identity::of(&chain[0]).unwrap();
            let (status, content, encoding) = self.answer(&path, &body, &by, silent);
            let stream = stream.get_mut();
            let length = content.len();
            write!(stream, "HTTP/1.1 {status} x\r\nDate: {DATE}\r\nContent-Length: {length}\r\n{encoding}\r\n")?;
            stream.write_all(&content)?;
            stream.flush()?;
        }
    }

    fn answer(&self, path: &str, body: &[u8], by: &Identity, silent: u64) -> (u16, Vec<u8>, &'static str) {
        match path {
            "/v1/poll" => {
                let target = serde_json::to_value(self.poll(&read(body), silent)).unwrap();
                (200, bytes(&self.of_release(target)), "X-Of-2031: yes\r\n")
            }
            "/v1/report" if *self.release.lock().unwrap() == Release::Newer => {
                (200, b"{\"thanks\": true}".to_vec(), "")
            }
            "/v1/report" => (204, Vec::new(), ""),
            "/v1/chain" => match self.chain(&read(body)) {
                Some(chain) => (200, frames(&chain), ""),
                None => {
                    let message = "there is no such way".to_owned();
                    (404, bytes(&Refusal { code: RefusalCode::NoDescendant, message }), "")
                }
            },
            "/v1/objects" => match self.said.lock().unwrap().1.clone() {
                Lie::Bytes(bytes, true) => (200, bytes, "Content-Encoding: gzip\r\n"),
                Lie::Bytes(bytes, false) => (200, bytes, ""),
                lie => (200, frames(&self.objects(&read(body), &lie)), ""),
            },
            "/v1/renew" => (200, bytes(&self.renew(&read(body), by)), ""),
            other => panic!("a machine asks for {other}"),
        }
    }

    fn of_release(&self, target: Value) -> Value {
        let Value::Object(mut fields) = target else { return target };
        match *self.release.lock().unwrap() {
            Release::Present => {}
            Release::Older => fields.retain(|name, _| name == "number" || name == "commit"),
            Release::Newer => drop(fields.insert("of_2031".to_owned(), json!({"a": [1, null]}))),
        }
        Value::Object(fields)
    }

    /// Waits until there is something that the machine doesn't know.
    fn poll(&self, asked: &Poll, silent: u64) -> Target {
        let said = self.said.lock().unwrap();
        let is_known = |said: &mut (Target, Lie)| said.0.number == silent || Some(said.0.number) == asked.knows;
        self.bell.wait_while(said, is_known).unwrap().0.clone()
    }

    fn chain(&self, asked: &Chain) -> Option<Vec<Frame>> {
        if let (_, Lie::Chain(chain)) = &*self.said.lock().unwrap() {
            return Some(chain.iter().filter_map(|id| self.object(*id)).collect());
        }
        let way = way(&Repository::open(&self.repository).unwrap(), oid(asked.from), oid(asked.to)).ok()?;
        way.into_iter().map(|id| self.object(ObjectId(id.as_bytes().try_into().unwrap()))).collect()
    }

    fn objects(&self, asked: &Objects, lie: &Lie) -> Vec<Frame> {
        let object = |id: &ObjectId| match lie {
            Lie::Without(lacks) if lacks == id => None,
            Lie::Instead(of, frame) if of == id => Some(frame.clone()),
            _ => self.object(*id),
        };
        let beside = if let Lie::Beside(frame) = lie { Some(frame.clone()) } else { None };
        asked.want.iter().filter_map(object).chain(beside).collect()
    }

    fn object(&self, id: ObjectId) -> Option<Frame> {
        object(&Repository::open(&self.repository).unwrap(), id)
    }

    fn renew(&self, asked: &Renew, by: &Identity) -> Issued {
        let key = BASE64_STANDARD.decode(&asked.key).unwrap();
        let now = WallClock::system().now();
        let issue = |name: &str, recipient: &str| self.authority.issue(name, &key, recipient, now, now).unwrap();
        let name = by.name.as_str();
        self.renewed.lock().unwrap().push(name.to_owned());
        match *self.renewal.lock().unwrap() {
            Renewal::Honest => issue(name, &by.recipient),
            Renewal::Another => issue("another", ""),
            Renewal::Endless => Issued { expires_at: 32_503_680_000, ..issue(name, &by.recipient) },
            Renewal::Diverted => issue(name, &age::Identity::generate().unwrap().recipient().to_string()),
        }
    }
}

/// An object of a repository.
pub(crate) fn object(repository: &Repository, id: ObjectId) -> Option<Frame> {
    let objects = repository.odb().unwrap();
    let object = objects.read(oid(id)).ok()?;
    let kind = match object.kind().str() {
        "commit" => ObjectKind::Commit,
        "tree" => ObjectKind::Tree,
        "blob" => ObjectKind::Blob,
        _ => ObjectKind::Tag,
    };
    Some(Frame { kind, content: object.data().to_vec() })
}

fn oid(id: ObjectId) -> Oid {
    Oid::from_bytes(&id.0).unwrap()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

fn bytes(what: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(what).unwrap()
}

/// As they are sent.
pub(crate) fn frames(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|Frame { kind, content }| write_frame(&mut bytes, *kind, content).unwrap());
    bytes
}

/// Path and body of the next request.
fn request(stream: &mut BufReader<Stream>) -> io::Result<(String, Vec<u8>)> {
    let (mut first, mut length) = (String::new(), 0);
    if stream.read_line(&mut first)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((first.split(' ').nth(1).unwrap_or_default().to_owned(), body))
}
