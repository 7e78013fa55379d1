//! The few settings under `/proc/sys/net` that matter (kernel: networking/ip-sysctl). They are those of the network
//! namespace of the calling thread.
//!
//! `route_localnet` stays off, `rp_filter` as the host has it (both of its settings work; foreign senders on the bridge are
//! dropped by the table), and `accept_ra` has no meaning where IPv6 is off.

use super::{Result, failed};
use std::{fs, io};

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Whether the host forwards IPv4 from one link to another, without which a bridge is an island.
pub fn forwards() -> Result<bool> {
    let text = fs::read_to_string(FORWARD).map_err(failed("read", FORWARD))?;
    Ok(text.trim() != "0")
}

/// Makes the host forward IPv4, if it doesn't yet. It then forwards between all its links, as other rules of its firewall
/// allow: only what comes to our bridge is ours to drop.
pub fn forward() -> Result<()> {
    // Writing it, even the same value, resets settings of every link.
    if forwards()? { Ok(()) } else { fs::write(FORWARD, "1").map_err(failed("write to", FORWARD)) }
}

/// Takes IPv6 off a link, or (as `default`) off those to come.
pub(super) fn ipv6_off(link: &str) -> Result<()> {
    let path = format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6");
    match fs::write(&path, "1") {
        // The kernel has no IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(failed("write to", path)),
    }
}
