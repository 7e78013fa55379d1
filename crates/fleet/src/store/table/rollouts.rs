//! Roll-outs: what is shown of them, and which are paused.

use super::text;
use crate::store::{StoreError, sql::Statements};
use std::collections::BTreeSet;

/// Keeps what is shown.
pub(in crate::store) fn put(to: &mut dyn Statements, shown: &str) -> Result<(), StoreError> {
    to.once("DELETE FROM rollout", Vec::new())?;
    to.once("INSERT INTO rollout (shown) VALUES ($1)", text(shown)).map(drop)
}

/// What is shown.
pub(in crate::store) fn shown(from: &mut dyn Statements) -> Result<Option<String>, StoreError> {
    let row = from.row("SELECT shown FROM rollout", Vec::new())?;
    row.map(|mut row| row.next(from)).transpose()
}

/// Pauses one, or lets it go on; false if that is no news.
pub(in crate::store) fn set_paused(to: &mut dyn Statements, rollout: &str, paused: bool) -> Result<bool, StoreError> {
    let sql = if paused {
        "INSERT INTO paused (rollout) VALUES ($1) ON CONFLICT (rollout) DO NOTHING"
    } else {
        "DELETE FROM paused WHERE rollout = $1"
    };
    Ok(to.once(sql, text(rollout))?.changed > 0)
}

/// Which are paused.
pub(in crate::store) fn paused(from: &mut dyn Statements) -> Result<BTreeSet<String>, StoreError> {
    let rows = from.once("SELECT rollout FROM paused", Vec::new())?.rows;
    rows.into_iter().map(|mut row| row.next(from)).collect()
}
