//! A hub in a folder of its own, whose clock can be moved.

use crate::client::{self, Client, Http, Keys};
use abide_fleet::{
    admin::rollout::Looked,
    protocol::{Enrolled, ObjectId, Poll},
    server::{
        self, Server, Settings,
        authority::{Authority, Init, Lifetime},
        limits::Limits,
        tls::{GRACE, WallClock},
    },
    store::{self, Machine, Millis, Store, Term, Token},
};
use abide_lab::git;
use abide_reconcile::{InstanceId, Name};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::client::TlsStream;

pub(crate) const DAY: i64 = 24 * 3600 * 1000;

/// A repository that counts how often it is asked.
struct Asked(Arc<AtomicUsize>);

impl server::Repository for Asked {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn look(&self) -> Looked {
        self.wake();
        Looked { trouble: "nobody answers".to_owned(), ..Looked::default() }
    }

    fn comes_after(&self, _: &str, earlier: &str) -> bool {
        earlier == "e4"
    }
}

pub(crate) struct Rig {
    folder: TempDir,
    /// By how much the clock differs from the machine's.
    ahead: Arc<AtomicI64>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) looks: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) serving: Option<JoinHandle<()>>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ahead = Arc::new(AtomicI64::new(0));
        let init = Init { names: vec!["localhost".to_owned()], fleet_name: "shops".to_owned() };
        Authority::init(&folder.path().join("hub"), &init, clock(&ahead).now()).unwrap();
        Self::start(folder, "store.db", ahead, change).await
    }

    /// Ends this process of the hub, and starts another with the same authority and this database.
    pub(crate) async fn again(mut self, database: &str) -> Self {
        self.end().await;
        Self::start(self.folder, database, self.ahead, |_| {}).await
    }

    async fn start(folder: TempDir, database: &str, ahead: Arc<AtomicI64>, change: impl FnOnce(&mut Limits)) -> Self {
        let store = store::open(folder.path().join(database).to_str().unwrap()).unwrap();
        let looks = Arc::new(AtomicUsize::new(0));
        let mut limits = Limits { takeover: Duration::ZERO, ..Limits::default() };
        change(&mut limits);
        let settings = Settings {
            authority: folder.path().join("hub"),
            store: Arc::clone(&store),
            cache: folder.path().join("source"),
            repository: Arc::new(Asked(Arc::clone(&looks))),
            hub: format!("hub-{database}"),
            clock: clock(&ahead),
            lifetime: Lifetime::default(),
            grace: GRACE,
            limits,
        };
        let server = Server::new(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = {
            let server = server.clone();
            tokio::spawn(async move { server.serve(listener, async { drop(stopped.await) }).await })
        };
        Self { folder, ahead, store, server, address, looks, stop: Some(stop), serving: Some(serving) }
    }

    pub(crate) async fn end(&mut self) {
        drop(self.stop.take());
        self.serving.take().unwrap().await.unwrap();
    }

    pub(crate) fn clock(&self) -> WallClock {
        clock(&self.ahead)
    }

    pub(crate) fn now(&self) -> Millis {
        Millis(self.clock().now())
    }

    pub(crate) fn pass(&self, millis: i64) {
        self.ahead.fetch_add(millis, Ordering::Relaxed);
    }

    /// A token for so many machines.
    pub(crate) fn token(&self, id: &str, change: impl FnOnce(&mut Token)) -> String {
        let secret = [7; 32];
        let mut token = Token {
            id: id.to_owned(),
            secret: digest(&SHA256, &secret).as_ref().try_into().unwrap(),
            uses_left: 100,
            expires_at: self.now().plus(Duration::from_secs(3600)),
            names: None,
            labels: BTreeMap::new(),
        };
        change(&mut token);
        self.store.put_token(&token).unwrap();
        format!("{id}.{}", BASE64_URL_SAFE_NO_PAD.encode(secret))
    }

    pub(crate) async fn stranger(&self, http: Http) -> Client {
        let authority = self.server.authority();
        Client::connect(self.address, authority.root(), None, http, self.clock()).await.unwrap()
    }

    /// A connection on which one speaks HTTP/1.1 by hand.
    pub(crate) async fn by_hand(&self, keys: Option<&Keys>) -> TlsStream<TcpStream> {
        let authority = self.server.authority();
        client::stream(self.address, authority.root(), keys, Http::One, self.clock()).await.unwrap()
    }

    pub(crate) async fn client(&self, keys: &Keys, http: Http) -> Client {
        let authority = self.server.authority();
        Client::connect(self.address, authority.root(), Some(keys), http, self.clock()).await.unwrap()
    }

    /// A machine of the fleet.
    pub(crate) async fn enrolled(&self, name: &str) -> Keys {
        let token = self.token(name, |_| {});
        let mut keys = Keys::new();
        let answer = self.stranger(Http::One).await.post("/v1/enroll", &keys.enroll(&token, name)).await;
        keys.chain = answer.json::<Enrolled>().issued.chain;
        keys
    }

    /// The authority's folder.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    pub(crate) fn machine(&self, name: &str) -> Machine {
        self.store.machine(&Name::new(name).unwrap()).unwrap().unwrap()
    }

    pub(crate) fn lead(&self) -> Term {
        self.store.lead("test", self.now(), Duration::from_secs(3600)).unwrap().unwrap()
    }

    /// Tells a machine another commit, and gives the target's number.
    pub(crate) fn tell(&self, term: &Term, name: &str, commit: ObjectId) -> u64 {
        let machine = self.machine(name);
        let target = machine.written("1-1".parse::<InstanceId>().unwrap(), commit, self.now());
        assert!(self.store.write_target(term, &machine.name, machine.version, Some(&target)).unwrap());
        target.number
    }

    /// The repository that is followed, empty at first.
    pub(crate) fn repository(&self) -> Repository {
        let folder = self.folder.path().join("source");
        std::fs::create_dir_all(&folder).unwrap();
        let repository = Repository(folder.join("repo.git"));
        repository.git(&["init", "-q", "--bare", "-b", "main", "."]);
        repository
    }
}

/// A bare repository.
pub(crate) struct Repository(PathBuf);

impl Repository {
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        std::fs::create_dir_all(&self.0).unwrap();
        git(&self.0, arguments)
    }

    /// A commit with one file, on these.
    pub(crate) fn commit(&self, content: &str, parents: &[&str]) -> String {
        let file = self.0.join("file");
        std::fs::write(&file, content).unwrap();
        let blob = self.git(&["hash-object", "-w", "file"]);
        let index = self.0.join("index");
        drop(std::fs::remove_file(&index));
        self.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},file.yaml")]);
        let tree = self.git(&["write-tree"]);
        let parents = parents.iter().flat_map(|parent| ["-p", parent]);
        self.git(&[&["commit-tree", &tree, "-m", "x"][..], &parents.collect::<Vec<_>>()[..]].concat())
    }
}

fn clock(ahead: &Arc<AtomicI64>) -> WallClock {
    let (ahead, system) = (Arc::clone(ahead), WallClock::system());
    WallClock::new(move || system.now() + ahead.load(Ordering::Relaxed))
}

/// A poll that waits for so many seconds.
pub(crate) fn poll(session: &str, knows: Option<u64>, wait: u32) -> Poll {
    Poll { protocol: 1, version: "1".to_owned(), session: session.to_owned(), knows, wait }
}

/// A commit's id.
pub(crate) fn commit(byte: u8) -> ObjectId {
    ObjectId([byte; 20])
}
