//! The serial line for people: a socket that several may be connected to. What one types, all see the answer to. Who
//! doesn't read is dropped, never waited for.

use nix::poll::PollFlags;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

const CLIENTS_MAX: usize = 8;
/// Of what a client didn't read yet.
const UNREAD_MAX: usize = 256 << 10;
/// What a client is shown of what was said before it came.
const PAST: usize = 4096;
/// Of what was typed and the guest didn't take yet: then nobody's typing is read.
const TYPED_MAX: usize = 4096;

pub(super) struct Console {
    listener: UnixListener,
    clients: Vec<Client>,
    past: VecDeque<u8>,
    typed: Vec<u8>,
}

struct Client {
    stream: UnixStream,
    unread: VecDeque<u8>,
    /// It doesn't take anything any more. What it typed before it hung up counts all the same.
    is_deaf: bool,
    gone: bool,
}

impl Console {
    pub(super) fn listen(path: &str) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, clients: Vec::new(), past: VecDeque::new(), typed: Vec::new() })
    }

    /// The listener first, then the clients.
    pub(super) fn watched(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let input = if self.typed.len() < TYPED_MAX { PollFlags::POLLIN } else { PollFlags::empty() };
        let of_client = |client: &'_ Client| {
            if client.unread.is_empty() { input } else { input | PollFlags::POLLOUT }
        };
        let clients = self.clients.iter().map(|client| (client.stream.as_fd(), of_client(client)));
        [(self.listener.as_fd(), PollFlags::POLLIN)].into_iter().chain(clients).collect()
    }

    pub(super) fn handle(&mut self, index: usize) {
        match index.checked_sub(1) {
            None => self.accept(),
            Some(index) => {
                if let Some(client) = self.clients.get_mut(index) {
                    client.read(&mut self.typed);
                    client.write();
                }
            }
        }
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        if self.clients.len() < CLIENTS_MAX && stream.set_nonblocking(true).is_ok() {
            let mut client = Client { stream, unread: self.past.clone(), is_deaf: false, gone: false };
            client.write();
            self.clients.push(client);
        }
    }

    /// Gives what was typed to who takes some of it, and says how much.
    pub(super) fn feed(&mut self, take: impl FnOnce(&[u8]) -> usize) {
        if !self.typed.is_empty() {
            let taken = take(&self.typed);
            self.typed.drain(..taken);
        }
    }

    /// What the guest said.
    pub(super) fn say(&mut self, said: &[u8]) {
        self.past.extend(said);
        let old = self.past.len().saturating_sub(PAST);
        self.past.drain(..old);
        for client in self.clients.iter_mut().filter(|client| !client.is_deaf) {
            client.unread.extend(said);
            client.write();
        }
    }

    /// Forgets who is gone. Not before all events of a round were handled, which know clients by their index.
    pub(super) fn tidy(&mut self) {
        self.clients.retain(|client| !client.gone);
    }
}

impl Client {
    fn read(&mut self, typed: &mut Vec<u8>) {
        let mut bytes = [0; 512];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.gone = true,
            Ok(length) => typed.extend(&bytes[..length]),
            Err(error) => self.gone |= error.kind() != ErrorKind::WouldBlock,
        }
    }

    fn write(&mut self) {
        while !self.unread.is_empty() {
            match self.stream.write(self.unread.as_slices().0) {
                Ok(length) => drop(self.unread.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.gone |= self.unread.len() > UNREAD_MAX;
                    return;
                }
                Err(_) => {
                    self.is_deaf = true;
                    self.unread.clear();
                }
            }
        }
    }
}
