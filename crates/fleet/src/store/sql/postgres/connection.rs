//! A connection: what is asked on it has a deadline, whatever becomes of the server or the way to it.

use super::{fault::Cause, url::Url};
use crate::store::sql::{Answer, Row, Value};
use futures_util::{TryStreamExt as _, future::try_join_all};
use std::{
    collections::HashMap,
    error::Error,
    pin::pin,
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_postgres::{
    Client, NoTls, Statement,
    types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

/// How long the server may take to let us in.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long it may take for an answer. Others may hold what is asked for so long as their own deadlines let them.
const ANSWERING: Duration = Duration::from_secs(20);

/// The server ends by itself what nobody waits for any more. What it confirms is durable: whoever has set less than that for
/// other databases hasn't thought of this one.
const SETTINGS: &str = "SET statement_timeout = '15s'; SET lock_timeout = '10s'; \
                        SET idle_in_transaction_session_timeout = '20s'; \
                        SELECT set_config('synchronous_commit', 'on', false) \
                        WHERE current_setting('synchronous_commit') = 'off'";

/// An open connection.
pub(super) struct Connection {
    client: Arc<Client>,
    /// By their text: all of them are ours, so there are few.
    prepared: HashMap<String, Statement>,
    runtime: Handle,
}

impl Connection {
    /// Connects.
    pub(super) fn open(url: &Url, runtime: &Handle) -> Result<Self, Cause> {
        let (config, tls) = (url.config.clone(), url.tls.clone());
        let client = within(runtime, CONNECTING, async move {
            let client = match tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    tokio::spawn(connection);
                    client
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    tokio::spawn(connection);
                    client
                }
            };
            client.batch_execute(SETTINGS).await?;
            Ok(client)
        })?;
        Ok(Self { client: Arc::new(client), prepared: HashMap::new(), runtime: runtime.clone() })
    }

    /// Runs statements that have no values.
    pub(super) fn batch(&self, sql: &'static str) -> Result<(), Cause> {
        let client = Arc::clone(&self.client);
        within(&self.runtime, ANSWERING, async move { client.batch_execute(sql).await })
    }

    /// Runs a statement with each of these values: all are sent before the first answer is waited for.
    pub(super) fn run(&mut self, sql: &str, sets: Vec<Vec<Value>>) -> Result<Vec<Answer>, Cause> {
        let (client, known, text) = (Arc::clone(&self.client), self.prepared.get(sql).cloned(), sql.to_owned());
        let (statement, answers) = within(&self.runtime, ANSWERING, async move {
            let statement = match known {
                Some(statement) => statement,
                None => client.prepare(&text).await?,
            };
            let answers = try_join_all(sets.iter().map(|set| ask(&client, &statement, set))).await?;
            Ok((statement, answers))
        })?;
        self.prepared.entry(sql.to_owned()).or_insert(statement);
        Ok(answers)
    }
}

async fn ask(client: &Client, statement: &Statement, set: &[Value]) -> Result<Answer, tokio_postgres::Error> {
    let mut stream = pin!(client.query_raw(statement, set).await?);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        let values: Vec<Value> = (0..row.len()).map(|n| row.try_get(n)).collect::<Result<_, _>>()?;
        rows.push(Row(values.into_iter()));
    }
    Ok(Answer { rows, changed: stream.rows_affected().unwrap_or(0) })
}

/// Waits for it in this thread, whatever else this thread is for, and no longer than that.
fn within<T: Send + 'static>(
    runtime: &Handle,
    time: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>> + Send + 'static,
) -> Result<T, Cause> {
    let (say, hear) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Whoever asked waits for it, or is gone with the process.
        let _ = say.send(tokio::time::timeout(time, work).await);
    });
    match hear.recv() {
        Ok(Ok(done)) => done.map_err(Cause::Said),
        Ok(Err(_)) => Err(Cause::Late(time)),
        Err(_) => Err(Cause::Closed),
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, to: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) => value.to_sql_checked(kind, to),
            Self::Text(text) => text.to_sql_checked(kind, to),
            Self::Bytes(bytes) => bytes.to_sql_checked(kind, to),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'r> FromSql<'r> for Value {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match *kind {
            Type::INT8 => i64::from_sql(kind, raw).map(Self::Integer),
            Type::TEXT => String::from_sql(kind, raw).map(Self::Text),
            Type::BYTEA => Vec::from_sql(kind, raw).map(Self::Bytes),
            // What a lock gives.
            _ => Ok(Self::Null),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
