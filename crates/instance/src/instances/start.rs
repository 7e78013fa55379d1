//! Making an instance. What a failure leaves half made is taken away at once, and what a crash leaves by the next agent.

use super::{Instances, logs};
use crate::{
    Launch, Link, Runtime,
    fault::{again, never},
    network::Network,
    place::{instance_name, unit_folder},
    record::{Attached, InstanceRecord, UnitRecord},
};
use abide_host::{
    fs::Dir,
    keeper::{Created, Exit, Log, SpawnError},
    net::link::{self, Header},
    time,
};
use abide_reconcile::{Attend, Fault, InstanceId, Owner, UnitId, UnitSpec, Want, with_causes};
use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

/// What is to be started.
pub(super) struct Version<'a> {
    pub(super) want: &'a Arc<Want>,
    pub(super) owner: &'a Owner,
    pub(super) attempt: u32,
}

/// The exit code of an instance that failed before its program could be executed, as other runtimes have it.
const NOT_SET_UP: i32 = 125;

impl<R: Runtime> Instances<R> {
    pub(super) fn start(
        &self,
        unit: &UnitId,
        instance: InstanceId,
        version: &Version<'_>,
        attend: &dyn Attend,
    ) -> Result<(), Fault> {
        self.clear_leftovers(unit)?;
        let directory = self.ground.units.make_dirs(unit_folder(unit), 0o700).map_err(again)?;
        let before = UnitRecord::read(&directory).map_err(again)?;
        let mut owned = before.clone();
        owned.owner = Some(version.owner.clone());
        owned.write(&directory).map_err(again)?;
        let made = self.make(unit, instance, &directory, version, attend);
        if let Err(Unmade::Nothing(_)) = &made {
            self.unmake(unit, instance, &before)
                .unwrap_or_else(|left| tracing::warn!("what is left of {unit}: {left}"));
        }
        made.map_err(|(Unmade::Nothing(fault) | Unmade::Tombstone(fault))| fault)
    }

    /// As if nothing had been tried.
    fn unmake(&self, unit: &UnitId, instance: InstanceId, before: &UnitRecord) -> Result<(), Fault> {
        self.clear_away(unit, instance)?;
        let Some(directory) = self.ground.unit(unit).map_err(again)? else { return Ok(()) };
        before.write(&directory).map_err(again)?;
        self.drop_if_empty(unit)
    }

    fn make(
        &self,
        unit: &UnitId,
        instance: InstanceId,
        directory: &Dir,
        version: &Version<'_>,
        attend: &dyn Attend,
    ) -> Result<(), Unmade> {
        let directory = directory.make_dirs(instance.to_string(), 0o700).map_err(again)?;
        let network = needs_network(version.want).then(|| self.ground.network()).transpose().map_err(again)?;
        let record = self.record(unit, instance, version, network.as_deref())?;
        if let Err(error) = record.write(&directory) {
            // Nobody would find the lease before the next agent sweeps.
            let name = instance_name(unit, instance);
            let _ = record.network.as_ref().zip(network).map(|(attached, network)| network.release(attached, &name));
            return Err(again(error).into());
        }
        self.ground.hierarchies.create(&self.ground.parent, &instance_name(unit, instance)).map_err(again)?;
        record.group.set(&self.runtime.limits(&record.unit)).map_err(again)?;
        record.group.allow_devices(&self.runtime.devices()).map_err(again)?;
        let log = logs::make(&self.ground.state, &self.ground.paths, unit, instance).map_err(again)?;
        let place = self.ground.place(unit, instance, record.network.as_ref());
        let launch = self.runtime.launch(&place, &record.unit)?;
        if attend.is_cancelled() {
            return Err(Fault::Cancelled.into());
        }
        let on = record.network.as_ref().zip(network.as_deref());
        let created = self.create(launch, &record, &directory, log, on)?;
        // Before it is let go: its end is heard of however soon it comes.
        self.watch(unit, &directory).map_err(again)?;
        execute(created, &directory)
    }

    fn record(
        &self,
        unit: &UnitId,
        instance: InstanceId,
        version: &Version<'_>,
        network: Option<&Network>,
    ) -> Result<InstanceRecord, Fault> {
        let name = instance_name(unit, instance);
        let group = self.ground.hierarchies.group(&self.ground.parent, &name).map_err(again)?;
        let attached = network.map(|network| network.reserve(&name)).transpose().map_err(again)?;
        let unit = (*version.want.unit).clone();
        Ok(InstanceRecord::new(self.ground.boot.clone(), unit, version.attempt, attached, group))
    }

    /// The first process, tied to the bridge, but not let go.
    fn create(
        &self,
        launch: Launch,
        record: &InstanceRecord,
        directory: &Dir,
        log: Log,
        on: Option<(&Attached, &Network)>,
    ) -> Result<Created, Fault> {
        let Launch { mut job, link } = launch;
        let procs = record.group.folders().into_iter().map(|folder| folder.join("cgroup.procs"));
        job.cgroups = procs.map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>().into();
        job.log = log;
        job.directory = directory.path().to_string_lossy().into_owned();
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        match (&link, on) {
            (Link::Tap, Some((attached, network))) => {
                descriptors.push(self.tied(link::tap(&network.port(attached), Header::Virtio))?);
            }
            (Link::Veth, _) => job.namespaces |= u64::from(libc::CLONE_NEWNET.cast_unsigned()),
            (Link::Tap | Link::None, _) => {}
        }
        let given: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        let created = self.ground.keepers.create(&job, &given).map_err(spawning)?;
        if let (Link::Veth, Some((attached, network))) = (&link, on) {
            let namespace = created.network().map_err(again)?;
            self.tied(link::veth(&network.port(attached), namespace.as_fd()))?;
        }
        Ok(created)
    }

    /// Where a link can't be tied to the bridge, somebody may have removed the bridge.
    fn tied<T>(&self, made: abide_host::net::Result<T>) -> Result<T, Fault> {
        made.map_err(|error| {
            self.ground.doubt_network();
            again(error)
        })
    }
}

/// Why an instance doesn't run, and what there is of it.
enum Unmade {
    /// Its program could not be executed. That counts as an exit: a version that can't start is bad, also where the old one
    /// had to stop first.
    Tombstone(Fault),
    /// All else.
    Nothing(Fault),
}

impl From<Fault> for Unmade {
    fn from(fault: Fault) -> Self {
        Self::Nothing(fault)
    }
}

fn execute(created: Created, directory: &Dir) -> Result<(), Unmade> {
    let failure = match created.go() {
        Ok(()) => return Ok(()),
        Err(SpawnError::Failed(failure)) => failure,
        Err(other) => return Err(spawning(other).into()),
    };
    let at = u64::try_from(time::boottime().as_nanos()).unwrap_or(u64::MAX);
    let exit = Exit { code: failure.exit_code().unwrap_or(NOT_SET_UP), at };
    let fault = Fault::Again(failure.to_string().into());
    match exit.write(directory.path()) {
        Ok(()) => Err(Unmade::Tombstone(fault)),
        Err(error) => {
            tracing::warn!("the exit of an instance can't be written: {}", with_causes(&error));
            Err(fault.into())
        }
    }
}

fn spawning(error: SpawnError) -> Fault {
    match error {
        SpawnError::TooLong { .. } => never(with_causes(&error)),
        SpawnError::Keeper(_) | SpawnError::Group(_) | SpawnError::Silent(_) | SpawnError::Failed(_) => again(error),
    }
}

fn needs_network(want: &Want) -> bool {
    !matches!(&want.unit.spec, UnitSpec::Container(spec) if spec.host_network)
}
