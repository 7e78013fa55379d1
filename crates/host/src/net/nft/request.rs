//! Messages of nf_tables (linux/netfilter/nf_tables.h), within a batch (linux/netfilter/nfnetlink.h).

use super::{
    super::{
        attribute::{Attributes, Writer},
        netlink::{Request, Result},
    },
    expression::Expressions,
    port::{HostPort, Protocol},
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
};

/// `struct nfgenmsg`: family, version, resource in the network's order.
pub(super) const NFGENMSG_BYTES: usize = 4;
const FAMILY_INET: i32 = libc::NFPROTO_INET;
/// A message has 64 KiB of elements at most, of less than 48 bytes each.
const ELEMENTS_PER_MESSAGE: usize = 1000;

/// Data types have numbers that only `nft` gives a meaning (`enum datatypes` of its datatype.h); a concatenation has six bits for each.
const TYPE_ADDRESS: u32 = 7;
const TYPE_PORT: u32 = 13;

fn nfgenmsg(family: i32, resource: u16) -> Writer {
    let [high, low] = resource.to_be_bytes();
    Writer::after([u8::try_from(family).expect("families are small numbers"), 0, high, low])
}

/// A message about one table.
fn request(message: i32, flags: i32, attributes: impl FnOnce(Writer) -> Writer) -> Request {
    let kind = u16::try_from(libc::NFNL_SUBSYS_NFTABLES << 8 | message).expect("both have 8 bits");
    Request { kind, flags, body: attributes(nfgenmsg(FAMILY_INET, 0)).finish() }
}

/// Wraps requests so that all of them take effect at once, or none; and none if the generation isn't this one any more
/// (`ERESTART`).
pub(super) fn batch(generation: u32, requests: Vec<Request>) -> Vec<Request> {
    let subsystem = u16::try_from(libc::NFNL_SUBSYS_NFTABLES).expect("it has 8 bits");
    let edge = |kind: i32, attributes: Writer| Request {
        kind: u16::try_from(kind).expect("it has 16 bits"),
        flags: 0,
        body: attributes.finish(),
    };
    // NFNL_BATCH_GENID
    let begin = edge(libc::NFNL_MSG_BATCH_BEGIN, nfgenmsg(libc::AF_UNSPEC, subsystem).number(1, generation));
    let end = edge(libc::NFNL_MSG_BATCH_END, nfgenmsg(libc::AF_UNSPEC, subsystem));
    [vec![begin], requests, vec![end]].concat()
}

/// Asks for the number that grows with each change of any table.
pub(super) fn generation() -> Request {
    request(libc::NFT_MSG_GETGEN, 0, |to| to)
}

/// The answer to it: NFTA_GEN_ID.
pub(super) fn read_generation(body: &[u8]) -> Result<Option<u32>> {
    Attributes::read_after(body, NFGENMSG_BYTES)?.number(1)
}

/// Makes sure that there is a table.
pub(super) fn table(name: &str) -> Request {
    request(libc::NFT_MSG_NEWTABLE, libc::NLM_F_CREATE, |to| to.text(1, name))
}

/// Deletes a table with all that is in it.
pub(super) fn delete_table(name: &str) -> Request {
    request(libc::NFT_MSG_DELTABLE, 0, |to| to.text(1, name))
}

/// A chain that rules jump to.
pub(super) fn chain(table: &str, name: &str) -> Request {
    request(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE, |to| to.text(1, table).text(3, name))
}

/// A chain that the kernel goes through.
pub(super) fn hooked_chain(table: &str, name: &str, kind: &str, hook: i32, priority: i32) -> Request {
    // NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY
    let hook = Writer::new().number(1, hook.cast_unsigned()).number(2, priority.cast_unsigned());
    request(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE, |to| {
        // NFTA_CHAIN_TABLE, _NAME, _HOOK, _POLICY, _TYPE
        to.text(1, table).text(3, name).nest(4, hook).number(5, libc::NF_ACCEPT.cast_unsigned()).text(7, kind)
    })
}

/// A rule at the end of a chain.
pub(super) fn rule(table: &str, chain: &str, expressions: Expressions) -> Request {
    request(libc::NFT_MSG_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND, |to| {
        // NFTA_RULE_TABLE, _CHAIN, _EXPRESSIONS of NFTA_LIST_ELEM
        to.text(1, table).text(2, chain).nest(4, Writer::list(1, expressions))
    })
}

/// An empty map from host ports to addresses and ports.
pub(super) fn map(table: &str, protocol: Protocol) -> Request {
    request(libc::NFT_MSG_NEWSET, libc::NLM_F_CREATE, |to| {
        // NFTA_SET_TABLE, _NAME, _FLAGS, _KEY_TYPE, _KEY_LEN, _DATA_TYPE, _DATA_LEN, _ID
        to.text(1, table)
            .text(2, protocol.map_name())
            .number(3, libc::NFT_SET_MAP.cast_unsigned())
            .number(4, TYPE_PORT)
            .number(5, 2)
            .number(6, TYPE_ADDRESS << 6 | TYPE_PORT)
            .number(7, 8)
            .number(10, u32::from(protocol.number()))
    })
}

/// Takes ports out of a map. Each must be in it.
pub(super) fn withdraw(table: &str, ports: &[HostPort]) -> Vec<Request> {
    elements(libc::NFT_MSG_DELSETELEM, 0, table, ports, |port| port.protocol, |port| key(*port))
}

/// Puts ports into a map. None may be in it.
pub(super) fn publish(table: &str, ports: &[(HostPort, SocketAddrV4)]) -> Vec<Request> {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    elements(
        libc::NFT_MSG_NEWSETELEM,
        flags,
        table,
        ports,
        |(from, _)| from.protocol,
        |(from, to)| {
            let [high, low] = to.port().to_be_bytes();
            // Each part of a concatenation has a multiple of four bytes.
            let value = [to.ip().octets(), [high, low, 0, 0]].concat();
            // NFTA_SET_ELEM_DATA with NFTA_DATA_VALUE
            key(*from).nest(2, Writer::new().bytes(1, &value))
        },
    )
}

fn key(port: HostPort) -> Writer {
    // NFTA_SET_ELEM_KEY with NFTA_DATA_VALUE
    Writer::new().nest(1, Writer::new().bytes(1, &port.port.to_be_bytes()))
}

fn elements<T>(
    message: i32,
    flags: i32,
    table: &str,
    items: &[T],
    protocol_of: impl Fn(&T) -> Protocol,
    element: impl Fn(&T) -> Writer,
) -> Vec<Request> {
    let mut requests = Vec::new();
    for protocol in Protocol::ALL {
        let own: Vec<_> = items.iter().filter(|item| protocol_of(item) == protocol).collect();
        requests.extend(own.chunks(ELEMENTS_PER_MESSAGE).map(|chunk| {
            let list = Writer::list(1, chunk.iter().map(|item| element(item)));
            // NFTA_SET_ELEM_LIST_TABLE, _SET, _ELEMENTS
            request(message, flags, |to| to.text(1, table).text(2, protocol.map_name()).nest(3, list))
        }));
    }
    requests
}

/// Asks for what is in a map.
pub(super) fn published(table: &str, protocol: Protocol) -> Request {
    request(libc::NFT_MSG_GETSETELEM, 0, |to| to.text(1, table).text(2, protocol.map_name()))
}

/// A part of the answer to it.
pub(super) fn read_published(protocol: Protocol, body: &[u8]) -> Result<BTreeMap<HostPort, SocketAddrV4>> {
    let mut ports = BTreeMap::new();
    for (_, element) in Attributes::read_after(body, NFGENMSG_BYTES)?.nested(3)?.iter() {
        let element = Attributes::read(element)?;
        let (key, value) = (element.nested(1)?.array::<2>(1)?, element.nested(2)?.array::<8>(1)?);
        let (Some(key), Some([a, b, c, d, high, low, _, _])) = (key, value) else { continue };
        let to = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]));
        ports.insert(HostPort { protocol, port: u16::from_be_bytes(key) }, to);
    }
    Ok(ports)
}

/// Asks for the chains of all tables.
pub(super) fn chains() -> Request {
    let kind = u16::try_from(libc::NFNL_SUBSYS_NFTABLES << 8 | libc::NFT_MSG_GETCHAIN).expect("both have 8 bits");
    Request { kind, flags: 0, body: nfgenmsg(libc::NFPROTO_UNSPEC, 0).finish() }
}
