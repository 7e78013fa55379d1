//! The hub as machines meet it: HTTPS by [`crate::protocol`].
//!
//! ```text
//!  connection ─► listen ─► route ─┬─ enroll, renew ──────────────► store
//!   (who: tls)                    ├─ poll ◄── roster ◄── changes ── store      answered from memory
//!                                 ├─ report, presence ─► recorder ─► store      written in groups, then answered
//!                                 └─ chain, objects ◄── the cache of the repository that is followed
//! ```
//!
//! | module | question it answers |
//! |---|---|
//! | [`authority`], [`tls`] | who is the hub, and who is a machine |
//! | [`limits`], `shares` | how much at once, and of that each |
//! | `listen`, `route`, `answer` | connections, requests, answers |
//! | `admit` | whether it is the machine that it says, and the same as before: pure |
//! | `enroll`, `poll`, `report`, `objects` | what is asked |
//! | `rotation`, `tag` | what helps a machine to judge a commit |
//! | `roster`, `recorder`, `presence`, `others` | the machines in memory; what they do, to the store; who is away; which processes live |
//! | [`openapi`], `metrics` | what there is to ask; how it goes |
//! | `admin` | what people ask, see [`crate::admin`] |

mod admin;
mod admit;
mod answer;
pub mod authority;
mod enroll;
pub mod limits;
mod listen;
mod metrics;
mod objects;
pub mod openapi;
mod others;
mod poll;
mod presence;
mod recorder;
mod report;
mod roster;
mod rotation;
mod route;
mod shares;
mod tag;
pub mod tls;

use crate::{
    admin::rollout::Looked,
    protocol::RefusalCode,
    store::{Millis, Store, StoreError},
};
use abide_reconcile::with_causes;
use abide_spec::Name;
use answer::{Refused, refused};
use authority::{Authority, AuthorityError, Lifetime};
use limits::{Buckets, Limits};
use metrics::Counters;
use objects::Objects;
use recorder::Recorder;
use roster::Roster;
use shares::Shares;
use std::{
    fmt, io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tls::{Shown, WallClock};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::spawn_blocking,
};

/// Calls of the store at once, beside the recorder's and the roster's.
const CALLS_MAX: usize = 16;

/// What a hub process is made of.
pub struct Settings {
    /// The authority's folder.
    pub authority: PathBuf,
    /// What it keeps.
    pub store: Arc<dyn Store>,
    /// The folder of the followed repository's cache: `repo.git` is in it.
    pub cache: PathBuf,
    /// The repository itself.
    pub repository: Arc<dyn Repository>,
    /// This process's name, which no other has or had.
    pub hub: String,
    /// The time.
    pub clock: WallClock,
    /// How long certificates are good.
    pub lifetime: Lifetime,
    /// For how long after it expired a machine's may be renewed.
    pub grace: Duration,
    /// How much at once.
    pub limits: Limits,
}

/// The repository that is followed.
pub trait Repository: Send + Sync {
    /// It is to be asked for news soon: a machine wants what isn't in the cache yet.
    fn wake(&self);

    /// Asks it for news now. Blocks until it has answered, or is known to be away.
    fn look(&self) -> Looked;

    /// Whether a commit comes after another one of which the id begins so, as far as is known here. Blocks.
    fn comes_after(&self, commit: &str, earlier: &str) -> bool;
}

/// Why a hub doesn't serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// What it keeps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its certificate.
    #[error("the hub's certificate can't be used")]
    Tls(#[from] rustls::Error),
    /// A thread.
    #[error("starting a thread")]
    Thread(#[source] io::Error),
}

/// A hub process's server.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    lifetime: Lifetime,
    authority: RwLock<Arc<Authority>>,
    shown: Arc<Shown>,
    tls: Arc<rustls::ServerConfig>,
    store: Arc<dyn Store>,
    hub: String,
    clock: WallClock,
    /// When this process was started.
    since: Millis,
    limits: Limits,
    repository: Arc<dyn Repository>,
    roster: Arc<Roster>,
    recorder: Recorder,
    objects: Objects,
    /// By address.
    enrolments: Buckets<IpAddr>,
    /// By machine.
    reports: Buckets<Name>,
    shares: Arc<Shares<Name>>,
    strangers_each: Arc<Shares<IpAddr>>,
    strangers: Arc<Semaphore>,
    looks: Seldom,
    warnings: Seldom,
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    counters: Counters,
    /// Turns true when it is enough.
    ending: watch::Sender<bool>,
}

impl Server {
    /// Reads what there is. Blocks; nobody is served yet.
    pub fn new(settings: Settings) -> Result<Self, ServeError> {
        let Settings { authority: folder, store, cache, repository, hub, clock, lifetime, grace, limits } = settings;
        let authority = Arc::new(Authority::open(&folder, lifetime, clock.now())?);
        let shown = Arc::new(Shown::new(&authority)?);
        let tls = Arc::new(tls::config(authority.root(), Arc::clone(&shown), clock.clone(), grace)?);
        let roster = Roster::follow(Arc::clone(&store))?;
        let recorder = Recorder::start(Arc::clone(&store), Arc::clone(&roster), clock.clone());
        Ok(Self(Arc::new(Inner {
            folder,
            lifetime,
            authority: RwLock::new(authority),
            shown,
            tls,
            store,
            hub,
            since: Millis(clock.now()),
            clock,
            repository,
            roster,
            recorder: recorder.map_err(ServeError::Thread)?,
            objects: Objects::new(cache, limits.answers),
            enrolments: Buckets::new(ADDRESSES_MAX),
            // Of machines there are as many as were let in.
            reports: Buckets::new(usize::MAX),
            shares: Arc::default(),
            strangers_each: Arc::default(),
            strangers: Arc::new(Semaphore::new(limits.strangers.0)),
            looks: Seldom::default(),
            warnings: Seldom::default(),
            connections: Arc::new(Semaphore::new(limits.connections)),
            requests: Arc::new(Semaphore::new(limits.requests)),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            counters: Counters::default(),
            limits,
            ending: watch::channel(false).0,
        })))
    }

    /// Serves until `stop` comes.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let inner = &self.0;
        tokio::select! {
            () = listen::accept(inner, listener) => {}
            () = presence::keep(inner) => {}
            () = inner.keep_authority() => {}
            () = stop => {}
        }
        inner.ending.send_replace(true);
        listen::end(inner).await;
    }

    /// Looks at once at what another part of this process wrote to the store.
    pub fn wake(&self) {
        self.0.roster.wake();
    }

    /// How it goes, for Prometheus.
    pub fn metrics(&self) -> String {
        metrics::text(&self.0)
    }

    /// The authority, as it is now.
    pub fn authority(&self) -> Arc<Authority> {
        self.0.authority()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.0.hub)
    }
}

impl Inner {
    fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has the repository looked at, unless that was done just now: whoever asks for what isn't there has the forge asked.
    fn look(&self) {
        if self.looks.is_due(LOOKS_APART) {
            self.repository.wake();
        }
    }

    /// Does something with the store, in a thread that may wait. Why it can't is nothing to who is at the network.
    async fn with_store<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refused> {
        let unavailable = |_| refused(RefusalCode::Unavailable, "the hub's database doesn't answer: try again later");
        self.call_store(act).await.map_err(unavailable)
    }

    /// The same for who owns the hub, and is told why.
    async fn with_own_store<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refused> {
        self.call_store(act).await.map_err(|why| refused(RefusalCode::Unavailable, why))
    }

    async fn call_store<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.store);
        let failed = |error: &dyn fmt::Display| {
            let error = error.to_string();
            // Or as many machines as there are fill the log while the database is away.
            if self.warnings.is_due(WARNINGS_APART) {
                tracing::warn!(error, "a request can't be granted now");
            }
            error
        };
        let place = Arc::clone(&self.calls).acquire_owned().await.map_err(|error| failed(&error))?;
        let called = spawn_blocking(move || {
            let done = act(&*store);
            drop(place);
            done
        });
        called.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    /// Takes what changed in the authority's folder, and renews the hub's own certificate in time.
    async fn keep_authority(self: &Arc<Self>) {
        // What is to be renewed is renewed early enough.
        let pause = AUTHORITY_AGAIN.min(self.lifetime.machine() / 4);
        loop {
            tokio::time::sleep(pause).await;
            if let Err(why) = self.reread_authority().await {
                tracing::warn!(why, "the authority can't be read again: the hub goes on with what it has");
            }
        }
    }

    /// Takes what is in the authority's folder now, or says why it can't.
    async fn reread_authority(self: &Arc<Self>) -> Result<(), String> {
        let inner = Arc::clone(self);
        let read = spawn_blocking(move || {
            let authority = Arc::new(Authority::open(&inner.folder, inner.lifetime, inner.clock.now())?);
            if !authority.issues_for(ISSUING_LEFT, inner.clock.now()) {
                tracing::warn!(
                    "the issuing certificate ends within 90 days: `abide hub renew-issuing --root-key FILE`"
                );
            }
            inner.shown.change(&authority)?;
            *inner.authority.write().unwrap_or_else(PoisonError::into_inner) = authority;
            Ok::<(), ServeError>(())
        });
        read.await.map_err(|error| error.to_string())?.map_err(|error| with_causes(&error))
    }
}

/// Addresses whose enrolments are counted.
const ADDRESSES_MAX: usize = 10_000;

/// How far apart two looks at the repository are, beside those of its interval.
const LOOKS_APART: Duration = Duration::from_secs(3);

/// What keeps a store from answering is logged no more often than this.
const WARNINGS_APART: Duration = Duration::from_secs(5);

/// What is done no more often than at set times, whoever asks for it.
#[derive(Default)]
struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it was not done for so long. Who hears that it wasn't does it.
    fn is_due(&self, apart: Duration) -> bool {
        let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = done.is_none_or(|done| done.elapsed() >= apart);
        if is_due {
            *done = Some(Instant::now());
        }
        is_due
    }
}

/// How often the authority's folder is read.
const AUTHORITY_AGAIN: Duration = Duration::from_secs(600);

/// When people are told that the issuing certificate ends.
const ISSUING_LEFT: Duration = Duration::from_secs(90 * 24 * 3600);
