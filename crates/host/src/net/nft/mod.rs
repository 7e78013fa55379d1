//! The nf_tables table of a root, told to the kernel by a small encoder of our own: what we say is little, always the same,
//! and must be one transaction.
//!
//! Every change reads the generation of the kernel's tables, reads what is published, decides, and writes with that
//! generation as a condition: if anybody changed anything meanwhile, nothing happens and it starts again. So a port moves from
//! one instance to another without a moment in which it leads nowhere, and whoever dies halfway leaves what was there before.
//!
//! Tables of others are never touched.

mod expression;
mod obstacle;
mod port;
mod request;
mod rules;

pub use obstacle::{Obstacle, obstacles};
pub use port::{Change, HostPort, Ports, Protocol};

use super::{
    Result, Subnet, failed,
    netlink::{self, Error, Request, Socket},
};
use nix::{errno::Errno, sys::socket::SockProtocol};
use std::sync::{Mutex, PoisonError};

/// How often somebody else's change may come between.
const TRIES: usize = 32;

/// The table of a root.
#[derive(Debug)]
pub struct Table {
    name: String,
    bridge: String,
    subnet: Subnet,
    /// Whose turn it is has the socket: one change at a time, so that our own don't make each other start again. It stays
    /// open, because closing one waits until what was removed from any table is destroyed, some 20 ms.
    socket: Mutex<Option<Socket>>,
}

impl Table {
    /// The table of this name, for this bridge and its network, in the network namespace of the thread that uses it first.
    /// Nothing is made yet.
    pub fn new(name: impl Into<String>, bridge: impl Into<String>, subnet: Subnet) -> Self {
        Self { name: name.into(), bridge: bridge.into(), subnet, socket: Mutex::new(None) }
    }

    /// Makes the table as it is to be, whatever is there. What is published stays so, without a gap.
    pub fn ensure(&self) -> Result<()> {
        self.change(|ports| {
            // Made first, so that there is one to be deleted.
            let mut requests = vec![request::table(&self.name), request::delete_table(&self.name)];
            requests.extend(rules::table(self));
            let ports: Vec<_> = ports.unwrap_or_default().into_iter().collect();
            requests.extend(request::publish(&self.name, &ports));
            requests
        })
        .map_err(failed("make the table", &self.name))
    }

    /// Makes changes to what is published, all at once or none.
    pub fn publish(&self, changes: &[Change]) -> Result<()> {
        self.change(|ports| {
            let mut requests = Vec::new();
            if ports.is_none() {
                // Somebody flushed all tables.
                requests.push(request::table(&self.name));
                requests.extend(rules::table(self));
            }
            let (remove, add) = port::difference(&ports.unwrap_or_default(), changes);
            requests.extend(request::withdraw(&self.name, &remove));
            requests.extend(request::publish(&self.name, &add));
            requests
        })
        .map_err(failed("publish ports by the table", &self.name))
    }

    /// What is published; none if there is no such table.
    pub fn ports(&self) -> Result<Option<Ports>> {
        self.with_socket(|socket| self.read(socket)).map_err(failed("read the table", &self.name))
    }

    /// Deletes the table, and with it all that is published. It may be gone already.
    pub fn delete(&self) -> Result<()> {
        self.change(|_| vec![request::table(&self.name), request::delete_table(&self.name)])
            .map_err(failed("delete the table", &self.name))
    }

    /// Makes the changes that are needed, given what is published.
    fn change(&self, decide: impl Fn(Option<Ports>) -> Vec<Request>) -> netlink::Result<()> {
        self.with_socket(|socket| {
            for _ in 0..TRIES {
                let answers = socket.call(&request::generation())?;
                let generation = answers.first().map(|body| request::read_generation(body)).transpose()?.flatten();
                let generation = generation.ok_or(Error::Malformed("the tables have no generation"))?;
                let requests = decide(self.read(socket)?);
                if requests.is_empty() {
                    return Ok(());
                }
                match socket.transact(&request::batch(generation, requests)) {
                    Err(error) if error.is(Errno::ERESTART) => {}
                    result => return result,
                }
            }
            Err(Error::Unsteady)
        })
    }

    fn with_socket<T>(&self, act: impl FnOnce(&mut Socket) -> netlink::Result<T>) -> netlink::Result<T> {
        let mut kept = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut socket = kept.take().map_or_else(open, Ok)?;
        let done = act(&mut socket);
        // After a failure there may be answers in it that nobody waits for.
        *kept = done.is_ok().then_some(socket);
        done
    }

    fn read(&self, socket: &mut Socket) -> netlink::Result<Option<Ports>> {
        let mut ports = Ports::new();
        for protocol in Protocol::ALL {
            match self.read_map(socket, protocol) {
                Ok(map) => ports.extend(map),
                Err(error) if error.is(Errno::ENOENT) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(ports))
    }

    /// The kernel goes on with a list by counting what it told already. After many were added it rearranges them for a
    /// while, which no generation tells: a list in parts then lacks some. So it is believed when it says the same again.
    fn read_map(&self, socket: &mut Socket, protocol: Protocol) -> netlink::Result<Ports> {
        let mut before = None;
        for _ in 0..TRIES {
            let parts = socket.list(&request::published(&self.name, protocol), |body| {
                request::read_published(protocol, body).map(Some)
            })?;
            let is_whole = parts.len() <= 1;
            let ports: Ports = parts.into_iter().flatten().collect();
            if is_whole || before.as_ref() == Some(&ports) {
                return Ok(ports);
            }
            before = Some(ports);
        }
        Err(Error::Unsteady)
    }
}

fn open() -> netlink::Result<Socket> {
    Socket::open(SockProtocol::NetlinkNetFilter)
}
