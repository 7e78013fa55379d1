//! Changes that need no new instance.

use super::{Instances, logs, missing};
use crate::{
    Runtime,
    condition::Condition,
    fault::again,
    ground::instances_in,
    place::unit_folder,
    record::{InstanceRecord, UnitRecord},
};
use abide_reconcile::{Fault, InstanceId, Owner, UnitId, Want};

impl<R: Runtime> Instances<R> {
    /// The record last: a look that finds it finds the change made.
    pub(super) fn update(&self, unit: &UnitId, instance: InstanceId, to: &Want) -> Result<(), Fault> {
        let Some(directory) = self.ground.instance(unit, instance).map_err(again)? else {
            return Err(missing(instance));
        };
        let Some(mut record) = InstanceRecord::read(&directory).map_err(again)? else { return Err(missing(instance)) };
        if !matches!(Condition::read(directory.path()).map_err(again)?, Condition::Runs(_)) {
            return Err(missing(instance));
        }
        if record.unit.shape() != to.shape {
            return Err(Fault::Again("this needs a new instance".into()));
        }
        record.group.set(&self.runtime.limits(&to.unit)).map_err(again)?;
        let place = self.ground.place(unit, instance, record.network.as_ref());
        self.runtime.update(&place, &record.unit, &to.unit)?;
        record.unit = (*to.unit).clone();
        record.write(&directory).map_err(again)
    }

    pub(super) fn adopt(&self, unit: &UnitId, owner: &Owner) -> Result<(), Fault> {
        self.change_roles(unit, |roles| roles.owner = Some(owner.clone()))
    }

    /// Nothing is forgotten of a unit that has instances: that order is of another time.
    pub(super) fn forget(&self, unit: &UnitId) -> Result<(), Fault> {
        self.clear_leftovers(unit)?;
        if let Some(directory) = self.ground.unit(unit).map_err(again)? {
            if !instances_in(&directory).map_err(again)?.is_empty() {
                return Ok(());
            }
            self.ground.units.remove_all(unit_folder(unit)).map_err(again)?;
        }
        logs::remove(&self.ground.state, unit).map_err(again)
    }

    /// Removes the directory of a unit of which there is nothing.
    pub(super) fn drop_if_empty(&self, unit: &UnitId) -> Result<(), Fault> {
        let Some(directory) = self.ground.unit(unit).map_err(again)? else { return Ok(()) };
        let is_owned = UnitRecord::read(&directory).map_err(again)?.owner.is_some();
        if is_owned || !instances_in(&directory).map_err(again)?.is_empty() {
            return Ok(());
        }
        self.ground.units.remove_all(unit_folder(unit)).map_err(again)
    }
}
