//! Many machines of a fleet in a process of their own, as far as their hub can tell: each has a connection over TLS with a
//! certificate of its own and HTTP/2 on it, polls, reports that it is ready with what it was told, and comes back as
//! machines do when it lost the hub.
//!
//! The process is this program again: `abide-bench crowd FILE`. It says on its output how many were told which commit.

use crate::Problem;
use abide_fleet::{
    link::pace::{self, BackOff},
    protocol::{MachineState, ObjectId, PROTOCOL, Poll, Report, Target},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http2::{SendRequest, handshake},
    header::RETRY_AFTER,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_rustls::TlsConnector;

/// What the program is asked for, to be one.
pub(crate) const COMMAND: &str = "crowd";

/// Handshakes at once: each needs a processor for a while, and has a deadline at the hub.
const HANDSHAKES: usize = 32;

/// Between two words on the output.
const WORD: Duration = Duration::from_millis(20);

/// Machines by one address: there are only so many ports.
const BY_ADDRESS: usize = 20_000;

/// Who they are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Crowd {
    /// The hub.
    pub(crate) address: SocketAddr,
    /// Its root, in PEM.
    pub(crate) root: String,
    /// The key of all of them, as PKCS#8.
    pub(crate) key: Vec<u8>,
    /// For how long each waits for news at a time.
    pub(crate) wait_seconds: u64,
    /// Names and certificates.
    pub(crate) machines: Vec<(String, String)>,
}

/// How many were told which commit last.
type Told = Arc<Mutex<BTreeMap<ObjectId, usize>>>;

/// Lives until it is killed.
pub(crate) fn main(file: &OsStr) -> Result<(), Problem> {
    let crowd: Crowd = serde_json::from_slice(&fs::read(file)?)?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(live(crowd))
}

async fn live(crowd: Crowd) -> Result<(), Problem> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(crowd.root.as_bytes())?)?;
    let (roots, told, shaking) = (Arc::new(roots), Told::default(), Arc::new(Semaphore::new(HANDSHAKES)));
    for (n, (name, chain)) in crowd.machines.into_iter().enumerate() {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(crowd.key.clone()));
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let machine = Machine {
            address: crowd.address,
            from: Ipv4Addr::new(127, 0, 0, u8::try_from(2 + n / BY_ADDRESS)?),
            tls: TlsConnector::from(Arc::new(config)),
            name,
            wait: u32::try_from(crowd.wait_seconds)?,
            knows: None,
            is_heard: false,
            sequence: 0,
            back_off: BackOff::default(),
            told: Arc::clone(&told),
        };
        tokio::spawn(machine.live(Arc::clone(&shaking)));
    }
    let mut before = BTreeMap::new();
    loop {
        sleep(WORD).await;
        let now = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (commit, count) in now.iter().filter(|(commit, count)| before.get(*commit) != Some(*count)) {
            println!("{commit} {count}");
        }
        before = now;
    }
}

struct Machine {
    address: SocketAddr,
    from: Ipv4Addr,
    tls: TlsConnector,
    name: String,
    wait: u32,
    knows: Option<Target>,
    /// Since it came, or came back.
    is_heard: bool,
    sequence: u64,
    back_off: BackOff,
    told: Told,
}

/// Why a machine has to come again.
type Lost = Box<dyn std::error::Error + Send + Sync>;

/// What a hub answers.
type Answer = (StatusCode, Bytes);

/// The hub says when to come again.
#[derive(Debug, thiserror::Error)]
#[error("refused for {} s", .0.as_secs())]
struct Later(Duration);

impl Machine {
    async fn live(mut self, shaking: Arc<Semaphore>) {
        loop {
            let Err(lost) = self.talk(&shaking).await;
            self.is_heard = false;
            let (draw, pause) = (pace::draw(), self.back_off.fail(pace::draw()));
            let said = lost.downcast_ref().map(|Later(said)| pace::after(*said, draw));
            sleep(said.unwrap_or(pause)).await;
        }
    }

    async fn talk(&mut self, shaking: &Semaphore) -> Result<std::convert::Infallible, Lost> {
        let mut sender = {
            let _place = shaking.acquire().await?;
            self.connect().await?
        };
        loop {
            let poll = Poll {
                protocol: PROTOCOL,
                version: "bench".to_owned(),
                session: self.name.clone(),
                knows: self.knows.as_ref().map(|target| target.number),
                // Whether the hub is there is to be known soon.
                wait: if self.is_heard { self.wait } else { 1 },
            };
            let (status, body) = post(&mut sender, "poll", &poll).await?;
            self.back_off.reset();
            let is_again = !std::mem::replace(&mut self.is_heard, true);
            if status == StatusCode::OK {
                self.take(serde_json::from_slice(&body)?);
            }
            if status == StatusCode::OK || is_again {
                post(&mut sender, "report", &self.report()).await?;
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Lost> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((self.from, 0)))?;
        let stream: TcpStream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn take(&mut self, target: Target) {
        self.back_off.spread(Duration::from_secs(target.spread.into()));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &self.knows
            && let Some(count) = told.get_mut(&before.commit)
        {
            *count -= 1;
        }
        *told.entry(target.commit).or_default() += 1;
        self.knows = Some(target);
    }

    fn report(&mut self) -> Report {
        self.sequence += 1;
        Report {
            session: self.name.clone(),
            sequence: self.sequence,
            target: self.knows.as_ref().map(|target| target.number),
            in_force: self.knows.as_ref().map(|target| target.commit),
            state: MachineState::Ready,
            version: "bench".to_owned(),
            units: BTreeMap::from([("settled".to_owned(), 3)]),
            ..Report::default()
        }
    }
}

async fn post(sender: &mut SendRequest<Full<Bytes>>, path: &str, body: &impl Serialize) -> Result<Answer, Lost> {
    sender.ready().await?;
    let body = Full::new(Bytes::from(serde_json::to_vec(body)?));
    let answer = sender.send_request(Request::post(format!("https://localhost/v1/{path}")).body(body)?).await?;
    let status = answer.status();
    if status.is_success() {
        return Ok((status, answer.into_body().collect().await?.to_bytes()));
    }
    let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    Err(after.map_or_else(|| format!("{path}: {status}").into(), |after| Later(Duration::from_secs(after)).into()))
}
