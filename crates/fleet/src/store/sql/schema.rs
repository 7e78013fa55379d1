//! The tables, and how each form of them is made out of the one before. Both databases read the same text.
//!
//! | table | a row is |
//! |---|---|
//! | `schema` | the form of the tables; only one |
//! | `counter` | the number of the last change that others follow; only one |
//! | `lease` | who leads; only one |
//! | `token`, `machine`, `hub` | one of these |
//! | `history` | what happened on a machine lately |
//! | `journal` | a frame of a source's journal |
//! | `rollout` | what is shown of roll-outs; only one |
//! | `paused` | a roll-out that is |
//! | `retry` | a machine whose bad commit is to be tried again, and the number of that asking |

use super::{End, Statements};
use crate::store::StoreError;

/// Each makes its form out of the one before. What a release has had is never changed.
const FORMS: &[&str] = &[FIRST];

const FIRST: &str = "
CREATE TABLE counter (number BIGINT NOT NULL);
INSERT INTO counter (number) VALUES (1);
CREATE TABLE lease (holder TEXT NOT NULL, epoch BIGINT NOT NULL, ends_at BIGINT NOT NULL);
INSERT INTO lease (holder, epoch, ends_at) VALUES ('', 0, 0);
CREATE TABLE token (
    id TEXT NOT NULL PRIMARY KEY,
    secret BYTEA NOT NULL,
    uses_left BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    names TEXT,
    labels TEXT NOT NULL
);
CREATE TABLE machine (
    name TEXT NOT NULL PRIMARY KEY,
    public_key TEXT NOT NULL,
    serial BIGINT NOT NULL,
    first_serial BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    labels TEXT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    revoked_at BIGINT,
    cloned BIGINT NOT NULL,
    session TEXT,
    earlier TEXT NOT NULL,
    numbered BIGINT NOT NULL,
    target TEXT,
    reported TEXT,
    hub TEXT,
    away_since BIGINT,
    heard_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX machine_version ON machine (version);
CREATE TABLE history (name TEXT NOT NULL PRIMARY KEY, happened TEXT NOT NULL);
CREATE TABLE hub (id TEXT NOT NULL PRIMARY KEY, heard_at BIGINT NOT NULL);
CREATE TABLE journal (
    source TEXT NOT NULL,
    number BIGINT NOT NULL,
    frame BYTEA NOT NULL,
    PRIMARY KEY (source, number)
);
CREATE TABLE rollout (shown TEXT NOT NULL);
CREATE TABLE paused (rollout TEXT NOT NULL PRIMARY KEY);
CREATE TABLE retry (machine TEXT NOT NULL PRIMARY KEY, asking BIGINT NOT NULL)";

/// Makes the tables what this release knows. Nobody else does so meanwhile.
pub(super) fn migrate(to: &mut dyn Statements, database: &str) -> Result<End, StoreError> {
    to.once("CREATE TABLE IF NOT EXISTS schema (version BIGINT NOT NULL)", Vec::new())?;
    let found = match to.row("SELECT version FROM schema", Vec::new())? {
        Some(mut row) => row.next::<i64>(to)?,
        None => {
            to.once("INSERT INTO schema (version) VALUES (0)", Vec::new())?;
            0
        }
    };
    let known = FORMS.len() as i64;
    if found > known {
        return Err(StoreError::Later { database: database.to_owned(), found, known });
    }
    if found == known {
        return Ok(End::Undo);
    }
    let done = usize::try_from(found).map_err(|_| to.damaged(format!("its form is {found}")))?;
    // No text in them has a semicolon of its own.
    for statement in FORMS[done..].iter().flat_map(|form| form.split(';')) {
        to.once(statement, Vec::new())?;
    }
    to.once("UPDATE schema SET version = $1", vec![super::Value::Integer(known)])?;
    Ok(End::Keep)
}
