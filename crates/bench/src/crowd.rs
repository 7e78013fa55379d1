//! Many machines of a fleet in a process of their own, as far as their hub can tell: each has a connection over TLS with a
//! certificate of its own, polls, and reports that it is ready with what it was told.
//!
//! The process is this program again: `abide-bench crowd FILE`. It says on its output how many were told which commit.

use crate::Problem;
use abide_fleet::protocol::{MachineState, ObjectId, PROTOCOL, Poll, Report, Target};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::HOST,
};
use hyper_util::rt::TokioIo;
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
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, sync::Semaphore, time::sleep};
use tokio_rustls::TlsConnector;

/// What the program is asked for, to be one.
pub(crate) const COMMAND: &str = "crowd";

/// Handshakes at once: machines come spread over a while.
const HANDSHAKES: usize = 32;

/// Between two words on the output.
const WORD: Duration = Duration::from_millis(20);

/// After a connection broke.
const AGAIN: Duration = Duration::from_secs(1);

/// Who they are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Crowd {
    /// The hub.
    pub(crate) address: SocketAddr,
    /// Its root, in PEM.
    pub(crate) root: String,
    /// The key of all of them, as PKCS#8.
    pub(crate) key: Vec<u8>,
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
    for (name, chain) in crowd.machines {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(crowd.key.clone()));
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain, key)?;
        let tls = TlsConnector::from(Arc::new(config));
        let mut machine =
            Machine { address: crowd.address, tls, name, knows: None, sequence: 0, told: Arc::clone(&told) };
        let shaking = Arc::clone(&shaking);
        tokio::spawn(async move {
            loop {
                // Broken connections are what a hub that is killed leaves: machines come again.
                drop(machine.talk(&shaking).await);
                sleep(AGAIN).await;
            }
        });
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
    tls: TlsConnector,
    name: String,
    knows: Option<Target>,
    sequence: u64,
    told: Told,
}

impl Machine {
    async fn talk(&mut self, shaking: &Semaphore) -> Result<(), Problem> {
        let mut sender = {
            let _place = shaking.acquire().await?;
            let stream = TcpStream::connect(self.address).await?;
            let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            sender
        };
        loop {
            let poll = Poll {
                protocol: PROTOCOL,
                version: "bench".to_owned(),
                session: self.name.clone(),
                knows: self.knows.as_ref().map(|target| target.number),
                wait: 240,
            };
            let (status, body) = post(&mut sender, "/v1/poll", &poll).await?;
            if status == StatusCode::OK {
                self.take(serde_json::from_slice(&body)?);
                post(&mut sender, "/v1/report", &self.report()).await?;
            } else if status != StatusCode::NO_CONTENT {
                return Err(format!("{}: {status}", self.name).into());
            }
        }
    }

    fn take(&mut self, target: Target) {
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

async fn post(
    sender: &mut SendRequest<Full<Bytes>>,
    path: &str,
    body: &impl Serialize,
) -> Result<(StatusCode, Bytes), Problem> {
    sender.ready().await?;
    let body = Full::new(Bytes::from(serde_json::to_vec(body)?));
    let answer = sender.send_request(Request::post(path).header(HOST, "localhost").body(body)?).await?;
    let status = answer.status();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}
