//! What the table of a root says, as one list of requests.
//!
//! ```text
//! source       prerouting, raw   a packet from the bridge whose sender isn't of the bridge's network: dropped
//! prerouting   prerouting, nat   to an address of the host, but not a loopback one: look in the maps
//! output       output, nat       the same, for what the host itself sends
//! postrouting  postrouting, nat  from an instance to elsewhere: in the host's name; from an instance to an instance by a
//!                                host port: in the bridge's name, or the answer would go straight back and be unknown
//! forward      forward, filter   from elsewhere to the bridge: answers, and what a map sent; else dropped
//! ```
//!
//! Instances reach each other on the bridge, without passing here. A packet that one table accepts can still be dropped by
//! another one: [`super::obstacles`] lists who might.

use super::{
    super::{Subnet, netlink::Request},
    Table,
    expression::{
        End::{Destination, Source},
        Expressions,
        Way::{In, Out},
        Whether::{Is, Not},
        accept, address, answers, drop, jump, link, masquerade, redirect_by, redirected, to_this_host,
    },
    port::Protocol,
    request,
};
use std::net::Ipv4Addr;

const PUBLISHED: &str = "published";

/// `NF_IP_PRI_*` of linux/netfilter_ipv4.h.
const PRIORITY_RAW: i32 = -300;
const PRIORITY_DNAT: i32 = -100;
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SNAT: i32 = 100;

/// Makes the table, its chains, rules and empty maps, where no such table is.
pub(super) fn table(table: &Table) -> Vec<Request> {
    let name = table.name.as_str();
    let mut requests = vec![request::table(name)];
    requests.extend(Protocol::ALL.map(|protocol| request::map(name, protocol)));
    requests.push(request::chain(name, PUBLISHED));
    for (chain, kind, hook, priority) in [
        ("source", "filter", libc::NF_INET_PRE_ROUTING, PRIORITY_RAW),
        ("prerouting", "nat", libc::NF_INET_PRE_ROUTING, PRIORITY_DNAT),
        ("output", "nat", libc::NF_INET_LOCAL_OUT, PRIORITY_DNAT),
        ("postrouting", "nat", libc::NF_INET_POST_ROUTING, PRIORITY_SNAT),
        ("forward", "filter", libc::NF_INET_FORWARD, PRIORITY_FILTER),
    ] {
        requests.push(request::hooked_chain(name, chain, kind, hook, priority));
    }
    let rules = rules(&table.bridge, table.subnet);
    requests.extend(rules.into_iter().map(|(chain, expressions)| request::rule(name, chain, expressions)));
    requests
}

/// The rules in order, each with its chain.
fn rules(bridge: &str, net: Subnet) -> Vec<(&'static str, Expressions)> {
    let loopback = Subnet::of(Ipv4Addr::LOCALHOST, 8);
    let published = || [to_this_host(), address(Destination, Not, loopback), jump(PUBLISHED)].concat();
    let coming_in = || [link(Out, Is, bridge), link(In, Not, bridge)].concat();
    let mut rules: Vec<_> =
        Protocol::ALL.map(|protocol| (PUBLISHED, redirect_by(protocol.map_name(), protocol.number()))).into();
    rules.extend([
        ("source", [link(In, Is, bridge), address(Source, Not, net), drop()].concat()),
        ("prerouting", published()),
        ("output", published()),
        ("postrouting", [link(Out, Not, bridge), address(Source, Is, net), masquerade()].concat()),
        ("postrouting", [address(Source, Is, net), address(Destination, Is, net), redirected(), masquerade()].concat()),
        ("forward", [coming_in(), answers(), accept()].concat()),
        ("forward", [coming_in(), redirected(), accept()].concat()),
        ("forward", [coming_in(), drop()].concat()),
    ]);
    rules
}
