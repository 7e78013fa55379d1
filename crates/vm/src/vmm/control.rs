//! Orders to a VMM: one line of JSON in, one out, and the connection ends.

use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, ErrorKind, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    time::Duration,
};

const CLIENTS_MAX: usize = 8;
const LINE_MAX: usize = 256;
/// A VMM answers between two events of its guest.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a VMM can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// Press the power button.
    Shutdown,
    /// Say how things are.
    Status,
}

/// How things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// How often the guest has reset itself.
    pub resets: u32,
}

/// Why a VMM was not told.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Nobody listens: it ended, or doesn't run so far.
    #[error("no virtual machine runs in {directory}")]
    Gone {
        /// The instance's directory.
        directory: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It doesn't answer.
    #[error("the virtual machine's monitor does not answer")]
    Silent(#[source] io::Error),
}

/// Tells the VMM of the instance with this directory.
pub fn order(directory: &Path, order: Order) -> Result<Answer, OrderError> {
    let gone = |source| OrderError::Gone { directory: directory.display().to_string(), source };
    let mut stream = connect(directory, super::CONTROL_SOCKET).map_err(gone)?;
    let mut ask = || -> io::Result<Answer> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_vec(&order)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = Vec::new();
        (&mut stream).take(LINE_MAX as u64).read_to_end(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    };
    ask().map_err(OrderError::Silent)
}

/// The directory's own path may be longer than what an address has room for.
fn connect(directory: &Path, socket: &str) -> io::Result<UnixStream> {
    let directory = File::open(directory)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{socket}", directory.as_raw_fd()))
}

pub(super) struct Control {
    listener: UnixListener,
    clients: Vec<Client>,
}

struct Client {
    stream: UnixStream,
    line: Vec<u8>,
    gone: bool,
}

impl Control {
    pub(super) fn listen(path: &str) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, clients: Vec::new() })
    }

    /// The listener first, then the clients.
    pub(super) fn watched(&self) -> Vec<BorrowedFd<'_>> {
        let clients = self.clients.iter().map(|client| client.stream.as_fd());
        [self.listener.as_fd()].into_iter().chain(clients).collect()
    }

    /// Says which order was given, if one is complete; it is answered already.
    pub(super) fn handle(&mut self, index: usize, answer: &Answer) -> Option<Order> {
        let Some(index) = index.checked_sub(1) else {
            self.accept();
            return None;
        };
        let client = self.clients.get_mut(index)?;
        let order = client.read()?;
        // Its few bytes fit the socket; who hung up needs none.
        let mut text = serde_json::to_vec(answer).ok()?;
        text.push(b'\n');
        drop(client.stream.write_all(&text));
        Some(order)
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        if self.clients.len() < CLIENTS_MAX && stream.set_nonblocking(true).is_ok() {
            self.clients.push(Client { stream, line: Vec::new(), gone: false });
        }
    }

    /// Forgets who is gone, after a round of events.
    pub(super) fn tidy(&mut self) {
        self.clients.retain(|client| !client.gone);
    }
}

impl Client {
    /// The order, once its line is complete. Whatever ends the line ends the connection.
    fn read(&mut self) -> Option<Order> {
        let mut bytes = [0; LINE_MAX];
        match self.stream.read(&mut bytes) {
            Ok(length) => {
                self.line.extend(&bytes[..length]);
                let end = self.line.iter().position(|byte| *byte == b'\n');
                self.gone = length == 0 || end.is_some() || self.line.len() > LINE_MAX;
                serde_json::from_slice(&self.line[..end?]).ok()
            }
            Err(error) => {
                self.gone = error.kind() != ErrorKind::WouldBlock;
                None
            }
        }
    }
}
