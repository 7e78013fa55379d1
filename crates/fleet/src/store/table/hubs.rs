//! Hub processes, and when they were heard last.

use super::text;
use crate::store::{
    Millis, StoreError,
    sql::{Column as _, Row, Statements},
};
use std::time::Duration;

/// A hub process that is silent for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

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

/// Those but this one that are to be forgotten.
pub(in crate::store) fn silent(
    from: &mut dyn Statements,
    but: &str,
    now: Millis,
) -> Result<Vec<(String, Millis)>, StoreError> {
    let sql = "SELECT id, heard_at FROM hub WHERE heard_at < $1 AND id <> $2";
    let rows = from.once(sql, vec![now.minus(FORGOTTEN_AFTER).to_value(), but.to_owned().to_value()])?.rows;
    rows.into_iter().map(|row| read(row, from)).collect()
}

/// Forgets one: the machines that it had are away since it was heard last.
pub(in crate::store) fn forget(
    to: &mut dyn Statements,
    (hub, heard_at): &(String, Millis),
    version: i64,
) -> Result<(), StoreError> {
    let sql = "UPDATE machine SET hub = NULL, away_since = $2, version = $3 WHERE hub = $1";
    to.once(sql, vec![hub.to_value(), heard_at.to_value(), version.to_value()])?;
    to.once("DELETE FROM hub WHERE id = $1", text(hub)).map(drop)
}

fn read(mut row: Row, from: &dyn Statements) -> Result<(String, Millis), StoreError> {
    Ok((row.next(from)?, row.next(from)?))
}
