//! Journals of sources, frame by frame.

use super::text;
use crate::store::{
    StoreError,
    sql::{Column as _, Statements},
};

const INSERT: &str = "INSERT INTO journal (source, number, frame) VALUES ($1, $2, $3)";

/// All frames of one.
pub(in crate::store) fn all(from: &mut dyn Statements, source: &str) -> Result<Vec<Vec<u8>>, StoreError> {
    let sql = "SELECT frame FROM journal WHERE source = $1 ORDER BY number";
    let rows = from.once(sql, text(source))?.rows;
    rows.into_iter().map(|mut row| row.next(from)).collect()
}

/// Adds one.
pub(in crate::store) fn append(to: &mut dyn Statements, source: &str, frame: &[u8]) -> Result<(), StoreError> {
    let row = to.row("SELECT COALESCE(MAX(number), 0) + 1 FROM journal WHERE source = $1", text(source))?;
    let number: i64 = row.map_or(Ok(1), |mut row| row.next(to))?;
    to.once(INSERT, vec![source.to_owned().to_value(), number.to_value(), frame.to_vec().to_value()]).map(drop)
}

/// Replaces all.
pub(in crate::store) fn rewrite(to: &mut dyn Statements, source: &str, frames: &[Vec<u8>]) -> Result<(), StoreError> {
    to.once("DELETE FROM journal WHERE source = $1", text(source))?;
    let source = source.to_owned();
    let sets = (1i64..).zip(frames).map(|(n, frame)| vec![source.to_value(), n.to_value(), frame.to_value()]);
    to.run(INSERT, sets.collect()).map(drop)
}
