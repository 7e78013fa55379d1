//! One small view of two databases: the same text and values, one transaction a call.

pub(super) mod postgres;
mod schema;
pub(super) mod sqlite;
mod value;

pub(super) use value::{Column, Json, Row, Value};

use super::{StoreError, Trouble};

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// What was written is kept.
    Keep,
    /// Nothing is.
    Undo,
}

/// What a statement brought.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The rows that it gives.
    pub(super) rows: Vec<Row>,
    /// How many it has changed, if it changes any.
    pub(super) changed: u64,
}

/// An open transaction.
pub(super) trait Statements {
    /// Runs a statement once with each of these values, in order, and perhaps all at once on the way.
    fn run(&mut self, sql: &str, sets: Vec<Vec<Value>>) -> Result<Vec<Answer>, StoreError>;

    /// What went wrong otherwise.
    fn damaged(&self, what: String) -> StoreError;
}

/// What is done in a transaction.
pub(super) type Work<'w> = dyn FnMut(&mut dyn Statements) -> Result<End, StoreError> + 'w;

/// A database.
pub(super) trait Database: Send + Sync {
    /// Does it in one transaction, and undoes all if it fails. `act` says what it is, for people.
    fn transaction(&self, act: &'static str, access: Access, work: &mut Work<'_>) -> Result<(), StoreError>;

    /// Makes the tables what this release knows.
    fn migrate(&self) -> Result<(), StoreError>;
}

impl dyn Statements + '_ {
    /// Runs a statement once.
    pub(super) fn once(&mut self, sql: &str, values: Vec<Value>) -> Result<Answer, StoreError> {
        Ok(self.run(sql, vec![values])?.pop().unwrap_or_default())
    }

    /// The first row of a statement.
    pub(super) fn row(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(self.once(sql, values)?.rows.into_iter().next())
    }
}

/// An error of a database.
pub(super) fn failed(
    act: &'static str,
    database: &str,
    trouble: Trouble,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Database { act, database: database.to_owned(), trouble, source: source.into().into() }
}
