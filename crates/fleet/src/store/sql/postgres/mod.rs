//! PostgreSQL: a server, and connections to it that many hub processes share.
//!
//! | module | question it answers |
//! |---|---|
//! | [`url`] | which server, and how it is spoken to |
//! | [`tls`] | whether it is that server |
//! | [`connection`] | what is asked on a connection, and how long for |
//! | [`pool`] | which connection is free |
//! | [`fault`] | what is the matter with it |
//!
//! Each transaction is right under READ COMMITTED, as it locks the row that it rests on before it looks at others.

mod connection;
mod fault;
mod pool;
mod tls;
mod url;

use super::{Access, Answer, Database, End, Statements, Value, Work, failed, schema};
use crate::store::{StoreError, Trouble};
use connection::Connection;
use fault::{Cause, is_gone, trouble};
use pool::{Place, Pool};
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// The lock of those who make tables: a number that nobody else has in a database of ours.
const MAKING_TABLES: i64 = 0x0061_6269_6465;

const OPENING: &str = "opening the store";

/// A database on a server.
pub(in crate::store) struct Postgres {
    url: Url,
    pool: Pool,
    /// Where connections are waited for: of our own, so that a store may be asked from any thread that may block.
    runtime: Option<Runtime>,
}

impl Postgres {
    /// Takes what the URL says. Nothing is connected yet.
    pub(in crate::store) fn new(url: &str) -> Result<Self, StoreError> {
        let url = Url::parse(url)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("postgres").enable_all().build();
        let runtime = runtime.map_err(|error| failed(OPENING, &url.named, Trouble::Failed, error))?;
        Ok(Self { url, pool: Pool::default(), runtime: Some(runtime) })
    }

    /// A connection with a transaction begun on it. One that was kept may have been cut meanwhile, which shows only now.
    fn begin(&self, access: Access, place: &mut Place<'_>) -> Result<Connection, Cause> {
        let begin = match access {
            Access::Read => "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
            Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        };
        if let Some(kept) = place.take_kept() {
            match kept.batch(begin) {
                Ok(()) => return Ok(kept),
                Err(cause) if is_gone(&cause) => {}
                Err(cause) => return Err(cause),
            }
        }
        let runtime = self.runtime.as_ref().ok_or(Cause::Closed)?;
        let fresh = Connection::open(&self.url, runtime.handle())?;
        fresh.batch(begin)?;
        Ok(fresh)
    }
}

impl Database for Postgres {
    fn transaction(&self, act: &'static str, access: Access, work: &mut Work<'_>) -> Result<(), StoreError> {
        let fault = |cause: Cause| failed(act, &self.url.named, trouble(&cause), cause);
        let mut place = self.pool.place().map_err(fault)?;
        let on = self.begin(access, &mut place).map_err(fault)?;
        let mut open = Open { on, act, database: &self.url.named };
        // Where anything fails, the connection goes, and the server undoes what it began: nothing is left to chance.
        let end = work(&mut open)?;
        let on = open.on;
        match end {
            End::Keep => on.batch("COMMIT").map_err(|cause| {
                let trouble = if is_gone(&cause) { Trouble::Uncertain } else { trouble(&cause) };
                failed(act, &self.url.named, trouble, cause)
            })?,
            End::Undo => on.batch("ROLLBACK").map_err(fault)?,
        }
        place.keep(on);
        Ok(())
    }

    fn migrate(&self) -> Result<(), StoreError> {
        self.transaction(OPENING, Access::Write, &mut |to| {
            to.once("SELECT pg_advisory_xact_lock($1)", vec![Value::Integer(MAKING_TABLES)])?;
            schema::migrate(to, &self.url.named)
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.pool.clear();
        // Nothing is waited for, as this may be in a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Open<'d> {
    on: Connection,
    act: &'static str,
    database: &'d str,
}

impl Statements for Open<'_> {
    fn run(&mut self, sql: &str, sets: Vec<Vec<Value>>) -> Result<Vec<Answer>, StoreError> {
        self.on.run(sql, sets).map_err(|cause| failed(self.act, self.database, trouble(&cause), cause))
    }

    fn damaged(&self, what: String) -> StoreError {
        failed(self.act, self.database, Trouble::Damaged, what)
    }
}
