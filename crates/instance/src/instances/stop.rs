//! Ending an instance, and taking away all that was made for it.
//!
//! Clearing away works from the record alone, and takes the record last: whatever a crash leaves, the next one to clear away
//! finds all that is left.

use super::{Instances, activate};
use crate::{
    Runtime,
    condition::Condition,
    fault::again,
    ground::{HasEnded, instances_in},
    place::{instance_name, unit_folder},
    record::{InstanceRecord, UnitRecord},
};
use abide_host::{
    cgroup::Group,
    fs::{Dir, Resolve},
    keeper::Process,
    mount, process,
};
use abide_reconcile::{Attend, Fault, InstanceId, Progress, Unit, UnitId, UnitSpec};
use std::time::Duration;

/// How long the kernel may take to end what was killed. A process that waits for a file system that hangs takes longer.
const END_MAX: Duration = Duration::from_secs(5);

impl<R: Runtime> Instances<R> {
    /// Kills it so that it leaves its tombstone.
    pub(super) fn kill(&self, unit: &UnitId, instance: InstanceId) -> Result<(), Fault> {
        let Some(directory) = self.ground.instance(unit, instance).map_err(again)? else { return Ok(()) };
        let Some(record) = InstanceRecord::read(&directory).map_err(again)? else { return Ok(()) };
        match Condition::read(directory.path()).map_err(again)? {
            Condition::Runs(process) => self.end(process, &record.group),
            Condition::Unmade(_) | Condition::Lost(_) | Condition::Ended(..) => Ok(()),
        }
    }

    pub(super) fn stop(&self, unit: &UnitId, instance: InstanceId, attend: &dyn Attend) -> Result<(), Fault> {
        if let Some(directory) = self.ground.instance(unit, instance).map_err(again)?
            && let Some(record) = InstanceRecord::read(&directory).map_err(again)?
            && let Condition::Runs(process) = Condition::read(directory.path()).map_err(again)?
        {
            self.retire(unit, instance, &record)?;
            let place = self.ground.place(unit, instance, record.network.as_ref());
            // Who can't be asked is killed.
            match self.runtime.ask_to_stop(&place, &record.unit) {
                Ok(()) => {
                    let grace = grace_period(&record.unit);
                    let what = format!("waiting up to {} s for it to end", grace.as_secs());
                    let progress = Progress { what: what.into(), done: 0, total: None };
                    // However it ends, what is left is taken away.
                    let _ =
                        self.ground.wait_for(process, grace, || attend.progress(progress.clone())).map_err(again)?;
                }
                Err(fault) => tracing::warn!("{unit} can't be asked to stop, and is killed: {fault}"),
            }
        }
        self.clear_away(unit, instance)
    }

    /// Takes away all that was made for an instance. Idempotent: half of it may be there.
    pub(super) fn clear_away(&self, unit: &UnitId, instance: InstanceId) -> Result<(), Fault> {
        if let Some(directory) = self.ground.instance(unit, instance).map_err(again)? {
            if let Some(record) = InstanceRecord::read(&directory).map_err(again)? {
                self.clear_what_was_made(unit, instance, &directory, &record)?;
            }
            // The record first: what has none is nothing but a directory.
            directory.remove_all(InstanceRecord::FILE).map_err(again)?;
            let folder = unit_folder(unit);
            let of_unit = self.ground.units.open_dir(&folder, Resolve::Beneath).map_err(again)?;
            of_unit.remove_all(instance.to_string()).map_err(again)?;
        }
        self.change_roles(unit, |roles| roles.forget(instance))
    }

    /// What a crash left half made, or what is of an earlier boot.
    pub(super) fn clear_leftovers(&self, unit: &UnitId) -> Result<(), Fault> {
        let Some(directory) = self.ground.unit(unit).map_err(again)? else { return Ok(()) };
        for instance in instances_in(&directory).map_err(again)? {
            if self.is_left_over(unit, instance)? {
                self.clear_away(unit, instance)?;
            }
        }
        Ok(())
    }

    /// Changes who serves, and writes it if it differs.
    pub(super) fn change_roles(&self, unit: &UnitId, change: impl FnOnce(&mut UnitRecord)) -> Result<(), Fault> {
        let Some(directory) = self.ground.unit(unit).map_err(again)? else { return Ok(()) };
        let before = UnitRecord::read(&directory).map_err(again)?;
        let mut after = before.clone();
        change(&mut after);
        if after == before { Ok(()) } else { after.write(&directory).map_err(again) }
    }

    fn is_left_over(&self, unit: &UnitId, instance: InstanceId) -> Result<bool, Fault> {
        let Some(directory) = self.ground.instance(unit, instance).map_err(again)? else { return Ok(false) };
        let Some(record) = InstanceRecord::read(&directory).map_err(again)? else { return Ok(true) };
        let condition = Condition::read(directory.path()).map_err(again)?;
        Ok(record.boot != self.ground.boot || matches!(condition, Condition::Unmade(_)))
    }

    fn clear_what_was_made(
        &self,
        unit: &UnitId,
        instance: InstanceId,
        directory: &Dir,
        record: &InstanceRecord,
    ) -> Result<(), Fault> {
        let is_of_this_boot = record.boot == self.ground.boot;
        if is_of_this_boot {
            self.retire(unit, instance, record)?;
            match Condition::read(directory.path()).map_err(again)?.process() {
                Some(process) => self.end(process, &record.group)?,
                None => record.group.kill().map_err(again)?,
            }
        }
        self.runtime.clear_away(&self.ground.place(unit, instance, record.network.as_ref()))?;
        mount::unmount_all(directory.path()).map_err(again)?;
        if is_of_this_boot {
            if let Some(attached) = &record.network {
                let name = instance_name(unit, instance);
                self.ground.network().and_then(|network| Ok(network.release(attached, &name)?)).map_err(again)?;
            }
            record.group.remove().map_err(again)?;
        }
        Ok(())
    }

    /// Nothing new comes to it any more.
    fn retire(&self, unit: &UnitId, instance: InstanceId, record: &InstanceRecord) -> Result<(), Fault> {
        let published = activate::published(record);
        let Some(attached) = record.network.as_ref().filter(|_| !published.is_empty()) else { return Ok(()) };
        let network = self.ground.network().map_err(again)?;
        if network.is_of(attached, &instance_name(unit, instance)).map_err(again)? {
            network.table.publish(&activate::withdrawn(&published)).map_err(again)?;
        }
        self.unlisten(unit, instance, &published)
    }

    /// Kills all of it and waits until it is gone.
    fn end(&self, process: Process, group: &Group) -> Result<(), Fault> {
        group.kill().map_err(again)?;
        if self.ground.wait_for(process, END_MAX, || ()).map_err(again)? == HasEnded::Yes {
            return Ok(());
        }
        // With its keeper, an instance loses its first process in any case.
        process::kill(process.keeper, process::Signal::SIGKILL).map_err(again)?;
        match self.ground.wait_for(process, END_MAX, || ()).map_err(again)? {
            HasEnded::Yes => Ok(()),
            HasEnded::NotYet => {
                let pid = process.first.pid;
                Err(Fault::Again(format!("process {pid} was killed, and the kernel has not ended it so far: it may wait for a disk or a server that doesn't answer").into()))
            }
        }
    }
}

fn grace_period(unit: &Unit) -> Duration {
    match &unit.spec {
        UnitSpec::Container(spec) => spec.stop_grace_period.0,
        UnitSpec::VirtualMachine(spec) => spec.stop_grace_period.0,
        UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => Duration::ZERO,
    }
}
