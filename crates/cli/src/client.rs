//! Asking the agent, over its socket: a request, a line of JSON; then replies, a line each, until it hangs up.

use crate::exit::Failure;
use abide_agent::api::{Envelope, Reply, Request, VERSION};
use std::{
    io::{self, BufRead, BufReader, Write},
    ops::ControlFlow,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// What is heard from the agent.
#[derive(Debug)]
pub(crate) enum Heard {
    Reply(Reply),
    /// Nothing, for [`QUIET`].
    Silence,
}

/// After so long without a reply it is worth saying that it goes on.
const QUIET: Duration = Duration::from_secs(5);

/// A connection to the agent.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    path: PathBuf,
}

impl Client {
    /// `None` if no agent listens there.
    pub(crate) fn connect(path: &Path) -> Result<Option<Self>, Failure> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Some(Self { stream, path: path.to_owned() })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Failure::refused(format!("only root may ask the agent ({}): use sudo", path.display())))
            }
            Err(error) => Err(Failure::file("asking the agent at", path)(error)),
        }
    }

    /// Asks, and gives each reply to `say`, until there is no more or `say` has heard enough.
    pub(crate) fn ask(
        mut self,
        request: Request,
        say: &mut dyn FnMut(Heard) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(&Envelope { version: VERSION, request })?;
        line.push(b'\n');
        let failed = |error| Failure::file("asking the agent at", &self.path)(error);
        // An agent that refuses may do so before it has read all of it, and its reply says why.
        let sent = self.stream.write_all(&line);
        self.stream.set_read_timeout(Some(QUIET)).map_err(failed)?;
        let mut replies = BufReader::new(&self.stream);
        let mut count = 0;
        line.clear();
        loop {
            match (replies.read_until(b'\n', &mut line), &sent) {
                (Ok(0), Ok(())) if count > 0 => return Ok(()),
                (Ok(0), Ok(())) => return Err(Failure::failed("the agent ended before it answered")),
                (Ok(0), Err(error)) => return Err(failed(io::Error::from(error.kind()))),
                // What was read of a line stays in it.
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {
                    if say(Heard::Silence).is_break() {
                        return Ok(());
                    }
                    continue;
                }
                (Err(error), _) => return Err(failed(error)),
                (Ok(_), _) => {}
            }
            count += 1;
            let reply = serde_json::from_slice(&line).map_err(|error| {
                Failure::failed(format!("the agent's answer can't be read ({error}): is it of another release?"))
            })?;
            line.clear();
            if say(Heard::Reply(reply)).is_break() {
                return Ok(());
            }
        }
    }
}
