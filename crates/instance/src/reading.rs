//! What runs, from the directories alone: for whom there is no agent to ask.

use crate::{
    condition::Condition,
    ground::instances_in,
    place::unit_directory,
    record::{InstanceRecord, RecordError, UnitRecord},
};
use abide_host::{
    fs::{Dir, Resolve},
    root::Paths,
    time,
};
use abide_reconcile::{InstanceId, Phase, Role, Unit, UnitId};
use std::net::Ipv4Addr;

/// An instance that runs, or ran and was not cleared away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Which.
    pub id: InstanceId,
    /// Whether it serves.
    pub role: Role,
    /// Whether it runs. What a probe says is not known here.
    pub phase: Phase,
    /// Its first process, on the host, while it runs.
    pub pid: Option<i32>,
    /// Where it can be reached from the host.
    pub address: Option<Ipv4Addr>,
    /// What it runs as, secrets included.
    pub unit: Unit,
}

/// The instances of a unit, the oldest first. Those of an earlier boot are left out, and those that are being made.
pub fn read_instances(paths: &Paths, unit: &UnitId) -> Result<Vec<Instance>, RecordError> {
    let directory = match Dir::open(&unit_directory(paths, unit)) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        directory => directory?,
    };
    let roles = UnitRecord::read(&directory)?;
    let boot = time::boot_id().unwrap_or_default();
    let mut instances = Vec::new();
    for id in instances_in(&directory)? {
        let own = match directory.open_dir(id.to_string(), Resolve::Beneath) {
            Err(error) if error.is_missing() => continue,
            own => own?,
        };
        // Gone in between, or in the making: not there.
        let Some(record) = InstanceRecord::read(&own)?.filter(|record| record.boot == boot) else { continue };
        let Ok(condition) = Condition::read(own.path()) else { continue };
        let Some(phase) = condition.phase(&record.unit, time::boottime()) else { continue };
        let pid = match condition {
            Condition::Runs(process) => Some(process.first.pid),
            Condition::Unmade(_) | Condition::Lost(_) | Condition::Ended(..) => None,
        };
        let address = record.address();
        instances.push(Instance { id, role: roles.role(id), phase, pid, address, unit: record.unit });
    }
    Ok(instances)
}
