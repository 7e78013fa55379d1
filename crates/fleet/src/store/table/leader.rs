//! Who leads.

use super::text;
use crate::store::{
    Millis, StoreError, Term,
    sql::{Column as _, Statements, Value},
};
use std::time::Duration;

/// Takes or keeps the lead.
pub(in crate::store) fn lead(
    to: &mut dyn Statements,
    holder: &str,
    now: Millis,
    ttl: Duration,
) -> Result<Option<Term>, StoreError> {
    // What is set is computed from the row as it was, and the row is this transaction's from then on.
    let sql = "UPDATE lease SET epoch = CASE WHEN holder = $1 THEN epoch ELSE epoch + 1 END, holder = $1, ends_at = $2 \
               WHERE holder = $1 OR ends_at <= $3 RETURNING epoch";
    let mut values = text(holder);
    values.extend([now.plus(ttl).to_value(), now.to_value()]);
    let row = to.row(sql, values)?;
    row.map(|mut row| Ok(Term { holder: holder.to_owned(), epoch: row.next(to)? })).transpose()
}

/// Who leads, and until when.
pub(in crate::store) fn lease(from: &mut dyn Statements) -> Result<Option<(Term, Millis)>, StoreError> {
    let row = from.row("SELECT holder, epoch, ends_at FROM lease WHERE holder <> ''", Vec::new())?;
    row.map(|mut row| Ok((Term { holder: row.next(from)?, epoch: row.next(from)? }, row.next(from)?))).transpose()
}

/// Ends a term that lasts until then still.
pub(in crate::store) fn oust(to: &mut dyn Statements, term: &Term, ends_at: Millis) -> Result<bool, StoreError> {
    let sql = "UPDATE lease SET holder = '', ends_at = 0 WHERE holder = $1 AND epoch = $2 AND ends_at = $3";
    let mut values = values(term);
    values.push(ends_at.to_value());
    Ok(to.once(sql, values)?.changed > 0)
}

/// Gives it up. A term that is over is no matter.
pub(in crate::store) fn resign(to: &mut dyn Statements, term: &Term) -> Result<(), StoreError> {
    to.once("UPDATE lease SET holder = '', ends_at = 0 WHERE holder = $1 AND epoch = $2", values(term)).map(drop)
}

/// Holds the term until this transaction ends; false if it is over.
pub(in crate::store) fn hold(to: &mut dyn Statements, term: &Term) -> Result<bool, StoreError> {
    let sql = "UPDATE lease SET epoch = epoch WHERE holder = $1 AND epoch = $2";
    Ok(to.once(sql, values(term))?.changed > 0)
}

fn values(term: &Term) -> Vec<Value> {
    vec![term.holder.to_value(), term.epoch.to_value()]
}
