//! A hub with its store and repository, and machines that follow it through a line that counts.

use abide_agent::{Opened, Opening, Reporter, SourceReport, SourceState};
use abide_fleet::{
    admin::rollout::Looked,
    link::{
        self, Folder, Link,
        enroll::{Enrolment, enroll},
    },
    protocol::Report,
    server::{
        Repository, Server, Settings,
        authority::{Authority, Init, Lifetime},
        limits::Limits,
        tls::{GRACE, WallClock},
    },
    store::{self, Millis, Store, Term, Token},
};
use abide_lab::git;
use abide_reconcile::{
    Attend, Fault, InstanceId, Name, Progress, Revision, SourceId,
    spec::kind::{Credentials, Follow, Grants, HubSource, SourceSpec},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{advance, pause, resume, sleep},
};

/// A look at what is written without a sign.
const LOOK: Duration = Duration::from_millis(5);

/// A repository in which nothing happens.
struct Still;

impl Repository for Still {
    fn wake(&self) {}

    fn look(&self) -> Looked {
        Looked::default()
    }

    fn comes_after(&self, _: &str, _: &str) -> bool {
        false
    }
}

pub(crate) struct Rig {
    folder: TempDir,
    store: Arc<dyn Store>,
    server: Server,
    term: Term,
    port: u16,
    line: Arc<Line>,
}

/// What went over the line.
#[derive(Debug, Default)]
struct Line {
    bytes: AtomicU64,
    segments: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) bytes: u64,
    pub(crate) segments: u64,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = WallClock::system();
        let init = Init { names: vec!["127.0.0.1".to_owned()], fleet_name: "shops".to_owned() };
        Authority::init(&folder.path().join("hub"), &init, clock.now()).unwrap();
        let store = store::open(folder.path().join("store.db").to_str().unwrap()).unwrap();
        let settings = Settings {
            authority: folder.path().join("hub"),
            store: Arc::clone(&store),
            cache: folder.path().join("source"),
            repository: Arc::new(Still),
            hub: "hub-1".to_owned(),
            clock,
            lifetime: Lifetime::default(),
            grace: GRACE,
            limits: Limits::default(),
        };
        let server = Server::new(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap().port();
        let serving = server.clone();
        tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
        let line = Arc::new(Line::default());
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = front.local_addr().unwrap().port();
        tokio::spawn(carry(front, behind, Arc::clone(&line)));
        let now = Millis(WallClock::system().now());
        let term = store.lead("test", now, Duration::from_secs(3600)).unwrap().unwrap();
        let rig = Self { folder, store, server, term, port, line };
        fs::create_dir_all(rig.repository()).unwrap();
        rig.git(&["init", "-q", "--bare", "-b", "main", "."]);
        rig
    }

    /// A machine that follows.
    pub(crate) async fn enroll(&self, name: &str) -> Machine {
        let secret = [7; 32];
        let token = Token {
            id: name.to_owned(),
            secret: digest(&SHA256, &secret).as_ref().try_into().unwrap(),
            uses_left: 1,
            expires_at: Millis(WallClock::system().now()).plus(Duration::from_secs(3600)),
            names: None,
            labels: BTreeMap::new(),
        };
        self.store.put_token(&token).unwrap();
        let shown =
            format!("{name}.{}.{}", BASE64_URL_SAFE_NO_PAD.encode(secret), self.server.authority().root_sha256());
        let url = format!("https://127.0.0.1:{}", self.port);
        let wanted = Enrolment {
            hub: url.parse().unwrap(),
            token: shown.parse().unwrap(),
            name: name.parse().unwrap(),
            version: "0.1.0".to_owned(),
            signers: None,
            again: false,
        };
        let folder = tempfile::tempdir().unwrap();
        enroll(&Folder::of(folder.path()), &wanted, link::system()).await.unwrap();
        Machine::start(folder, &url)
    }

    /// A commit that has a volume of that name for every machine.
    pub(crate) fn commit(&self, name: &str, parents: &[&str]) -> String {
        let fleet = format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: shops}}\nspec:\n  id: {}\n  machines:\n    - {{names: [\"*\"], paths: [base]}}\n",
            self.server.authority().fleet()
        );
        let volume = format!("apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: {name}}}\nspec: {{}}\n");
        drop(fs::remove_file(self.repository().join("index")));
        for (path, content) in [("fleet.yaml", fleet), ("base/data.yaml", volume)] {
            fs::write(self.repository().join("content"), content).unwrap();
            let blob = self.git(&["hash-object", "-w", "content"]);
            self.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
        }
        let tree = self.git(&["write-tree"]);
        let parents: Vec<&str> = parents.iter().flat_map(|parent| ["-p", *parent]).collect();
        self.git(&[&["commit-tree", &tree, "-m", name][..], &parents].concat())
    }

    /// Tells a machine to be on a commit.
    pub(crate) fn tell(&self, name: &str, commit: &str) {
        let machine = self.store.machine(&Name::new(name).unwrap()).unwrap().unwrap();
        let now = Millis(WallClock::system().now());
        let target = machine.written("1-1".parse::<InstanceId>().unwrap(), commit.parse().unwrap(), now);
        assert!(self.store.write_target(&self.term, &machine.name, machine.version, Some(&target)).unwrap());
        self.server.wake();
    }

    /// Waits for a report in the store.
    pub(crate) async fn until_reported(&self, name: &str, is_it: impl Fn(&Report) -> bool) -> Report {
        loop {
            let machine = self.store.machine(&Name::new(name).unwrap()).unwrap().unwrap();
            if let Some(reported) = machine.reported.filter(|reported| is_it(&reported.report)) {
                return reported.report;
            }
            sleep(LOOK).await;
        }
    }

    /// Polls that were answered.
    pub(crate) fn polls(&self) -> u64 {
        let metrics = self.server.metrics();
        let line = metrics.lines().find(|line| line.starts_with("abide_hub_polls_total"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{metrics}"))
    }

    pub(crate) async fn until_polls(&self, many: u64) {
        while self.polls() < many {
            sleep(LOOK).await;
        }
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Traffic { bytes: of(&self.line.bytes), segments: of(&self.line.segments) }
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("source/repo.git")
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(&self.repository(), arguments)
    }
}

/// Carries connections on, and counts.
async fn carry(front: TcpListener, behind: u16, line: Arc<Line>) {
    while let Ok((machine, _)) = front.accept().await {
        let hub = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
        let (machine, hub) = (machine.into_split(), hub.into_split());
        for (mut from, mut to) in [(machine.0, hub.1), (hub.0, machine.1)] {
            let line = Arc::clone(&line);
            tokio::spawn(async move {
                let mut bytes = vec![0; 1400];
                while let Ok(count) = from.read(&mut bytes).await {
                    if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                    line.bytes.fetch_add(count as u64, Ordering::Relaxed);
                    line.segments.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
}

/// A machine, but for what runs on it.
pub(crate) struct Machine {
    folder: TempDir,
    said: UnboundedReceiver<Result<Revision, Fault>>,
    reporter: Arc<dyn Reporter>,
    wake: Arc<dyn Fn() + Send + Sync>,
    gone: Arc<AtomicBool>,
}

struct Until(Arc<AtomicBool>);

impl Attend for Until {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

fn source() -> SourceId {
    SourceId("fleet".parse().unwrap())
}

impl Machine {
    fn start(folder: TempDir, url: &str) -> Self {
        let follow = Follow::Hub(HubSource { url: url.to_owned() });
        let spec = SourceSpec { follow, credentials: Credentials::default(), grants: Grants::default() };
        let opening = Opening { id: source(), spec, said: None, keep: Vec::new() };
        let link = Link::new(Handle::current(), "0.1.0", link::system()).unwrap();
        let Opened { mut source, wake, reporter, .. } = link.open(&opening, folder.path()).unwrap();
        let gone = Arc::new(AtomicBool::new(false));
        let attend = Until(Arc::clone(&gone));
        let (say, said) = unbounded_channel();
        thread::spawn(move || {
            loop {
                match source.next(&attend) {
                    Err(Fault::Cancelled) => return,
                    other => drop(say.send(other)),
                }
            }
        });
        Self { folder, said, reporter: reporter.unwrap(), wake: wake.into(), gone }
    }

    pub(crate) async fn says(&mut self) -> Result<Revision, Fault> {
        self.said.recv().await.unwrap()
    }

    pub(crate) fn reopen(&self, commit: &str) -> Result<Revision, Fault> {
        link::reopen(&source(), self.folder.path(), &Grants::default(), commit)
    }

    /// The agent has done what it was told.
    pub(crate) fn is_on(&self, commit: &str) {
        let (told, in_force) = (Some(commit.to_owned()), Some(commit.to_owned()));
        let state = SourceState::Following;
        self.reporter.source(SourceReport { told, in_force, state, message: String::new(), held: None });
        self.reporter.everything(BTreeMap::new());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        (self.wake)();
    }
}

/// Lets time pass, ten seconds in some milliseconds, until something has come to its end by it.
pub(crate) async fn passing(waiting: impl Future<Output = ()>) {
    let mut waiting = pin!(waiting);
    loop {
        tokio::select! {
            () = &mut waiting => return,
            () = sleep(LOOK) => {
                pause();
                advance(Duration::from_secs(10)).await;
                resume();
            }
        }
    }
}
