//! What is said: by the agent and the keeper while an instance is made, and by whoever connects to its socket later.

use crate::{
    job::Program,
    wire::{Malformed, Wire, decode, wire},
};
use std::fmt;

/// Of [`Request`] and [`Reply`]. A keeper may be older than who asks; it refuses a version that it doesn't know.
const VERSION: u32 = 1;

/// More than a request needs: the kernel takes 128 KiB an argument.
pub const REQUEST_BYTES_MAX: usize = 256 << 10;

/// The socket's name in an instance's directory. It carries one [`Request`] or [`Reply`] a packet.
pub const SOCKET: &str = "keeper.sock";

/// What the agent sends, one byte, when the instance may go on and execute its program.
pub const GO: u8 = b'g';

/// What the keeper tells the agent while the instance is made, each after its length as `u32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Making {
    /// The first process is there, and with it its namespaces. It sets itself up meanwhile.
    Created {
        /// Its process id on the host.
        pid: i32,
    },
    /// It executes the program.
    Started,
    /// It could not be made; nothing of it is left but what is in its directories.
    Failed(Failure),
}

/// What could not be done, and what the kernel said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// As "mount /data".
    pub doing: String,
    /// errno(3).
    pub errno: i32,
}

/// What can be asked of a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Send a signal to the first process or, after [`Request::Exec`] on the same connection, to that one.
    Signal(i32),
    /// Send the signal by which the first process is asked to end.
    Stop,
    /// Run another program in the instance. Its standard streams come along as three descriptors, unless it has a
    /// terminal. It is killed when the connection ends.
    Exec(Exec),
    /// Accept connections on the listening socket that comes along, and forward them.
    Listen(Forward),
    /// A copy of the listening socket of this port, please: it stays in use here.
    Lend(u32),
    /// Accept nothing more on this port. Connections that are open stay so.
    Unlisten(u32),
}

/// A further program in an instance. It runs as the first one does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// What; without an environment or working directory of its own, it has the first one's.
    pub program: Program,
    /// Whether it has a terminal, and its size.
    pub terminal: Option<Window>,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Lines.
    pub rows: u32,
    /// Characters a line.
    pub columns: u32,
}

/// Where connections to a port of the host go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// The port of the host, by which it is named.
    pub port: u32,
    /// The instance's address, as a number.
    pub address: u32,
    /// Its port.
    pub to: u32,
}

/// What a keeper answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// It can't be done.
    Failed(Failure),
    /// The asked-for descriptor comes along: a terminal's master, or a listening socket.
    Here,
    /// The program is executed.
    Started,
    /// The program ended: its exit code, 128 + n for signal n.
    Exited(i32),
}

/// What is being done by [`Failure::executing`], before the program's name.
const EXECUTE: &str = "execute ";

impl Failure {
    /// A program could not be executed.
    pub(crate) fn executing(program: &str, errno: i32) -> Self {
        Self { doing: format!("{EXECUTE}{program}"), errno }
    }

    /// The exit code by which shells say that a program wasn't found, or can't be executed (POSIX, 2.8.2). None if what
    /// failed is something else.
    pub fn exit_code(&self) -> Option<i32> {
        let is_executing = self.doing.starts_with(EXECUTE);
        is_executing.then_some(if self.errno == libc::ENOENT { 127 } else { 126 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.doing, std::io::Error::from_raw_os_error(self.errno))
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// With a text that is only made if needed.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure { doing: what(), errno: error.raw_os_error().unwrap_or(libc::EIO) })
    }
}

wire!(Failure { doing, errno });
wire!(Exec { program, terminal });
wire!(Window { rows, columns });
wire!(Forward { port, address, to });

impl Wire for Making {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Created { pid } => {
                to.push(0);
                pid.put(to);
            }
            Self::Started => to.push(1),
            Self::Failed(failure) => {
                to.push(2);
                failure.put(to);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Created { pid: Wire::take(from)? },
            1 => Self::Started,
            2 => Self::Failed(Wire::take(from)?),
            _ => return Err(Malformed),
        })
    }
}

impl Wire for Request {
    fn put(&self, to: &mut Vec<u8>) {
        VERSION.put(to);
        match self {
            Self::Signal(signal) => {
                to.push(0);
                signal.put(to);
            }
            Self::Stop => to.push(1),
            Self::Exec(exec) => {
                to.push(2);
                exec.put(to);
            }
            Self::Listen(forward) => {
                to.push(3);
                forward.put(to);
            }
            Self::Lend(port) => {
                to.push(4);
                port.put(to);
            }
            Self::Unlisten(port) => {
                to.push(5);
                port.put(to);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        if u32::take(from)? != VERSION {
            return Err(Malformed);
        }
        Ok(match u8::take(from)? {
            0 => Self::Signal(Wire::take(from)?),
            1 => Self::Stop,
            2 => Self::Exec(Wire::take(from)?),
            3 => Self::Listen(Wire::take(from)?),
            4 => Self::Lend(Wire::take(from)?),
            5 => Self::Unlisten(Wire::take(from)?),
            _ => return Err(Malformed),
        })
    }
}

impl Wire for Reply {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Done => to.push(0),
            Self::Failed(failure) => {
                to.push(1);
                failure.put(to);
            }
            Self::Here => to.push(2),
            Self::Started => to.push(3),
            Self::Exited(code) => {
                to.push(4);
                code.put(to);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Done,
            1 => Self::Failed(Wire::take(from)?),
            2 => Self::Here,
            3 => Self::Started,
            4 => Self::Exited(Wire::take(from)?),
            _ => return Err(Malformed),
        })
    }
}

/// A message after its length, as on the connection on which an instance is made.
pub fn framed(value: &impl Wire) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    value.put(&mut bytes);
    let length = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// The next message of a connection on which an instance is made.
pub fn read_framed<T: Wire>(from: &mut impl std::io::Read) -> std::io::Result<T> {
    let invalid = |_| std::io::Error::from(std::io::ErrorKind::InvalidData);
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > crate::wire::MESSAGE_BYTES_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    decode(&bytes).map_err(|Malformed| invalid(()))
}
