//! Tables of others that may drop what ours lets pass: all chains of a hook must accept a packet, whatever their order.

use super::{
    super::{Result, attribute::Attributes, failed},
    open, request,
};
use std::fmt;

/// A chain of somebody else's that may drop what goes to instances, or comes from them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// `ip` or `inet`.
    pub family: &'static str,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, chain } = self;
        write!(f, "chain {chain} of table {family} {table} drops what it doesn't know")
    }
}

/// The chains at the forward hook whose policy is to drop, as Docker, ufw and others make them; and firewalld's, which
/// rejects by its last rule. Old iptables (`iptables-legacy`) isn't seen: its rules are no tables of this kind.
pub fn obstacles() -> Result<Vec<Obstacle>> {
    let listed = open().and_then(|mut socket| socket.list(&request::chains(), read));
    let mut obstacles = listed.map_err(failed("list the chains of", "all tables"))?;
    obstacles.sort();
    Ok(obstacles)
}

fn read(body: &[u8]) -> super::netlink::Result<Option<Obstacle>> {
    let family = match body.first().map(|family| i32::from(*family)) {
        Some(libc::NFPROTO_IPV4) => "ip",
        Some(libc::NFPROTO_INET) => "inet",
        _ => return Ok(None),
    };
    // NFTA_CHAIN_TABLE, _NAME, _HOOK with NFTA_HOOK_HOOKNUM, _POLICY
    let chain = Attributes::read_after(body, request::NFGENMSG_BYTES)?;
    let hook = chain.nested(4)?.number(1)?.map(u32::cast_signed);
    let drops = chain.number(5)?.map(u32::cast_signed) == Some(libc::NF_DROP);
    let (Some(table), Some(name)) = (chain.text(1), chain.text(3)) else { return Ok(None) };
    let stands_in_the_way = hook == Some(libc::NF_INET_FORWARD) && (drops || table == "firewalld");
    Ok(stands_in_the_way.then(|| Obstacle { family, table: table.to_owned(), chain: name.to_owned() }))
}
