//! What is asked of the tables, by subject. Each function works in a transaction that its caller has begun.

pub(super) mod hubs;
pub(super) mod journal;
pub(super) mod leader;
pub(super) mod machines;
pub(super) mod retries;
pub(super) mod rollouts;
pub(super) mod tokens;

use super::{
    StoreError,
    sql::{Column as _, Statements},
};

/// Begins a change that others follow: raises the counter, which nobody else can until this transaction ends.
pub(super) fn raise(to: &mut dyn Statements) -> Result<i64, StoreError> {
    let row = to.row("UPDATE counter SET number = number + 1 RETURNING number", Vec::new())?;
    number(row, to)
}

/// The number of the last change.
pub(super) fn counted(from: &mut dyn Statements) -> Result<i64, StoreError> {
    let row = from.row("SELECT number FROM counter", Vec::new())?;
    number(row, from)
}

fn number(row: Option<super::sql::Row>, from: &dyn Statements) -> Result<i64, StoreError> {
    row.ok_or_else(|| from.damaged("the counter is gone".to_owned()))?.next(from)
}

/// One text as a statement's values.
fn text(value: &str) -> Vec<super::sql::Value> {
    vec![value.to_owned().to_value()]
}
