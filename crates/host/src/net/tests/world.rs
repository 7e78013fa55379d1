//! A small world for a test: a host, a machine on its LAN, and instances, each a network namespace of its own, that end with
//! the test. Nothing outside is touched, so all tests can run at the same time.

use super::super::{
    Subnet,
    link::{self, Port},
    netlink::Socket,
    nft::Table,
    sysctl,
};
use crate::net::namespace::within;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo};
use nix::{
    sched::{CloneFlags, unshare},
    sys::socket::{Shutdown, SockProtocol, shutdown},
};
use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    thread::{self, JoinHandle},
    time::Duration,
};

pub(super) const BRIDGE: &str = "ab-a1b2c3";
pub(super) const TABLE: &str = "abide-a1b2c3";
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const LAN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn subnet() -> Subnet {
    "10.1.16.0/20".parse().unwrap()
}

/// Runs a test in a network namespace of its own: the host.
pub(super) fn isolated(test: impl FnOnce() + Send) {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let host = Space::new();
    within(host.fd(), test).unwrap();
}

/// A network namespace with nothing in it but a loopback link that is up.
pub(super) struct Space(File);

impl Space {
    pub(super) fn new() -> Self {
        let open = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let mut socket = Socket::open(SockProtocol::NetlinkRoute).unwrap();
            link::new_link(&mut socket, link::up(link::named("lo")), 0).unwrap();
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        };
        thread::spawn(open).join().unwrap()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(super) fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        within(self.fd(), act).unwrap()
    }

    /// What the server at `to` answers to whoever connects, or why there is no answer.
    pub(super) fn ask(&self, to: SocketAddrV4) -> std::io::Result<String> {
        self.run(|| ask(to))
    }
}

pub(super) fn ask(to: SocketAddrV4) -> std::io::Result<String> {
    ask_within(to, PATIENCE)
}

/// As [`ask`], for where no answer is to be expected.
pub(super) fn ask_within(to: SocketAddrV4, patience: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to.into(), patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A bridge and a table in the namespace of this thread, and a machine on its LAN.
pub(super) struct World {
    pub(super) lan: Space,
    pub(super) table: Table,
}

impl World {
    pub(super) fn new() -> Self {
        let lan = Space::new();
        wire(&lan);
        link::ensure_bridge(BRIDGE, subnet(), 1500).unwrap();
        sysctl::forward().unwrap();
        let table = Table::new(TABLE, BRIDGE, subnet());
        table.ensure().unwrap();
        Self { lan, table }
    }

    /// An instance with the `n`th address.
    pub(super) fn instance(&self, n: u8) -> Instance {
        let (space, address) = (Space::new(), address(n));
        link::veth(&port(&format!("ava1b2c3{n}"), address), space.fd()).unwrap();
        Instance { space, address }
    }
}

pub(super) fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 16, n)
}

pub(super) fn port(name: &str, address: Ipv4Addr) -> Port<'_> {
    Port { bridge: BRIDGE, name, address, subnet: subnet(), mtu: 1500 }
}

/// Two ends of a cable between this namespace and the LAN's machine, which takes the host for its way to anywhere.
fn wire(lan: &Space) {
    let mut socket = Socket::open(SockProtocol::NetlinkRoute).unwrap();
    let mut there = lan.run(|| Socket::open(SockProtocol::NetlinkRoute)).unwrap();
    let mut peer = link::named("eth0");
    peer.attributes.push(LinkAttribute::NetNsFd(lan.fd().as_raw_fd()));
    let mut cable = link::named("wan0");
    cable.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    link::new_link(&mut socket, cable, libc::NLM_F_CREATE).unwrap();
    for (socket, name, address) in [(&mut socket, "wan0", HOST), (&mut there, "eth0", LAN)] {
        link::new_link(socket, link::up(link::named(name)), 0).unwrap();
        link::add_address(socket, name, address, 24).unwrap();
    }
    link::add_default_route(&mut there, HOST).unwrap();
    link::add_default_route(&mut socket, LAN).unwrap();
}

pub(super) struct Instance {
    pub(super) space: Space,
    pub(super) address: Ipv4Addr,
}

impl Instance {
    pub(super) fn at(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, port)
    }

    /// Serves on a port of it.
    pub(super) fn serve(&self, port: u16, answer: &'static str) -> Server {
        self.space.run(|| Server::new(port, answer))
    }
}

/// Says the same to whoever connects, until it is dropped.
pub(super) struct Server {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// In the namespace of this thread.
    pub(super) fn new(port: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        let accepting = listener.try_clone().unwrap();
        let serve = move || {
            while let Ok((mut stream, from)) = accepting.accept() {
                let text = if answer == WHO { from.ip().to_string() } else { answer.to_owned() };
                // Who asked may have gone.
                let _ = stream.write_all(text.as_bytes());
            }
        };
        Self { listener, thread: Some(thread::spawn(serve)) }
    }
}

/// As an answer: the address of who asks.
pub(super) const WHO: &str = "who";

impl Drop for Server {
    fn drop(&mut self) {
        // Ends the accept that waits.
        shutdown(self.listener.as_raw_fd(), Shutdown::Both).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}
