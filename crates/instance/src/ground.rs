//! What all instances of one root share: its directories, control groups, network, the keepers' program, the watch over
//! their ends, and the volumes.
//!
//! Opening it takes away what no instance has: groups, links, addresses and published ports whose instance is gone, by a
//! crash or a reboot. What is left of instances themselves is their [`crate::Instances`]' to clear.

use crate::{
    condition::Condition,
    fault::again,
    network::{self, Network, NetworkError},
    place::{instance_directory, instance_name, unit_folder, unit_of},
    record::{Attached, InstanceRecord, RecordError},
    runtime::Place,
    volume::{VolumeError, Volumes},
};
use abide_host::{
    cgroup::{self, Hierarchies},
    fs::{self, Dir, Resolve},
    keeper::{Client, Ended, Exec, Keepers, Process, Program, SpawnError, Streams},
    mount,
    net::Subnet,
    process::Exits,
    root::{self, Paths, Root},
    time,
};
use abide_reconcile::{Fault, InstanceId, UnitId, UnitSpec, with_causes};
use std::{
    env, fmt,
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::AsFd as _,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

/// Of the root's run directory.
const UNITS: &str = "units";
/// Kubernetes says to every process of a pod where its API server is.
const POD: &str = "KUBERNETES_SERVICE_HOST";
/// An order that is silent for a minute is given up.
const PULSE: Duration = Duration::from_secs(10);

/// Why instances can't be had under a root, or can't be cleared away.
#[derive(Debug, thiserror::Error)]
pub enum GroundError {
    /// Its files.
    #[error(transparent)]
    Files(#[from] fs::Error),
    /// Its folders.
    #[error(transparent)]
    Root(#[from] root::Error),
    /// Its volumes.
    #[error(transparent)]
    Volumes(#[from] VolumeError),
    /// What is written of instances.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// Control groups.
    #[error(transparent)]
    Groups(#[from] cgroup::Error),
    /// The keepers' program.
    #[error(transparent)]
    Keepers(#[from] SpawnError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Mounts.
    #[error(transparent)]
    Mounts(#[from] mount::Error),
    /// The kernel doesn't say which boot it is, or what ended.
    #[error("cannot {act}")]
    System {
        /// As "watch for the ends of processes".
        act: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// Something is there still.
    #[error("instances are there still, {count} in all, as {first}: stop everything first")]
    InUse {
        /// How much.
        count: usize,
        /// One of them.
        first: UnitId,
    },
}

/// What there is to know of an instance that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Its first process, on the host.
    pub pid: Option<i32>,
    /// Where it can be reached from the host: on the bridge, or the loopback address if it has the host's network.
    pub address: Option<Ipv4Addr>,
}

/// What all instances of one root share.
pub struct Ground {
    pub(crate) paths: Paths,
    pub(crate) epoch: u64,
    pub(crate) boot: String,
    pub(crate) keepers: Keepers,
    pub(crate) hierarchies: Hierarchies,
    /// The name above all groups of this root.
    pub(crate) parent: String,
    /// The directories of units.
    pub(crate) units: Dir,
    /// Outlives a reboot.
    pub(crate) state: Dir,
    exits: Exits,
    hint: Arc<dyn Fn(UnitId) + Send + Sync>,
    volumes: Arc<Volumes>,
    network: Mutex<Made>,
}

/// A pod ends with all that is in its control groups, and what an agent runs is to outlive the agent's pod.
fn keepers() -> Result<Keepers, GroundError> {
    let keepers = Keepers::new()?;
    Ok(if env::var_os(POD).is_some() { keepers.moved_to(cgroup::top()?) } else { keepers })
}

/// The root, which remembers the choice of a network, and the network once there is one.
struct Made {
    root: Root,
    network: Option<Arc<Network>>,
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground").field("paths", &self.paths).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Ground {
    /// Sweeps what is left of earlier boots and of crashes. `hint` is called with the unit of each instance that ends. The
    /// network is made with the first instance that needs it.
    pub fn open(
        root: Root,
        epoch: u64,
        hint: impl Fn(UnitId) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, GroundError> {
        let system = |act| move |source| GroundError::System { act, source };
        let volumes = Volumes::open(root.state(), epoch)?;
        let ground = Self {
            paths: root.paths().clone(),
            epoch,
            boot: time::boot_id().map_err(system("read which boot this is"))?,
            keepers: keepers()?,
            hierarchies: Hierarchies::detect()?,
            parent: format!("abide-{}", root.tag()),
            units: root.run().make_dirs(UNITS, 0o700)?,
            state: Dir::open(&root.paths().state)?,
            exits: Exits::new().map_err(system("watch for the ends of processes"))?,
            hint: Arc::new(hint),
            volumes: Arc::new(volumes),
            network: Mutex::new(Made { root, network: None }),
        };
        ground.sweep()?;
        Ok(Arc::new(ground))
    }

    /// The volumes of this root.
    pub fn volumes(&self) -> &Arc<Volumes> {
        &self.volumes
    }

    /// What there is to know of an instance; nothing if it isn't there.
    pub fn inspect(&self, unit: &UnitId, instance: InstanceId) -> Option<Inspected> {
        let directory = self.instance(unit, instance).ok()??;
        let record = InstanceRecord::read(&directory).ok()??;
        let pid = match Condition::read(directory.path()).ok()? {
            Condition::Runs(process) => Some(process.first.pid),
            Condition::Unmade(_) | Condition::Lost(_) | Condition::Ended(..) => None,
        };
        Some(Inspected { pid, address: record.address() })
    }

    /// Runs a command in the instance and gives its exit code. What it prints is dropped; it is killed when the time is
    /// over, which is a [`Fault::Again`].
    pub fn exec(
        &self,
        unit: &UnitId,
        instance: InstanceId,
        command: &[String],
        timeout: Duration,
    ) -> Result<i32, Fault> {
        let args: Vec<_> = command.iter().map(|arg| arg.clone().into_bytes()).collect();
        let program = Program { args: args.into(), ..Program::default() };
        let null = File::options().read(true).write(true).open("/dev/null").map_err(again)?;
        let streams = Streams::Given([null.as_fd(); 3]);
        let client = Client::connect(&instance_directory(&self.paths, unit, instance)).map_err(again)?;
        let deadline = Instant::now() + timeout;
        let exec = Exec { program, terminal: None };
        let running = client.exec_within(Some(timeout), exec, &streams).map_err(again)?;
        let left = deadline.saturating_duration_since(Instant::now());
        match running.wait(Some(left)).map_err(again)? {
            Ended::Code(code) => Ok(code),
            Ended::NotYet => Err(Fault::Again(format!("it did not end within {} s", timeout.as_secs_f64()).into())),
        }
    }

    /// Takes away all that a root leaves in the kernel, when no instance is left: bridge, table, groups, mounts, leases.
    pub fn tear_down(&self) -> Result<(), GroundError> {
        let mut left = self.instances()?.into_iter();
        if let Some((first, _)) = left.next() {
            return Err(GroundError::InUse { count: 1 + left.count(), first });
        }
        let mut made = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        made.network = None;
        network::tear_down(&made.root)?;
        mount::unmount_all(&self.paths.run)?;
        self.hierarchies.remove_parent(&self.parent);
        Ok(())
    }

    /// The network, made if it isn't there.
    pub(crate) fn network(&self) -> Result<Arc<Network>, GroundError> {
        let mut made = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = &made.network {
            return Ok(Arc::clone(network));
        }
        let has_instances = self.present()?.iter().any(|(.., record)| record.network.is_some());
        let network = Arc::new(Network::make(&mut made.root, has_instances)?);
        made.network = Some(Arc::clone(&network));
        Ok(network)
    }

    /// It may not be as we made it any more: who needs it next makes it again.
    pub(crate) fn doubt_network(&self) {
        self.network.lock().unwrap_or_else(PoisonError::into_inner).network = None;
    }

    /// The directories of all units.
    pub(crate) fn unit_ids(&self) -> Result<Vec<UnitId>, fs::Error> {
        Ok(self.units.names()?.iter().filter_map(|name| unit_of(name.to_str()?)).collect())
    }

    /// The directory of a unit, if it has one.
    pub(crate) fn unit(&self, unit: &UnitId) -> Result<Option<Dir>, fs::Error> {
        open_if_there(&self.units, &unit_folder(unit))
    }

    /// The directory of an instance, if it has one.
    pub(crate) fn instance(&self, unit: &UnitId, instance: InstanceId) -> Result<Option<Dir>, fs::Error> {
        open_if_there(&self.units, &format!("{}/{instance}", unit_folder(unit)))
    }

    /// Where an instance is, as its runtime is told.
    pub(crate) fn place(&self, unit: &UnitId, instance: InstanceId, attached: Option<&Attached>) -> Place {
        let made = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let subnet = network::chosen(&made.root).ok().flatten();
        Place {
            unit: unit.clone(),
            instance,
            dir: instance_directory(&self.paths, unit, instance),
            address: attached.map(|attached| attached.address),
            gateway: subnet.map_or(Ipv4Addr::UNSPECIFIED, Subnet::gateway),
            prefix: subnet.map_or(0, Subnet::bits),
        }
    }

    /// Tells of the unit when this process ends.
    pub(crate) fn tell_of(&self, unit: &UnitId, process: Process) -> io::Result<()> {
        let (hint, unit) = (Arc::clone(&self.hint), unit.clone());
        self.exits.watch(process.keeper, move || hint(unit))
    }

    /// Waits for the end of a keeper, and so of what it keeps. `is_waiting` is called now and then meanwhile.
    pub(crate) fn wait_for(&self, process: Process, patience: Duration, is_waiting: impl Fn()) -> io::Result<HasEnded> {
        let (sender, ended) = mpsc::channel();
        self.exits.watch(process.keeper, move || {
            // Who doesn't wait any more needs no word.
            let _ = sender.send(());
        })?;
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match ended.recv_timeout(left.min(PULSE)) {
                Ok(()) => return Ok(HasEnded::Yes),
                Err(_) if left <= PULSE => return Ok(HasEnded::NotYet),
                Err(_) => is_waiting(),
            }
        }
    }

    fn sweep(&self) -> Result<(), GroundError> {
        let present = self.present()?;
        let names: Vec<_> = present.iter().map(|(unit, instance, _)| instance_name(unit, *instance)).collect();
        for stray in self.hierarchies.list(&self.parent)?.into_iter().filter(|name| !names.contains(name)) {
            let group = self.hierarchies.group(&self.parent, &stray)?;
            group.kill()?;
            group.remove()?;
        }
        let attached: Vec<_> = present.into_iter().filter_map(|(.., record)| record.network).collect();
        network::sweep(&self.network.lock().unwrap_or_else(PoisonError::into_inner).root, &attached)?;
        if !attached.is_empty() {
            // Who runs on goes on running without: whoever needs the network next tries again.
            let settled = self.network().and_then(|network| Ok(network.settle_udp()?));
            settled.unwrap_or_else(|error| tracing::error!("the network of instances: {}", with_causes(&error)));
        }
        Ok(())
    }

    /// Every directory of an instance, whatever is in it.
    fn instances(&self) -> Result<Vec<(UnitId, InstanceId)>, GroundError> {
        let mut all = Vec::new();
        for unit in self.unit_ids()? {
            let Some(directory) = self.unit(&unit)? else { continue };
            let instances = instances_in(&directory)?;
            all.extend(instances.into_iter().map(|instance| (unit.clone(), instance)));
        }
        Ok(all)
    }

    /// Every instance of this boot.
    fn present(&self) -> Result<Vec<(UnitId, InstanceId, InstanceRecord)>, GroundError> {
        let mut present = Vec::new();
        for (unit, instance) in self.instances()? {
            let Some(directory) = self.instance(&unit, instance)? else { continue };
            let record = InstanceRecord::read(&directory)?.filter(|record| record.boot == self.boot);
            present.extend(record.map(|record| (unit, instance, record)));
        }
        Ok(present)
    }
}

/// Whether what was waited for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HasEnded {
    Yes,
    NotYet,
}

impl InstanceRecord {
    /// Where it can be reached from the host.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        match (&self.network, &self.unit.spec) {
            (Some(attached), _) => Some(attached.address),
            (None, UnitSpec::Container(spec)) if spec.host_network => Some(Ipv4Addr::LOCALHOST),
            (None, _) => None,
        }
    }
}

/// The instances that have a directory in their unit's.
pub(crate) fn instances_in(unit: &Dir) -> Result<Vec<InstanceId>, fs::Error> {
    let mut instances: Vec<InstanceId> = unit.names()?.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    instances.sort_unstable();
    Ok(instances)
}

fn open_if_there(dir: &Dir, path: &str) -> Result<Option<Dir>, fs::Error> {
    match dir.open_dir(path, Resolve::Beneath) {
        Err(error) if error.is_missing() => Ok(None),
        opened => opened.map(Some),
    }
}
