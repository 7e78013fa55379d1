//! Hub processes, and when they were heard last.

use crate::store::{
    Millis, StoreError,
    sql::{Column as _, Row, Statements},
};

/// This one lives.
pub(in crate::store) fn beat(to: &mut dyn Statements, hub: &str, now: Millis) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO hub (id, heard_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET heard_at = excluded.heard_at";
    to.once(sql, vec![hub.to_owned().to_value(), now.to_value()]).map(drop)
}

/// All that are not forgotten.
pub(in crate::store) fn all(from: &mut dyn Statements) -> Result<Vec<(String, Millis)>, StoreError> {
    let rows = from.once("SELECT id, heard_at FROM hub", Vec::new())?.rows;
    let mut hubs: Vec<(String, Millis)> = rows.into_iter().map(|row| read(row, from)).collect::<Result<_, _>>()?;
    hubs.sort();
    Ok(hubs)
}

/// Forgets one that was heard last then: the machines that it had are away since.
pub(in crate::store) fn forget(
    to: &mut dyn Statements,
    hub: &str,
    heard_at: Millis,
    version: i64,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM hub WHERE id = $1 AND heard_at = $2";
    let is_gone = to.once(sql, vec![hub.to_owned().to_value(), heard_at.to_value()])?.changed > 0;
    if is_gone {
        let sql = "UPDATE machine SET hub = NULL, away_since = $2, version = $3 WHERE hub = $1";
        to.once(sql, vec![hub.to_owned().to_value(), heard_at.to_value(), version.to_value()])?;
    }
    Ok(is_gone)
}

fn read(mut row: Row, from: &dyn Statements) -> Result<(String, Millis), StoreError> {
    Ok((row.next(from)?, row.next(from)?))
}
