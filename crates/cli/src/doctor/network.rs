//! Links, tables, and what stands in the way of packets.

use super::Finding;
use crate::exit::with_causes;
use abide_host::net::{
    Subnet,
    link::{Header, Port, ensure_bridge, tap, veth},
    namespace, nft, sysctl,
};
use std::{fs::File, net::Ipv4Addr, os::fd::AsFd};

/// Of links that exist for a moment, in a namespace where nothing else is.
const BRIDGE: &str = "ab-doctor";
const MTU: u32 = 1500;

pub(super) fn look() -> Vec<Finding> {
    vec![
        tried("bridge", "instances have no network but the host's: the kernel needs CONFIG_BRIDGE", |_| bridge()),
        tried(
            "links of containers",
            "containers have no network but the host's: the kernel needs CONFIG_VETH",
            container,
        ),
        tried("links of machines", "machines have no network: the kernel needs CONFIG_TUN and /dev/net/tun", machine),
        tried("packet filter", "no port can be published: the kernel needs nf_tables with NAT and maps", table),
        forwarding(),
        firewalls(),
    ]
}

/// Does it in a network namespace of its own.
fn tried(what: &'static str, lost: &str, act: impl FnOnce(Subnet) -> Result<(), String> + Send) -> Finding {
    let subnet = Subnet::of(Ipv4Addr::new(10, 0, 0, 0), 24);
    match namespace::fresh(|| act(subnet)) {
        Ok(Ok(())) => Finding::good(what, "works"),
        Ok(Err(why)) => Finding::missing(what, why, lost),
        Err(errno) => Finding::missing(what, format!("no network namespace: {errno}"), lost),
    }
}

fn bridge() -> Result<(), String> {
    let subnet = Subnet::of(Ipv4Addr::new(10, 0, 0, 0), 24);
    ensure_bridge(BRIDGE, subnet, MTU).map_err(|error| with_causes(&error))
}

fn port(subnet: Subnet) -> Port<'static> {
    Port { bridge: BRIDGE, name: "ab-doctor0", address: Ipv4Addr::new(10, 0, 0, 2), subnet, mtu: MTU }
}

fn container(subnet: Subnet) -> Result<(), String> {
    bridge()?;
    let own = File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())?;
    veth(&port(subnet), own.as_fd()).map_err(|error| with_causes(&error))
}

fn machine(subnet: Subnet) -> Result<(), String> {
    bridge()?;
    tap(&port(subnet), Header::Virtio).map(drop).map_err(|error| with_causes(&error))
}

fn table(subnet: Subnet) -> Result<(), String> {
    nft::Table::new("abide-doctor", BRIDGE, subnet).ensure().map_err(|error| with_causes(&error))
}

fn forwarding() -> Finding {
    const WHAT: &str = "forwarding";
    match sysctl::forwards() {
        Ok(true) => Finding::good(WHAT, "on"),
        Ok(false) => Finding::good(WHAT, "off; the agent switches it on with the first instance that has a network"),
        Err(error) => Finding::missing(WHAT, with_causes(&error), "instances reach nothing beyond this machine"),
    }
}

fn firewalls() -> Finding {
    const WHAT: &str = "other firewalls";
    let obstacles = match nft::obstacles() {
        Ok(obstacles) => obstacles,
        Err(error) => return Finding::lacking(WHAT, with_causes(&error), "it is not known whether one is in the way"),
    };
    if obstacles.is_empty() {
        return Finding::good(WHAT, "none is in the way");
    }
    let found: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
    let lost = "published ports may not be reached from other machines, nor what is outside from instances: let the links that begin with ab- pass there";
    Finding::lacking(WHAT, found.join("; "), lost)
}
