//! What probes and people ask about instances.

use abide_agent::{Details, Inspector};
use abide_reconcile::{Fault, InstanceId, UnitId};
use std::time::Duration;

/// Only volumes are there so far.
pub(super) struct Instances;

impl Inspector for Instances {
    fn inspect(&self, _: &UnitId, _: InstanceId) -> Option<Details> {
        None
    }

    fn exec(&self, unit: &UnitId, _: InstanceId, _: &[String], _: Duration) -> Result<i32, Fault> {
        Err(Fault::Never(format!("{unit} runs nothing").into()))
    }
}
