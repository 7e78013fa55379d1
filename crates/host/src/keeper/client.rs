//! Asking a keeper, over the socket in its instance's directory.

use abide_keeper::{
    message::{Exec, Failure, Forward, Reply, Request, SOCKET},
    wire::{decode, encode},
};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect,
            recvmsg, sendmsg, setsockopt, socket, sockopt::ReceiveTimeout,
        },
        time::{TimeVal, TimeValLike as _},
    },
};
use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    path::Path,
    time::Duration,
};

/// What needs no other process is answered at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than any answer has.
const REPLY_BYTES_MAX: usize = 64 << 10;

/// Why a keeper didn't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there: the instance ended.
    #[error("the instance is not running")]
    Gone(#[source] io::Error),
    /// It doesn't answer in time, or not what was asked.
    #[error("the instance's keeper does not answer")]
    Silent(#[source] io::Error),
    /// It can't be done.
    #[error("{0}")]
    Failed(Failure),
}

/// A connection to a keeper.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

/// What another program in the instance reads and writes.
#[derive(Debug)]
pub enum Streams<'a> {
    /// Its standard streams.
    Given([BorrowedFd<'a>; 3]),
    /// A terminal, of this size.
    Terminal(abide_keeper::message::Window),
}

/// Another program in the instance. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    client: Client,
    /// Its terminal's master, if it has one.
    pub terminal: Option<OwnedFd>,
}

/// Whether another program ended within the time that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code; 128 + n for signal n.
    Code(i32),
    /// It runs still.
    NotYet,
}

impl Client {
    /// Connects to the keeper of the instance with this directory.
    pub fn connect(directory: &Path) -> Result<Self, AskError> {
        let made = || -> io::Result<OwnedFd> {
            let directory = File::open(directory)?;
            let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
            // The directory's own path may be longer than what an address has room for.
            let path = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
            connect(socket.as_raw_fd(), &UnixAddr::new(&*path)?)?;
            Ok(socket)
        };
        Ok(Self { socket: made().map_err(AskError::Gone)? })
    }

    /// Asks the first process to end, as its job says.
    pub fn stop(&self) -> Result<(), AskError> {
        self.ask(&Request::Stop, None).map(drop)
    }

    /// Sends a signal to the first process.
    pub fn signal(&self, signal: i32) -> Result<(), AskError> {
        self.ask(&Request::Signal(signal), None).map(drop)
    }

    /// Accepts connections on a listening socket and forwards them to the instance.
    pub fn listen(&self, forward: Forward, socket: BorrowedFd<'_>) -> Result<(), AskError> {
        self.ask(&Request::Listen(forward), Some(socket)).map(drop)
    }

    /// A copy of the socket that listens on a port; `None` if it has none for that port.
    pub fn lend(&self, port: u16) -> Result<Option<OwnedFd>, AskError> {
        match self.ask(&Request::Lend(port.into()), None) {
            Err(AskError::Failed(failure)) if failure.errno == libc::ENOENT => Ok(None),
            other => other,
        }
    }

    /// Accepts nothing more on a port.
    pub fn unlisten(&self, port: u16) -> Result<(), AskError> {
        self.ask(&Request::Unlisten(port.into()), None).map(drop)
    }

    /// Executes another program in the instance.
    pub fn exec(self, exec: Exec, streams: &Streams<'_>) -> Result<Running, AskError> {
        // A program on a file system that hangs is started late: who asks may lose patience, and hangs up.
        self.exec_within(None, exec, streams)
    }

    /// The same, if it is started within this time.
    pub fn exec_within(
        self,
        patience: Option<Duration>,
        exec: Exec,
        streams: &Streams<'_>,
    ) -> Result<Running, AskError> {
        let mut terminal = None;
        match streams {
            Streams::Given(given) => self.send(&Request::Exec(Exec { terminal: None, ..exec }), given)?,
            Streams::Terminal(window) => {
                self.send(&Request::Exec(Exec { terminal: Some(*window), ..exec }), &[])?;
                terminal = self.receive(Some(PATIENCE))?.1;
            }
        }
        match self.receive(patience)?.0 {
            Reply::Started => Ok(Running { client: self, terminal }),
            _ => Err(unexpected()),
        }
    }

    fn ask(&self, request: &Request, fd: Option<BorrowedFd<'_>>) -> Result<Option<OwnedFd>, AskError> {
        self.send(request, fd.as_slice())?;
        match self.receive(Some(PATIENCE))? {
            (Reply::Done, _) => Ok(None),
            (Reply::Here, Some(fd)) => Ok(Some(fd)),
            _ => Err(unexpected()),
        }
    }

    fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), AskError> {
        let bytes = encode(request);
        let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let control = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &[][..] } else { &control[..] };
        let sent =
            sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(&bytes)], control, MsgFlags::MSG_NOSIGNAL, None);
        sent.map(drop).map_err(|errno| AskError::Gone(errno.into()))
    }

    fn receive(&self, patience: Option<Duration>) -> Result<(Reply, Option<OwnedFd>), AskError> {
        // Ended with our question unread, its end of the connection is reset.
        let silent = |errno: Errno| match errno {
            Errno::ECONNRESET => AskError::Gone(errno.into()),
            other => AskError::Silent(other.into()),
        };
        let millis = patience.map_or(0, |patience| patience.as_millis().clamp(1, i64::MAX as u128) as i64);
        setsockopt(&self.socket, ReceiveTimeout, &TimeVal::milliseconds(millis)).map_err(silent)?;
        let mut bytes = vec![0; REPLY_BYTES_MAX];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags).map_err(silent)?;
        let fd = message.cmsgs().map_err(silent)?.find_map(|control| match control {
            // SAFETY: the kernel made each of them for us alone, and there is room for one.
            ControlMessageOwned::ScmRights(fds) => fds.first().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }),
            _ => None,
        });
        let length = message.bytes;
        if length == 0 {
            return Err(AskError::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        match decode(&bytes[..length]).map_err(|_| unexpected())? {
            Reply::Failed(failure) => Err(AskError::Failed(failure)),
            reply => Ok((reply, fd)),
        }
    }
}

impl Running {
    /// Waits for its end, for so long at most.
    pub fn wait(&self, patience: Option<Duration>) -> Result<Ended, AskError> {
        match self.client.receive(patience) {
            Ok((Reply::Exited(code), _)) => Ok(Ended::Code(code)),
            Ok(_) => Err(unexpected()),
            Err(AskError::Silent(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(Ended::NotYet),
            Err(error) => Err(error),
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) -> Result<(), AskError> {
        self.client.send(&Request::Signal(signal), &[])
    }
}

impl AsFd for Running {
    /// Readable when it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.client.socket.as_fd()
    }
}

fn unexpected() -> AskError {
    AskError::Silent(io::ErrorKind::InvalidData.into())
}
