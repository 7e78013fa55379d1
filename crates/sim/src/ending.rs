//! What the world must be when all is settled.

use crate::{oracle::Told, world::World};
use abide_reconcile::{Kind, Record, Role, Want};
use std::collections::BTreeMap;

/// Every wish is fulfilled.
pub(crate) fn check(told: &Told, world: &World) -> Result<(), String> {
    let wanted: BTreeMap<_, _> =
        told.values().filter_map(|(_, wish)| wish.as_ref()).flat_map(|wish| wish.units()).collect();
    for (unit, record) in &world.units {
        let Some(want) = wanted.get(unit) else { return Err(format!("{unit} should be gone: {record:#?}")) };
        let target = match &record.good {
            Some(good) if record.bad.contains(&want.digest) => good,
            _ => want,
        };
        if !is_as_wanted(unit.kind, record, target) {
            return Err(format!("{unit} should run {target:?}: {record:#?}"));
        }
    }
    match wanted.into_keys().find(|unit| !world.units.contains_key(*unit)) {
        Some(unit) => Err(format!("{unit} is missing")),
        None => Ok(()),
    }
}

fn is_as_wanted(kind: Kind, record: &Record, target: &Want) -> bool {
    let owner_is_told =
        record.owner.as_ref().is_none_or(|owner| kind != Kind::Volume || owner.reclaim == target.reclaim);
    let runs = match &record.instances[..] {
        [] => record.has_completed(target),
        [seen] => seen.want.digest == target.digest && seen.role == Role::Active && seen.ready_since().is_some(),
        _ => false,
    };
    runs && owner_is_told
}
