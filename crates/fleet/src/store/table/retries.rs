//! Machines that are to try a commit again.

use crate::store::{
    StoreError,
    sql::{Column as _, Statements},
};
use abide_spec::Name;
use std::collections::BTreeMap;

/// Asks for one, under this number.
pub(in crate::store) fn ask(to: &mut dyn Statements, name: &Name, asking: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO retry (machine, asking) VALUES ($1, $2) ON CONFLICT (machine) DO UPDATE SET asking = excluded.asking";
    to.once(sql, vec![name.to_value(), asking.to_value()]).map(drop)
}

/// All that were asked for and not done.
pub(in crate::store) fn all(from: &mut dyn Statements) -> Result<BTreeMap<Name, i64>, StoreError> {
    let rows = from.once("SELECT machine, asking FROM retry", Vec::new())?.rows;
    rows.into_iter().map(|mut row| Ok((row.next(from)?, row.next(from)?))).collect()
}

/// That one was done.
pub(in crate::store) fn done(to: &mut dyn Statements, name: &Name, asking: i64) -> Result<(), StoreError> {
    let values = vec![name.to_value(), asking.to_value()];
    to.once("DELETE FROM retry WHERE machine = $1 AND asking = $2", values).map(drop)
}
