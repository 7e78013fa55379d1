//! Connections the kernel remembers (linux/netfilter/nfnetlink_conntrack.h), where a change of what is published has to reach
//! them.
//!
//! A map is asked for the first packet of a connection; the rest goes where the first one went. For TCP that is right: who
//! is connected to the old instance stays there until it is drained. UDP has no end that the kernel could see, so a client that
//! keeps its socket would never reach the new instance: those flows are forgotten *after* the map has changed (before,
//! the next packet would only bring them back). And when an instance has gone, so must its connections: whoever still waits
//! gets a reset, and the address can be given to another.
//!
//! Kernels since 5.8 send only what the filter asks for; older ones send all. So it is always checked here as well.

use super::{
    Result,
    attribute::{Attributes, Writer},
    failed,
    netlink::{self, Request, Socket},
    nft::{HostPort, Ports, Protocol},
    route,
};
use nix::{errno::Errno, sys::socket::SockProtocol};
use std::net::Ipv4Addr;

const NFGENMSG_BYTES: usize = 4;
/// `IPCTNL_MSG_CT_GET`, `IPCTNL_MSG_CT_DELETE`.
const GET: u16 = 1;
const DELETE: u16 = 2;
// enum ctattr_type
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const FILTER: u16 = 25;
// enum ctattr_tuple, ctattr_ip, ctattr_l4proto
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_DESTINATION: u16 = 3;
/// What of a tuple is to be compared, as libnetfilter_conntrack has it.
const FILTER_IP_SOURCE: u32 = 1 << 0;
const FILTER_PROTOCOL: u32 = 1 << 3;

/// A remembered connection, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Flow {
    /// What its first packet said.
    source: Ipv4Addr,
    destination: Ipv4Addr,
    destination_port: u16,
    protocol: u8,
    /// Where its answers come from: the one who really has it.
    holder: Ipv4Addr,
    /// What the kernel knows it by.
    key: Writer,
}

/// Forgets the UDP flows to published ports that don't lead where the ports lead now. To be called after each change of UDP
/// ports, and again by who takes over from an agent that may have died in between. Gives how many there were.
pub fn settle_udp(published: &Ports) -> Result<usize> {
    let udp = |port| HostPort { protocol: Protocol::Udp, port };
    if !published.keys().any(|from| from.protocol == Protocol::Udp) {
        return Ok(0);
    }
    let local = route::local()?;
    let protocol = Writer::new().bytes(PROTOCOL_NUMBER, &[Protocol::Udp.number()]);
    let filter = filter(TUPLE_ORIGINAL, FILTER_PROTOCOL, Writer::new().nest(TUPLE_PROTOCOL, protocol));
    forget(&filter, |flow| {
        flow.protocol == Protocol::Udp.number()
            && local.contains(&flow.destination)
            && published.get(&udp(flow.destination_port)).is_some_and(|to| *to.ip() != flow.holder)
    })
    .map_err(failed("redirect the flows of", "published UDP ports"))
}

/// Forgets all connections to and from an address whose instance has gone. Gives how many there were.
pub fn forget_instance(address: Ipv4Addr) -> Result<usize> {
    let ip = || Writer::new().nest(TUPLE_IP, Writer::new().address(IP_SOURCE, address));
    [TUPLE_REPLY, TUPLE_ORIGINAL]
        .into_iter()
        .map(|tuple| {
            forget(&filter(tuple, FILTER_IP_SOURCE, ip()), |flow| [flow.holder, flow.source].contains(&address))
        })
        .sum::<netlink::Result<usize>>()
        .map_err(failed("forget the connections of", address.to_string()))
}

/// Asks for the flows of which one tuple has something in common with this one. `CTA_FILTER_ORIG_FLAGS` and
/// `CTA_FILTER_REPLY_FLAGS` have the same numbers as the tuples.
fn filter(tuple: u16, flags: u32, value: Writer) -> Request {
    let other = if tuple == TUPLE_ORIGINAL { TUPLE_REPLY } else { TUPLE_ORIGINAL };
    let flags = Writer::new().native(tuple, flags).native(other, 0);
    request(GET, ipv4().nest(tuple, value).nest(FILTER, flags))
}

fn forget(list: &Request, is_meant: impl Fn(&Flow) -> bool) -> netlink::Result<usize> {
    let mut socket = Socket::open(SockProtocol::NetlinkNetFilter)?;
    let flows = socket.list(list, |body| Ok(read(body)?.filter(&is_meant)))?;
    for flow in &flows {
        match socket.call(&request(DELETE, flow.key.clone())) {
            // It ended by itself.
            Err(error) if error.is(Errno::ENOENT) => {}
            result => result.map(drop)?,
        }
    }
    Ok(flows.len())
}

fn request(message: u16, body: Writer) -> Request {
    let subsystem = u16::try_from(libc::NFNL_SUBSYS_CTNETLINK).expect("it has 8 bits");
    Request { kind: subsystem << 8 | message, flags: 0, body: body.finish() }
}

/// `struct nfgenmsg`.
fn ipv4() -> Writer {
    Writer::after([u8::try_from(libc::AF_INET).expect("it has 8 bits"), 0, 0, 0])
}

/// A flow of IPv4 with ports; others are passed over.
fn read(body: &[u8]) -> netlink::Result<Option<Flow>> {
    let all = Attributes::read_after(body, NFGENMSG_BYTES)?;
    let (original, reply) = (all.nested(TUPLE_ORIGINAL)?, all.nested(TUPLE_REPLY)?);
    let (from, protocol) = (original.nested(TUPLE_IP)?, original.nested(TUPLE_PROTOCOL)?);
    let port = protocol.array(PROTOCOL_DESTINATION)?.map(u16::from_be_bytes);
    let holder = reply.nested(TUPLE_IP)?.address(IP_SOURCE)?;
    let (Some(source), Some(destination), Some(holder), Some([number]), Some(port)) =
        (from.address(IP_SOURCE)?, from.address(IP_DESTINATION)?, holder, protocol.array::<1>(PROTOCOL_NUMBER)?, port)
    else {
        return Ok(None);
    };
    let key =
        [(TUPLE_ORIGINAL, true), (ID, false), (ZONE, false)].into_iter().fold(ipv4(), |key, (kind, nested)| match all
            .find(kind)
        {
            Some(value) if nested => key.nest(kind, Writer::after(value)),
            Some(value) => key.bytes(kind, value),
            None => key,
        });
    Ok(Some(Flow { source, destination, destination_port: port, protocol: number, holder, key }))
}
