//! What is the matter with a server, out of what it says.

use crate::store::Trouble;
use std::time::Duration;
use tokio_postgres::error::{Error, SqlState};

/// Why something wasn't done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    /// As the server or the connection says it.
    #[error("{}", words(.0))]
    Said(Error),
    /// There was no answer.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// All connections are busy.
    #[error("all {0} connections are busy")]
    Taken(usize),
    /// The store is being closed.
    #[error("the store is being closed")]
    Closed,
}

/// What it comes to.
pub(super) fn trouble(cause: &Cause) -> Trouble {
    let Cause::Said(error) = cause else { return Trouble::Away };
    let Some(code) = error.code() else {
        // What a certificate says against a server doesn't pass by itself, and neither does a wrong value.
        return if error.is_closed() || is_io(error) { Trouble::Away } else { Trouble::Failed };
    };
    match *code {
        SqlState::DISK_FULL => Trouble::Full,
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => Trouble::Damaged,
        SqlState::INSUFFICIENT_PRIVILEGE => Trouble::Rights,
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::QUERY_CANCELED
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        // A server that another has taken the place of.
        | SqlState::READ_ONLY_SQL_TRANSACTION => Trouble::Away,
        _ => match &code.code()[..2] {
            // Connections, resources, and somebody who shuts it down.
            "08" | "53" | "57" => Trouble::Away,
            "28" => Trouble::Rights,
            _ => Trouble::Failed,
        },
    }
}

/// Whether the connection is of no use any more, so that nobody knows what became of the last thing asked by it.
pub(super) fn is_gone(cause: &Cause) -> bool {
    match cause {
        Cause::Said(error) => {
            error.code().is_none_or(|code| code.code().starts_with("57P") || code.code().starts_with("08"))
        }
        Cause::Late(_) | Cause::Taken(_) | Cause::Closed => true,
    }
}

fn is_io(error: &Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    // What TLS refuses is dressed as one.
    io.is_some_and(|io| io.kind() != std::io::ErrorKind::InvalidData)
}

/// The error with what is behind it: by itself it says no more than "db error".
fn words(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
