//! Ports of the host for whom address translation doesn't reach: this machine itself, and clients over IPv6.
//!
//! The listening socket also reserves the port. It comes from the agent, and is lent to the keeper of the next instance:
//! both accept from it for a moment, so no connection meets a closed port.

use crate::{message::Forward, sys::socket};
use libc::{POLLIN, POLLOUT};
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

/// Connections at once; more wait in the kernel's queue.
const PAIRS_MAX: usize = 512;
/// Of a connection, at a time. It is on the stack, which a keeper never gives back.
const CHUNK: usize = 16 << 10;
/// How often one connection is served before the others are.
const TURNS: usize = 8;

/// All ports of an instance, and the connections to them.
#[derive(Default)]
pub(crate) struct Forwards {
    ports: BTreeMap<u32, (OwnedFd, Forward)>,
    pairs: BTreeMap<u64, Pair>,
    next: u64,
    /// No descriptor was left for another connection: nothing is accepted before one ends.
    is_full: bool,
}

/// Which of the descriptors to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A listening socket.
    Port(u32),
    /// Either side of a connection.
    Pair(u64),
}

struct Pair {
    client: TcpStream,
    instance: TcpStream,
    /// From the client to the instance, and back.
    flows: [Flow; 2],
}

/// One direction.
#[derive(Default)]
struct Flow {
    /// Read, but not written so far.
    waiting: Vec<u8>,
    has_ended: bool,
    is_shut: bool,
}

impl Forwards {
    /// Accepts from now on, as said.
    pub(crate) fn listen(&mut self, forward: Forward, socket: OwnedFd) {
        self.ports.insert(forward.port, (socket, forward));
    }

    /// The listening socket of a port.
    pub(crate) fn port(&self, port: u32) -> Option<BorrowedFd<'_>> {
        self.ports.get(&port).map(|(socket, _)| socket.as_fd())
    }

    /// Accepts nothing more.
    pub(crate) fn unlisten(&mut self, port: u32) {
        self.ports.remove(&port);
    }

    /// What to wait for.
    pub(crate) fn interests(&self) -> impl Iterator<Item = (RawFd, i16, Token)> {
        let accepts = !self.is_full && self.pairs.len() < PAIRS_MAX;
        let ports = self.ports.iter().filter(move |_| accepts);
        let ports = ports.map(|(port, (socket, _))| (socket.as_raw_fd(), POLLIN, Token::Port(*port)));
        let pairs = self.pairs.iter().flat_map(|(number, pair)| {
            let [to, back] = &pair.flows;
            [(&pair.client, to, back), (&pair.instance, back, to)].into_iter().filter_map(
                move |(stream, from, into)| {
                    let reads = if from.wants_more() { POLLIN } else { 0 };
                    let writes = if into.waiting.is_empty() { 0 } else { POLLOUT };
                    let events = reads | writes;
                    // One that is waited for in no way would say over and over that the other side hung up.
                    (events != 0).then(|| (stream.as_raw_fd(), events, Token::Pair(*number)))
                },
            )
        });
        ports.chain(pairs)
    }

    /// One of them is ready.
    pub(crate) fn handle(&mut self, token: Token) {
        match token {
            Token::Port(port) => self.accept(port),
            Token::Pair(number) => {
                if self.pairs.get_mut(&number).is_some_and(|pair| !pair.is_open()) {
                    self.pairs.remove(&number);
                    self.is_full = false;
                }
            }
        }
    }

    fn accept(&mut self, port: u32) {
        let Some((socket, forward)) = self.ports.get(&port) else { return };
        let client = match socket::accept(socket.as_fd()) {
            Ok(Some(client)) => TcpStream::from(client),
            // The keeper that lends or borrows the socket was quicker.
            Ok(None) => return,
            Err(error) => {
                self.is_full = [libc::EMFILE, libc::ENFILE, libc::ENOMEM].map(Some).contains(&error.raw_os_error());
                return;
            }
        };
        let to = SocketAddrV4::new(Ipv4Addr::from_bits(forward.address), forward.to as u16);
        match socket::connect(to) {
            Ok(instance) => {
                // Small answers must not wait for more.
                drop(client.set_nodelay(true).and_then(|()| instance.set_nodelay(true)));
                self.pairs.insert(self.next, Pair { client, instance, flows: Default::default() });
                self.next += 1;
            }
            // The client sees its connection closed, as if nothing listened.
            Err(_) => self.is_full = !self.pairs.is_empty(),
        }
    }
}

impl Pair {
    /// Moves what can be moved. Whether there may be more later.
    fn is_open(&mut self) -> bool {
        let [to, back] = &mut self.flows;
        let moved = to.pump(&self.client, &self.instance).and_then(|()| back.pump(&self.instance, &self.client));
        moved.is_ok() && !(to.is_shut && back.is_shut)
    }
}

impl Flow {
    fn wants_more(&self) -> bool {
        self.waiting.is_empty() && !self.has_ended
    }

    fn pump(&mut self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        for _ in 0..TURNS {
            if self.wants_more() {
                match from.read(&mut chunk) {
                    Ok(0) => self.has_ended = true,
                    Ok(length) => self.waiting.extend(&chunk[..length]),
                    Err(error) if is_later(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            if self.waiting.is_empty() {
                break;
            }
            match to.write(&self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error),
            }
        }
        if self.waiting.is_empty() {
            // Not kept for a connection that may be idle for days.
            self.waiting = Vec::new();
            if self.has_ended && !self.is_shut {
                self.is_shut = true;
                // The other side may be gone for good already.
                drop(to.shutdown(Shutdown::Write));
            }
        }
        Ok(())
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;
    use std::{net::TcpListener, thread};

    /// Serves until `is_done`, as the keeper's loop does.
    fn serve(forwards: &mut Forwards, mut is_done: impl FnMut() -> bool) {
        while !is_done() {
            let waited: Vec<_> = forwards.interests().collect();
            let mut fds: Vec<_> =
                waited.iter().map(|(fd, events, _)| libc::pollfd { fd: *fd, events: *events, revents: 0 }).collect();
            sys::poll(&mut fds).unwrap();
            for (fd, (_, _, token)) in fds.iter().zip(&waited) {
                if fd.revents != 0 {
                    forwards.handle(*token);
                }
            }
        }
    }

    #[test]
    fn bytes_go_both_ways_until_both_sides_ended() {
        let instance = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = instance.local_addr().unwrap().port();
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        host.set_nonblocking(true).unwrap();
        let port = host.local_addr().unwrap().port();
        let mut forwards = Forwards::default();
        let forward = Forward { port: 1, address: Ipv4Addr::LOCALHOST.to_bits(), to: to.into() };
        forwards.listen(forward, host.into());
        // More than all the buffers on the way take.
        let size = 8 << 20;
        let echo = thread::spawn(move || {
            let (mut stream, _) = instance.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(&vec![7; size]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all.len()
        });
        let mut was_used = false;
        let ended = |forwards: &Forwards| forwards.pairs.is_empty();
        while !(was_used && ended(&forwards)) {
            serve(&mut forwards, {
                let mut turns = 0;
                move || {
                    turns += 1;
                    turns > 1
                }
            });
            was_used |= !ended(&forwards);
        }
        echo.join().unwrap();
        assert_eq!(client.join().unwrap(), size);
    }
}
