//! A root of its own for each test, and an agent on it.

use crate::scripts::{Nobody, Scripts, owner};
use abide_host::{
    net::link,
    root::{Paths, Root},
};
use abide_instance::{Ground, Instances};
use abide_reconcile::{
    Backend, Fault, Found, InstanceId, Look, Order, Phase, Reclaim, Role, Seen, Step, Ticket, UnitId, Want,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A root, and an agent on it.
pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) paths: Paths,
    pub(crate) scripts: Scripts,
    pub(crate) ground: Arc<Ground>,
    pub(crate) instances: Arc<Instances<Scripts>>,
    hints: mpsc::Receiver<UnitId>,
    epoch: u64,
    n: u64,
}

impl Rig {
    pub(crate) fn new() -> Self {
        assert_eq!(fs::metadata("/proc/self").unwrap().uid(), 0, "this test needs root");
        let folder = tempfile::Builder::new().prefix("instance-").tempdir().unwrap();
        let paths = Paths::of(Some(folder.path())).make().unwrap();
        let scripts = Scripts::default();
        let (ground, instances, hints) = agent(&paths, 1, &scripts);
        Self { folder, paths, scripts, ground, instances, hints, epoch: 1, n: 0 }
    }

    /// The agent dies without a word, and another begins.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
        self.n = 0;
        (self.ground, self.instances, self.hints) = agent(&self.paths, self.epoch, &self.scripts);
    }

    /// That of an agent in a process of its own.
    pub(crate) fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    pub(crate) fn tag(&self) -> String {
        Root::open(&self.paths).unwrap().tag().to_string()
    }

    /// Carries out a step under the next ticket.
    pub(crate) fn run(&mut self, unit: &UnitId, step: Step) -> Result<Ticket, Fault> {
        self.n += 1;
        let ticket = Ticket { epoch: self.epoch, n: self.n };
        self.instances.run(&Order { ticket, unit: unit.clone(), step, stamp: 0 }, &Nobody).map(|()| ticket)
    }

    pub(crate) fn start(&mut self, want: &Arc<Want>) -> Result<InstanceId, Fault> {
        let step = Step::Start { want: Arc::clone(want), owner: owner(), attempt: 0 };
        self.run(&want.unit.id, step)
    }

    pub(crate) fn found(&self, unit: &UnitId) -> Option<Found> {
        self.instances.observe(&Look::Units([unit.clone()].into())).unwrap().remove(unit)
    }

    pub(crate) fn all(&self) -> BTreeMap<UnitId, Found> {
        self.instances.observe(&Look::All).unwrap()
    }

    pub(crate) fn seen(&self, unit: &UnitId, instance: InstanceId) -> Option<Arc<Seen>> {
        self.found(unit)?.instances.into_iter().find(|seen| seen.instance == instance)
    }

    pub(crate) fn role(&self, unit: &UnitId, instance: InstanceId) -> Option<Role> {
        self.seen(unit, instance).map(|seen| seen.role)
    }

    /// Waits, hint by hint, until the instance has ended, and gives its exit code.
    pub(crate) fn exit_code(&self, unit: &UnitId, instance: InstanceId) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(Phase::Exited { code, .. }) = self.seen(unit, instance).map(|seen| seen.phase) {
                return code;
            }
            let hint = self.hints.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            assert!(hint.is_ok(), "{unit} never ended: {:?}", self.found(unit));
        }
    }

    fn clear(&mut self) -> Result<(), String> {
        let words = |fault: Fault| fault.to_string();
        for (unit, found) in self.instances.observe(&Look::All).map_err(words)? {
            for seen in found.instances {
                self.run(&unit, Step::Stop { instance: seen.instance }).map_err(words)?;
            }
            self.run(&unit, Step::Forget { reclaim: Reclaim::Keep }).map_err(words)?;
        }
        self.ground.tear_down().map_err(|error| error.to_string())
    }

    /// Everything gone, down to the kernel.
    pub(crate) fn tear_down(mut self) {
        self.clear().unwrap();
        assert_eq!(self.traces(), BTreeSet::new());
        assert_eq!(fs::read_dir(self.paths.units()).unwrap().count(), 0);
    }

    /// All that the kernel has of this root: links, tables, groups, mounts, processes.
    pub(crate) fn traces(&self) -> BTreeSet<String> {
        let tag = self.tag();
        let mut traces: BTreeSet<String> = ["ab-", "av"]
            .into_iter()
            .flat_map(|prefix| link::names(&format!("{prefix}{tag}")).unwrap())
            .map(|name| format!("link {name}"))
            .collect();
        let tables = std::process::Command::new("nft").args(["list", "tables"]).output().unwrap().stdout;
        let tables = String::from_utf8(tables).unwrap();
        traces.extend(tables.lines().filter(|line| line.contains(&tag)).map(str::to_owned));
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
            let parent = hierarchy.unwrap().path().join(format!("abide-{tag}"));
            let groups = fs::read_dir(&parent).into_iter().flatten().flatten();
            let groups = groups.filter(|entry| entry.path().is_dir());
            traces.extend(groups.map(|group| format!("group {}", group.path().display())));
            if parent.exists() {
                traces.insert(format!("group {}", parent.display()));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let root = self.folder.path().to_str().unwrap();
        traces.extend(mounts.lines().filter(|line| line.contains(root)).map(|line| format!("mount {line}")));
        let leases = self.paths.state.join("leases");
        for network in fs::read_dir(leases).into_iter().flatten().flatten() {
            let leases = fs::read_dir(network.path()).unwrap();
            traces.extend(leases.map(|lease| format!("lease {}", lease.unwrap().file_name().display())));
        }
        traces
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind either.
        if thread::panicking()
            && let Err(why) = self.clear()
        {
            eprintln!("left behind: {why}");
        }
    }
}

fn agent(
    paths: &Paths,
    epoch: u64,
    scripts: &Scripts,
) -> (Arc<Ground>, Arc<Instances<Scripts>>, mpsc::Receiver<UnitId>) {
    let (sender, hints) = mpsc::channel();
    let hint = move |unit| {
        let _ = sender.send(unit);
    };
    let ground = Ground::open(Root::open(paths).unwrap(), epoch, hint).unwrap();
    let instances = Arc::new(Instances::new(Arc::clone(&ground), scripts.clone()));
    (ground, instances, hints)
}

/// The program with what is to be a process of its own.
pub(crate) fn helper() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let helper = test.parent().unwrap().parent().unwrap().join("examples/instance-helper");
    assert!(helper.exists(), "{} is not built: run the tests of the whole package", helper.display());
    helper
}

/// Waits until `is_so`. For what only shows from outside, as a file that a program writes.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(5));
    }
}
