//! Links (rtnetlink(7), linux/if_link.h): the bridge, and what ties an instance to it.
//!
//! Requests are written with `netlink-packet-route`'s types. Lists of the host's links are read by our own reader, for the
//! few attributes that matter: a foreign link of a kind that is younger than a library must not make the list fail.

use super::{
    Result, Subnet,
    attribute::Attributes,
    failed, namespace,
    netlink::{self, Request, Socket},
    sysctl,
};
use netlink_packet_core::NetlinkSerializable as _;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    link::{
        BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth,
        LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    },
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};
use nix::{errno::Errno, sys::socket::SockProtocol};
use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd as _, BorrowedFd},
};

pub use super::tap::{Header, tap};

/// `struct ifinfomsg`; `ifi_index` are its bytes 4 to 7.
pub(super) const IFINFOMSG_BYTES: usize = 16;
/// The name of an instance's own end.
const INSIDE: &str = "eth0";

/// An instance's place at the bridge.
#[derive(Clone, Copy, Debug)]
pub struct Port<'a> {
    /// The bridge.
    pub bridge: &'a str,
    /// The name of the link at the bridge, at most 15 bytes.
    pub name: &'a str,
    /// The instance's address.
    pub address: Ipv4Addr,
    /// The network of the bridge.
    pub subnet: Subnet,
    /// The longest packet, in bytes ([`super::route::mtu`]).
    pub mtu: u32,
}

/// The hardware address of an instance, or of the bridge, made of its IPv4 address (locally administered): who is given an
/// address that another had is never taken for it, nor is it looked for elsewhere.
pub fn mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// The hardware address of the host's end of an instance's link. It is given, so that no manager of links makes one up.
pub(super) fn mac_outside(address: Ipv4Addr) -> [u8; 6] {
    let [_, _, a, b, c, d] = mac(address);
    [0xfe, 0x42, a, b, c, d]
}

/// Makes the bridge and its address, or makes what is there so. IPv6 is off on it.
pub fn ensure_bridge(name: &str, subnet: Subnet, mtu: u32) -> Result<()> {
    let mut socket = open(name)?;
    // Without someone who asks for memberships, snooping on them loses multicast after some minutes.
    let data = vec![InfoBridge::StpState(BridgeStpState::Disabled), InfoBridge::MulticastSnooping(false)];
    let mut bridge = named(name);
    bridge.attributes.extend([
        LinkAttribute::Address(mac(subnet.gateway()).to_vec()),
        LinkAttribute::Mtu(mtu),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge), LinkInfo::Data(InfoData::Bridge(data))]),
    ]);
    new_link(&mut socket, bridge, libc::NLM_F_CREATE).map_err(failed("make the bridge", name))?;
    sysctl::ipv6_off(name)?;
    new_link(&mut socket, up(named(name)), 0)
        .and_then(|()| add_address(&mut socket, name, subnet.gateway(), subnet.bits()))
        .map_err(failed("configure the bridge", name))
}

/// Ties a network namespace to the bridge: a pair of links, of which one end is `eth0` in there, with its address and the
/// default route; `lo` is up as well. Nothing is left behind if it fails.
pub fn veth(port: &Port<'_>, namespace: BorrowedFd<'_>) -> Result<()> {
    let mut outside = open(port.name)?;
    let inside = namespace::within(namespace, || {
        // Before the link is made: the setting is inherited, and there is never a packet of IPv6.
        sysctl::ipv6_off("default")?;
        open(INSIDE)
    });
    let mut inside = inside.map_err(|errno| failed("enter the namespace for", port.name)(io::Error::from(errno)))??;

    let mut peer = named(INSIDE);
    peer.attributes.extend([
        LinkAttribute::NetNsFd(namespace.as_raw_fd()),
        LinkAttribute::Address(mac(port.address).to_vec()),
        LinkAttribute::Mtu(port.mtu),
    ]);
    let mut pair = named(port.name);
    pair.attributes.extend([
        LinkAttribute::Address(mac_outside(port.address).to_vec()),
        LinkAttribute::Mtu(port.mtu),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
    ]);
    new_link(&mut outside, pair, libc::NLM_F_CREATE | libc::NLM_F_EXCL).map_err(failed("make the link", port.name))?;

    let connected = connect(&mut outside, port)
        .and_then(|()| settle_inside(&mut inside, port).map_err(failed("configure the instance's end of", port.name)));
    if connected.is_err() {
        // The first error tells more than one of cleaning up would.
        let _ = remove(port.name);
    }
    connected
}

/// Makes a link a port of the bridge, and sets it going. A frame may leave by the port it came in by: with `br_netfilter`,
/// which other software loads, that is the way of an instance to itself by its host port.
pub(super) fn connect(socket: &mut Socket, port: &Port<'_>) -> Result<()> {
    sysctl::ipv6_off(port.name)?;
    let bridge = index(socket, port.bridge).map_err(failed("find the bridge", port.bridge))?;
    let mut attached = named(port.name);
    attached.attributes.push(LinkAttribute::Controller(bridge));
    let mut hairpin = up(named(port.name));
    hairpin.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)])),
    ]));
    [attached, hairpin]
        .into_iter()
        .try_for_each(|message| new_link(socket, message, 0))
        .map_err(failed("put a link on the bridge,", port.name))
}

fn settle_inside(socket: &mut Socket, port: &Port<'_>) -> netlink::Result<()> {
    for name in ["lo", INSIDE] {
        new_link(socket, up(named(name)), 0)?;
    }
    add_address(socket, INSIDE, port.address, port.subnet.bits())?;
    add_default_route(socket, port.subnet.gateway())
}

pub(super) fn add_default_route(socket: &mut Socket, gateway: Ipv4Addr) -> netlink::Result<()> {
    let mut route = RouteMessage::default();
    route.header.address_family = AddressFamily::Inet;
    route.header.table = RouteHeader::RT_TABLE_MAIN;
    route.header.protocol = RouteProtocol::Boot;
    route.header.scope = RouteScope::Universe;
    route.header.kind = RouteType::Unicast;
    route.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
    send(socket, &RouteNetlinkMessage::NewRoute(route), libc::NLM_F_CREATE | libc::NLM_F_REPLACE)
}

pub(super) fn add_address(socket: &mut Socket, link: &str, address: Ipv4Addr, bits: u8) -> netlink::Result<()> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = bits;
    message.header.scope = AddressScope::Universe;
    message.header.index = index(socket, link)?;
    message.attributes = vec![AddressAttribute::Local(address.into()), AddressAttribute::Address(address.into())];
    send(socket, &RouteNetlinkMessage::NewAddress(message), libc::NLM_F_CREATE | libc::NLM_F_REPLACE)
}

/// Removes a link by its name, and with it the other end of a pair. It may be gone already.
pub fn remove(name: &str) -> Result<()> {
    let mut socket = open(name)?;
    match send(&mut socket, &RouteNetlinkMessage::DelLink(named(name)), 0) {
        Err(error) if error.is(Errno::ENODEV) => Ok(()),
        result => result.map_err(failed("remove the link", name)),
    }
}

/// The names of this namespace's links that begin with `prefix`, sorted.
pub fn names(prefix: &str) -> Result<Vec<String>> {
    let mut socket = open(prefix)?;
    let request = request(&RouteNetlinkMessage::GetLink(LinkMessage::default()), 0);
    let found = socket.list(&request, |body| {
        let name = Attributes::read_after(body, IFINFOMSG_BYTES)?.text(libc::IFLA_IFNAME);
        Ok(name.filter(|name| name.starts_with(prefix)).map(str::to_owned))
    });
    let mut names = found.map_err(failed("list the links called", format!("{prefix}…")))?;
    names.sort();
    Ok(names)
}

pub(super) fn open(link: &str) -> Result<Socket> {
    Socket::open(SockProtocol::NetlinkRoute).map_err(failed("ask for the link", link))
}

/// The number of a link.
fn index(socket: &mut Socket, name: &str) -> netlink::Result<u32> {
    let answers = socket.call(&request(&RouteNetlinkMessage::GetLink(named(name)), 0))?;
    let index = answers.first().and_then(|body| body.get(4..8)?.try_into().ok());
    index.map(u32::from_ne_bytes).ok_or(netlink::Error::Malformed("a link has no number"))
}

pub(super) fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

pub(super) fn up(mut message: LinkMessage) -> LinkMessage {
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

/// Makes a link, or changes the one of its name.
pub(super) fn new_link(socket: &mut Socket, link: LinkMessage, flags: i32) -> netlink::Result<()> {
    send(socket, &RouteNetlinkMessage::NewLink(link), flags)
}

fn send(socket: &mut Socket, message: &RouteNetlinkMessage, flags: i32) -> netlink::Result<()> {
    socket.call(&request(message, flags)).map(drop)
}

pub(super) fn request(message: &RouteNetlinkMessage, flags: i32) -> Request {
    let mut body = vec![0; message.buffer_len()];
    message.serialize(&mut body);
    Request { kind: message.message_type(), flags, body }
}
