//! SQLite: a file, one connection that writes and some that read.

use super::{Access, Answer, Database, End, Row, Statements, Value, Work, failed, schema};
use crate::store::{StoreError, Trouble};
use rusqlite::{
    Connection, ErrorCode, ToSql, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long another program that has the file locked is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// Connections that read at once and are kept.
const READERS: usize = 4;

/// Durable at each commit. The log is kept short, as it is read at each start.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000; \
                        PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON";

const OPENING: &str = "opening the store";

/// A file of SQLite.
pub(in crate::store) struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// Opens it, or makes it, for this user alone.
    pub(in crate::store) fn open(path: &Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let rights = |error| failed(OPENING, &name, Trouble::Rights, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(rights)?;
        }
        // What SQLite puts beside it gets the same rights.
        OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(rights)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(rights)?;
        let writer = connect(path).map_err(|error| fault(OPENING, &name, error))?;
        Ok(Self { path: path.to_owned(), writer: Mutex::new(writer), readers: Mutex::default() })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

impl Database for Sqlite {
    fn transaction(&self, act: &'static str, access: Access, work: &mut Work<'_>) -> Result<(), StoreError> {
        match access {
            Access::Write => {
                // A transaction that a panic left open is undone by the next one's beginning.
                let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                in_transaction(&writer, "BEGIN IMMEDIATE", act, &self.name(), work)
            }
            Access::Read => {
                let kept = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let reader = match kept {
                    Some(reader) => reader,
                    None => connect(&self.path).map_err(|error| fault(act, &self.name(), error))?,
                };
                let done = in_transaction(&reader, "BEGIN", act, &self.name(), work);
                let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
                if readers.len() < READERS {
                    readers.push(reader);
                }
                done
            }
        }
    }

    fn migrate(&self) -> Result<(), StoreError> {
        let name = self.name();
        self.transaction(OPENING, Access::Write, &mut |to| schema::migrate(to, &name))
    }
}

fn in_transaction(
    on: &Connection,
    begin: &str,
    act: &'static str,
    database: &str,
    work: &mut Work<'_>,
) -> Result<(), StoreError> {
    let run = |sql: &str| on.execute_batch(sql).map_err(|error| fault(act, database, error));
    if !on.is_autocommit() {
        run("ROLLBACK")?;
    }
    run(begin)?;
    let done = match work(&mut Open { on, act, database }) {
        Ok(End::Keep) => run("COMMIT"),
        Ok(End::Undo) => Ok(()),
        Err(error) => Err(error),
    };
    // Some failures have undone it already.
    if !on.is_autocommit() {
        run("ROLLBACK")?;
    }
    done
}

struct Open<'c> {
    on: &'c Connection,
    act: &'static str,
    database: &'c str,
}

impl Statements for Open<'_> {
    fn run(&mut self, sql: &str, sets: Vec<Vec<Value>>) -> Result<Vec<Answer>, StoreError> {
        let fault = |error| fault(self.act, self.database, error);
        // Here `$1` is any name, and `?1` the first value.
        let mut statement = self.on.prepare(&sql.replace('$', "?")).map_err(fault)?;
        let columns = statement.column_count();
        let mut answers = Vec::with_capacity(sets.len());
        for set in &sets {
            let mut found = statement.query(params_from_iter(set)).map_err(fault)?;
            let mut rows = Vec::new();
            while let Some(row) = found.next().map_err(fault)? {
                let values = (0..columns).map(|n| Ok(own(row.get_ref(n)?)));
                rows.push(Row(values.collect::<rusqlite::Result<Vec<_>>>().map_err(fault)?.into_iter()));
            }
            drop(found);
            answers.push(Answer { rows, changed: self.on.changes() });
        }
        Ok(answers)
    }

    fn damaged(&self, what: String) -> StoreError {
        failed(self.act, self.database, Trouble::Damaged, what)
    }
}

fn own(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        // There are no fractions in any table.
        ValueRef::Null | ValueRef::Real(_) => Value::Null,
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn fault(act: &'static str, database: &str, error: rusqlite::Error) -> StoreError {
    let trouble = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Away,
        Some(ErrorCode::DiskFull) => Trouble::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Damaged,
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => Trouble::Rights,
        _ => Trouble::Failed,
    };
    failed(act, database, trouble, error)
}
