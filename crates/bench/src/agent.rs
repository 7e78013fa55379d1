//! Asking an agent, as other programs would: a line of JSON there, a line of JSON back.

use crate::Problem;
use abide_lab::Snapshot;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

const GET: &[u8] = b"{\"version\":1,\"request\":{\"verb\":\"get\"}}\n";

/// How things stand; `None` if no agent listens.
pub(crate) fn get(socket: &Path) -> Result<Option<Snapshot>, Problem> {
    let Ok(mut stream) = UnixStream::connect(socket) else { return Ok(None) };
    stream.write_all(GET)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    let snapshot = serde_json::from_str(&answer).map_err(|error| format!("the agent answers {answer:?}: {error}"))?;
    Ok(Some(snapshot))
}
