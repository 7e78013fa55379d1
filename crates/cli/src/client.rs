//! Asking the agent, over its socket: a request, a line of JSON; then replies, a line each, until it hangs up.

use crate::exit::Failure;
use abide_agent::api::{Envelope, Reply, Request, VERSION};
use nix::{
    errno::Errno,
    sys::{
        signal::kill,
        socket::{getsockopt, sockopt::PeerCredentials},
    },
    unistd::Pid,
};
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
            Ok(stream) if is_of_the_dead(&stream) => Ok(None),
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
        // Where nothing has happened there is nothing to say.
        let may_be_silent = matches!(request, Request::Events { .. });
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
                (Ok(0), Ok(())) if count > 0 || may_be_silent => return Ok(()),
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

/// Whether who listens there was killed. A child that it was about to start may have its socket still, for a moment: whoever
/// connects then is never answered.
fn is_of_the_dead(stream: &UnixStream) -> bool {
    let listener = getsockopt(stream, PeerCredentials).map(|peer| Pid::from_raw(peer.pid()));
    // Of a listener in another pid namespace it is told that it is 0.
    let is_there = |pid: Pid| pid.as_raw() == 0 || kill(pid, None) != Err(Errno::ESRCH);
    listener.is_ok_and(|pid| !is_there(pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixListener, thread};

    /// What one hears of an agent that reads the request and says this.
    fn asked(said: &'static str, heard_max: usize) -> (Result<(), String>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let agent = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(&stream).read_line(&mut String::new()).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
        });
        let mut heard = 0;
        let result = Client::connect(&path).unwrap().unwrap().ask(Request::Get, &mut |_| {
            heard += 1;
            if heard == heard_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        agent.join().unwrap();
        (result.map_err(|failure| failure.text), heard)
    }

    const DONE: &str = "{\"reply\":\"done\",\"message\":\"x\"}\n{\"reply\":\"done\",\"message\":\"y\"}\n";

    #[test]
    fn replies_are_heard_until_the_agent_or_the_listener_has_enough() {
        assert_eq!(asked(DONE, 9), (Ok(()), 2));
        assert_eq!(asked(DONE, 1), (Ok(()), 1));
    }

    #[test]
    fn an_agent_that_says_nothing_or_nonsense_is_told_of() {
        assert_eq!(asked("", 9), (Err("the agent ended before it answered".to_owned()), 0));
        let (nonsense, heard) = asked("hello\n", 9);
        assert!(nonsense.unwrap_err().starts_with("the agent's answer can't be read"));
        assert_eq!(heard, 0);
    }

    #[test]
    fn nobody_is_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Client::connect(&folder.path().join("agent.sock")).unwrap().is_none());
        drop(UnixListener::bind(folder.path().join("left.sock")).unwrap());
        assert!(Client::connect(&folder.path().join("left.sock")).unwrap().is_none());
    }
}
