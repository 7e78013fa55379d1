//! A person's terminal and something far away that reads and writes bytes.

use crate::exit::Failure;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

/// Bytes at once.
const CHUNK: usize = 16 << 10;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(Vec<u8>),
    /// Nothing comes any more.
    End,
}

/// Reads what there is.
pub(crate) fn read(from: &impl AsFd) -> Result<Read, Errno> {
    let mut bytes = vec![0; CHUNK];
    match nix::unistd::read(from, &mut bytes) {
        // A terminal whose programs are all gone says EIO.
        Ok(0) | Err(Errno::EIO) => Ok(Read::End),
        Ok(length) => {
            bytes.truncate(length);
            Ok(Read::Bytes(bytes))
        }
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(Read::Bytes(Vec::new())),
        Err(errno) => Err(errno),
    }
}

/// Writes all of it.
pub(crate) fn write(to: &impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match nix::unistd::write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut ready = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
                poll(&mut ready, PollTimeout::NONE)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Waits until one of these has something to read, or is at its end; tells which.
pub(crate) fn wait<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    patience: Option<Duration>,
) -> Result<[bool; N], Failure> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let patience =
        patience.map_or(PollTimeout::NONE, |patience| PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX));
    match poll(&mut polled, patience) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok([false; N]),
        Err(errno) => return Err(Failure::doing("waiting for the terminal")(errno)),
    }
    let mut ready = polled.iter().map(|fd| fd.any().unwrap_or(false));
    Ok(fds.map(|fd| fd.is_some() && ready.next().unwrap_or(false)))
}
