//! Machines that are played at the store, and hubs that decide for them.

use crate::repository::{FLEET, Repository};
use abide_agent::{Clock, Hold, Paths};
use abide_fleet::{
    admin::rollout::Rollouts,
    deciding::{self, Bell, Settings, follower::Follower, roster::Roster},
    protocol::{MachineState, Report},
    store::{Fact, Machine, Millis, NewMachine, Store, Token, open},
};
use abide_git::{cache::History, source::Bounds};
use abide_reconcile::{Limits, Name, SourceId, Time};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::oneshot;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Fleet {
    folder: tempfile::TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) repository: Repository,
    /// Commits that fail wherever they are taken.
    pub(crate) bad: BTreeSet<String>,
    /// Machines that say nothing.
    pub(crate) silent: BTreeSet<Name>,
    /// Every commit that each machine was told, in this order.
    pub(crate) told: BTreeMap<Name, Vec<String>>,
    /// More machines at once were told something and not ready than may be.
    pub(crate) unavailable_max: usize,
    sequence: u64,
    hub: Option<Hub>,
    hubs: u32,
}

struct Hub {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Fleet {
    pub(crate) fn of(machines: usize) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let database = folder.path().join("hub.sqlite");
        let store = open(database.to_str().unwrap()).unwrap();
        let mut fleet = Self {
            folder,
            store,
            repository: Repository::new(),
            bad: BTreeSet::new(),
            silent: BTreeSet::new(),
            told: BTreeMap::new(),
            unavailable_max: 0,
            sequence: 0,
            hub: None,
            hubs: 0,
        };
        (0..machines).for_each(|n| fleet.enroll(n));
        fleet
    }

    pub(crate) fn enroll(&mut self, n: usize) {
        let name = name(n);
        let token = Token {
            id: "t".to_owned(),
            secret: [7; 32],
            uses_left: 1,
            expires_at: Millis(i64::MAX),
            names: None,
            labels: BTreeMap::new(),
        };
        self.store.put_token(&token).unwrap();
        let new = NewMachine { name: name.clone(), key: format!("key {n}"), serial: 1, recipient: String::new() };
        self.store.enroll("t", &[7; 32], &new, world()).unwrap().unwrap();
        self.store.record(world(), &[Fact::Here { name, hub: "h".to_owned() }]).unwrap();
    }

    /// Its database, as it is on the disk.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.folder.path().join("hub.sqlite")).unwrap();
        connection.busy_timeout(DEADLINE).unwrap();
        connection
    }

    /// How many terms there were.
    pub(crate) fn terms(&self) -> i64 {
        self.database().query_row("SELECT epoch FROM lease", [], |row| row.get(0)).unwrap()
    }

    /// Begins a hub with a root of its own.
    pub(crate) fn begin(&mut self) {
        self.hubs += 1;
        let root = self.folder.path().join(format!("hub-{}", self.hubs));
        let paths = Paths { state: root.join("state"), run: root.join("run") };
        let directory = paths.state.join("sources/fleet");
        std::fs::create_dir_all(&paths.run).unwrap();
        std::fs::create_dir_all(&directory).unwrap();
        let bell = Arc::new(Bell::default());
        let git = abide_git::Settings {
            id: SourceId(Name::new("fleet").unwrap()),
            repository: serde_json::from_value(serde_json::json!({ "url": self.repository.url() })).unwrap(),
            credentials: Default::default(),
            grants: Default::default(),
            directory,
            program: helper(),
            said: None,
            keep: Vec::new(),
            history: History::Whole,
            reading: None,
            bounds: Bounds::default(),
        };
        let follower = Arc::new(Follower::start(git, Arc::clone(&bell)).unwrap());
        let settings = Settings {
            store: Arc::clone(&self.store),
            me: format!("hub-{}", self.hubs),
            fleet: FLEET.to_owned(),
            follower,
            roster: Arc::new(Roster::new(Arc::clone(&self.store), Arc::clone(&bell))),
            bell,
            clock: Clock::new(boot),
            world,
            limits: limits(),
            paths: paths.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let hold = Hold::take(&paths.state).unwrap();
            let runtime = abide_agent::runtime().unwrap();
            let stopped = async { drop(stopped.await) };
            runtime.block_on(deciding::decide(settings, hold, stopped)).unwrap();
            runtime.shutdown_timeout(DEADLINE);
        });
        self.hub = Some(Hub { stop, thread });
    }

    /// Ends the hub, whatever it is doing.
    pub(crate) fn end(&mut self) {
        let Hub { stop, thread } = self.hub.take().unwrap();
        drop(stop);
        thread.join().unwrap();
    }

    /// Plays the machines until this is so.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            self.play();
            if is_so(self) {
                return;
            }
            assert!(Instant::now() < end, "not {what}: {:#?}\n{:#?}", self.rollouts(), self.told);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every machine says how it is with what it was told.
    fn play(&mut self) {
        let mut facts = Vec::new();
        let machines = self.machines();
        let is_told = |machine: &&Machine| machine.target.as_ref().map(|target| target.number) != reported(machine);
        let changing = machines.iter().filter(is_told).count();
        self.unavailable_max = self.unavailable_max.max(changing);
        for machine in machines.iter().filter(is_told) {
            let Some(target) = machine.target.clone().filter(|_| !self.silent.contains(&machine.name)) else {
                continue;
            };
            let commit = target.commit.to_string();
            let is_bad = self.bad.contains(&commit);
            let told = self.told.entry(machine.name.clone()).or_default();
            if told.last() != Some(&commit) {
                told.push(commit);
            }
            self.sequence += 1;
            let report = Report {
                session: "s".to_owned(),
                sequence: self.sequence,
                target: Some(target.number),
                state: if is_bad { MachineState::Failed } else { MachineState::Ready },
                ..Report::default()
            };
            let ready_since = (!is_bad).then(world);
            let (name, report, hub_since) = (machine.name.clone(), Box::new(report), Millis(0));
            facts.push(Fact::Reported { name, report, ready_since, hub_since });
        }
        self.store.record(world(), &facts).unwrap();
    }

    pub(crate) fn machines(&self) -> Vec<Machine> {
        self.store.changes(0).unwrap().machines
    }

    /// How many are told this commit.
    pub(crate) fn on(&self, commit: &str) -> usize {
        let told = |machine: &Machine| machine.target.as_ref().map(|target| target.commit.to_string());
        self.machines().iter().filter(|machine| told(machine).as_deref() == Some(commit)).count()
    }

    /// The number of what a machine was told last.
    pub(crate) fn numbered(&self, machine: &Name) -> u64 {
        self.store.machine(machine).unwrap().unwrap().numbered
    }

    /// How many were ever told it.
    pub(crate) fn tried(&self, commit: &str) -> usize {
        self.told.values().filter(|told| told.iter().any(|other| other == commit)).count()
    }

    pub(crate) fn rollouts(&self) -> Rollouts {
        self.store.rollouts().unwrap().map(|json| serde_json::from_str(&json).unwrap()).unwrap_or_default()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(Hub { stop, .. }) = self.hub.take() {
            drop(stop);
        }
    }
}

pub(crate) fn name(n: usize) -> Name {
    Name::new(&format!("till-{n:02}")).unwrap()
}

fn reported(machine: &Machine) -> Option<u64> {
    machine.reported.as_ref().and_then(|reported| reported.report.target)
}

fn limits() -> Limits {
    let short = Time::from_millis(50);
    Limits { proof: short, proof_probed: short, retry_min: short, resync: Time::from_secs(2), ..deciding::limits() }
}

fn boot() -> Time {
    static BOOT: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BOOT.get_or_init(Instant::now).elapsed() + Time::from_secs(1_000)
}

pub(crate) fn now() -> Millis {
    world()
}

fn world() -> Millis {
    Millis(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}

fn helper() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let helper = test.parent().unwrap().parent().unwrap().join("examples/fetch");
    assert!(helper.exists(), "{} is not built: run the tests of the whole package", helper.display());
    helper
}
