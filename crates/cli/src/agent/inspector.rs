//! What probes and people ask about instances.

use abide_agent::{Details, Inspector};
use abide_instance::Ground;
use abide_reconcile::{Fault, InstanceId, UnitId};
use std::{sync::Arc, time::Duration};

/// Asks the instances' directories and keepers.
pub(super) struct OnGround(pub(super) Arc<Ground>);

impl Inspector for OnGround {
    fn inspect(&self, unit: &UnitId, instance: InstanceId) -> Option<Details> {
        let found = self.0.inspect(unit, instance)?;
        Some(Details { pid: found.pid, address: found.address })
    }

    fn exec(&self, unit: &UnitId, instance: InstanceId, command: &[String], timeout: Duration) -> Result<i32, Fault> {
        self.0.exec(unit, instance, command, timeout)
    }
}
