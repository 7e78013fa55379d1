//! What the host's routing says: which networks are taken, and how long a packet may be.

use super::{
    Result, Subnet,
    attribute::Attributes,
    failed,
    link::{IFINFOMSG_BYTES, open, request},
    netlink::{self, Error, Request, Socket},
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage, address::AddressMessage, link::LinkMessage, route::RouteMessage,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

/// `struct rtmsg` and `struct ifaddrmsg` (linux/rtnetlink.h, linux/if_addr.h) have the prefix's bits in byte 1.
const RTMSG_BYTES: usize = 12;
const IFADDRMSG_BYTES: usize = 8;
/// What Ethernet has where nothing says otherwise.
const MTU_DEFAULT: u32 = 1500;

/// The IPv4 networks that the host has routes to or addresses in, sorted. The default route is not among them, nor is what
/// belongs to a link called `except`: our own bridge.
pub fn taken(except: &str) -> Result<Vec<Subnet>> {
    let read = || {
        let mut socket = Socket::open(nix::sys::socket::SockProtocol::NetlinkRoute)?;
        let ours = links(&mut socket)?.into_iter().find(|(_, link)| link.name == except).map(|(index, _)| index);
        let mut found = networks(&mut socket)?;
        found.retain(|network| network.subnet.bits() > 0 && (network.link.is_none() || network.link != ours));
        Ok(found)
    };
    let found: netlink::Result<Vec<Network>> = read();
    let found = found.map_err(failed("read the routes of", "this host"))?;
    let mut subnets: Vec<_> = found.into_iter().map(|network| network.subnet).collect();
    subnets.sort();
    subnets.dedup();
    Ok(subnets)
}

/// The longest packet that goes out whole by the default route, in bytes.
pub fn mtu() -> Result<u32> {
    let mut socket = open("the default route")?;
    let mut read = || -> netlink::Result<Option<u32>> {
        let default = networks(&mut socket)?.into_iter().find(|network| network.subnet.bits() == 0);
        let links = links(&mut socket)?;
        Ok(default.and_then(|network| links.get(&network.link?)?.mtu))
    };
    read().map(|mtu| mtu.unwrap_or(MTU_DEFAULT)).map_err(failed("read the packet size of", "the default route"))
}

/// The host's own IPv4 addresses, but those of loopback.
pub(super) fn local() -> Result<BTreeSet<Ipv4Addr>> {
    let found = open("the host's addresses").map(|mut socket| {
        socket.list(&addresses(), |body| Attributes::read_after(body, IFADDRMSG_BYTES)?.address(libc::IFA_LOCAL))
    });
    let mut local: BTreeSet<_> = found?.map_err(failed("read the addresses of", "this host"))?.into_iter().collect();
    local.retain(|address| !address.is_loopback());
    Ok(local)
}

struct Link {
    name: String,
    mtu: Option<u32>,
}

/// A network, and by which link it is reached.
#[derive(Debug)]
struct Network {
    subnet: Subnet,
    link: Option<u32>,
}

fn links(socket: &mut Socket) -> netlink::Result<BTreeMap<u32, Link>> {
    let found = socket.list(&request(&RouteNetlinkMessage::GetLink(LinkMessage::default()), 0), |body| {
        let attributes = Attributes::read_after(body, IFINFOMSG_BYTES)?;
        let index = body.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let name = attributes.text(libc::IFLA_IFNAME).unwrap_or_default().to_owned();
        Ok(Some((index, Link { name, mtu: attributes.native(libc::IFLA_MTU)? })))
    });
    Ok(found?.into_iter().collect())
}

/// Of the routes of all tables, and of the addresses of all links.
fn networks(socket: &mut Socket) -> netlink::Result<Vec<Network>> {
    let mut routes = RouteMessage::default();
    routes.header.address_family = AddressFamily::Inet;
    let mut found = socket.list(&request(&RouteNetlinkMessage::GetRoute(routes), 0), |body| {
        let attributes = Attributes::read_after(body, RTMSG_BYTES)?;
        // A default route names no destination.
        let destination = attributes.address(libc::RTA_DST)?.unwrap_or(Ipv4Addr::UNSPECIFIED);
        network(body, destination, attributes.native(libc::RTA_OIF)?)
    })?;
    found.extend(socket.list(&addresses(), |body| {
        let attributes = Attributes::read_after(body, IFADDRMSG_BYTES)?;
        let Some(address) = attributes.address(libc::IFA_ADDRESS)? else { return Ok(None) };
        let link = body.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
        network(body, address, link)
    })?);
    Ok(found)
}

fn addresses() -> Request {
    let mut addresses = AddressMessage::default();
    addresses.header.family = AddressFamily::Inet;
    request(&RouteNetlinkMessage::GetAddress(addresses), 0)
}

fn network(body: &[u8], address: Ipv4Addr, link: Option<u32>) -> netlink::Result<Option<Network>> {
    let bits = *body.get(1).ok_or(Error::Malformed("a network has no size"))?;
    Ok(Some(Network { subnet: Subnet::of(address, bits), link }))
}
