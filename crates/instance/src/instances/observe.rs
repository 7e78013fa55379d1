//! What there is, from the directories, the boot and the processes.

use super::Instances;
use crate::{
    Runtime,
    condition::{Condition, KILLED},
    fault::again,
    ground::instances_in,
    record::{InstanceRecord, UnitRecord},
};
use abide_host::{
    fs::{self, Dir},
    keeper::Exit,
    time,
};
use abide_reconcile::{Fault, Found, InstanceId, Look, Seen, UnitId, Want};
use std::{collections::BTreeMap, io, sync::Arc};

impl<R: Runtime> Instances<R> {
    pub(super) fn look(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault> {
        let units = match look {
            Look::All => self.units()?,
            Look::Units(units) => units.iter().filter(|unit| unit.kind == self.runtime.kind()).cloned().collect(),
        };
        let mut world = BTreeMap::new();
        for unit in units {
            if let Some(found) = self.found(&unit)? {
                world.insert(unit, found);
            }
        }
        if *look == Look::All {
            // What serves is seen all the same.
            self.mend_ports(&world).unwrap_or_else(|fault| tracing::warn!("published ports: {fault}"));
        }
        Ok(world)
    }

    /// The units of this kind of which there is anything.
    pub(super) fn units(&self) -> Result<Vec<UnitId>, Fault> {
        let kind = self.runtime.kind();
        Ok(self.ground.unit_ids().map_err(again)?.into_iter().filter(|unit| unit.kind == kind).collect())
    }

    /// Hears of the ends of all that run.
    pub(super) fn watch_all(&self, unit: &UnitId) -> Result<(), WatchError> {
        let Some(directory) = self.ground.unit(unit)? else { return Ok(()) };
        for instance in instances_in(&directory)? {
            if let Some(directory) = self.ground.instance(unit, instance)? {
                self.watch(unit, &directory)?;
            }
        }
        Ok(())
    }

    /// Hears of the end of this one.
    pub(super) fn watch(&self, unit: &UnitId, instance: &Dir) -> io::Result<()> {
        match Condition::read(instance.path())? {
            Condition::Runs(process) | Condition::Unmade(Some(process)) => self.ground.tell_of(unit, process),
            Condition::Unmade(None) | Condition::Lost(_) | Condition::Ended(..) => Ok(()),
        }
    }

    fn found(&self, unit: &UnitId) -> Result<Option<Found>, Fault> {
        let Some(directory) = self.ground.unit(unit).map_err(again)? else { return Ok(None) };
        let roles = UnitRecord::read(&directory).map_err(again)?;
        let mut instances = Vec::new();
        for instance in instances_in(&directory).map_err(again)? {
            instances.extend(self.seen(unit, instance, &roles)?.map(Arc::new));
        }
        let is_anything = !instances.is_empty() || roles.owner.is_some();
        Ok(is_anything.then_some(Found { instances, owner: roles.owner, stamp: 0 }))
    }

    fn seen(&self, unit: &UnitId, instance: InstanceId, roles: &UnitRecord) -> Result<Option<Seen>, Fault> {
        let Some(directory) = self.ground.instance(unit, instance).map_err(again)? else { return Ok(None) };
        let Some(record) = InstanceRecord::read(&directory).map_err(again)? else { return Ok(None) };
        if record.boot != self.ground.boot {
            return Ok(None);
        }
        let condition = match Condition::read(directory.path()).map_err(again)? {
            Condition::Lost(_) => bury(&directory, &record)?,
            other => other,
        };
        let Some(phase) = condition.phase(&record.unit, time::boottime()) else { return Ok(None) };
        let want = Arc::new(Want::new(Arc::new(record.unit)));
        Ok(Some(Seen { instance, role: roles.role(instance), phase, want, attempt: record.attempt }))
    }
}

/// Why the end of an instance would not be heard of.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    #[error(transparent)]
    Files(#[from] fs::Error),
    #[error("cannot watch for its end")]
    Watch(#[from] io::Error),
}

/// Writes what a keeper could not that was killed: the end is to be the same at every look.
fn bury(directory: &Dir, record: &InstanceRecord) -> Result<Condition, Fault> {
    record.group.kill().map_err(again)?;
    let exit = Exit { code: KILLED, at: u64::try_from(time::boottime().as_nanos()).unwrap_or(u64::MAX) };
    exit.write(directory.path()).map_err(again)?;
    Condition::read(directory.path()).map_err(again)
}
