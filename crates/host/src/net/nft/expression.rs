//! The expressions that rules are made of (linux/netfilter/nf_tables.h): a few instructions that load something into a
//! register, compare it, and act. The names and numbers are the header's; what each rule compiles to is what `nft
//! --debug=netlink` prints for its text.
//!
//! A rule is a concatenation of conditions and one action; if a condition doesn't hold, the rest isn't looked at.

use super::super::{Subnet, attribute::Writer};

/// What the expressions of a condition or an action are.
pub(super) type Expressions = Vec<Writer>;

/// Whether something is to be so, or not to be so (`NFT_CMP_EQ`, `NFT_CMP_NEQ`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whether {
    Is = 0,
    Not = 1,
}

/// Which end of a packet's way (its offset in the IPv4 header, RFC 791).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Source = 12,
    Destination = 16,
}

/// Which link (`NFT_META_IIFNAME`, `NFT_META_OIFNAME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In = 6,
    Out = 7,
}

/// `NFT_REG_1`: 16 bytes, of which `NFT_REG32_01` is the second word.
const REGISTER: u32 = 1;
const REGISTER_SECOND_WORD: u32 = 9;
/// `NFT_REG_VERDICT`.
const REGISTER_VERDICT: u32 = 0;

const META_PROTOCOL_FAMILY: u32 = 15;
const META_TRANSPORT: u32 = 16;
const NFPROTO_IPV4: u8 = 2;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// linux/netfilter/nf_conntrack_common.h: `NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED)`.
const ESTABLISHED_OR_RELATED: u32 = 0b110;
/// `IPS_DST_NAT`.
const DESTINATION_CHANGED: u32 = 1 << 5;

fn expression(name: &str, data: Writer) -> Writer {
    // NFTA_EXPR_NAME, NFTA_EXPR_DATA
    Writer::new().text(1, name).nest(2, data)
}

fn meta(key: u32) -> Writer {
    // NFTA_META_DREG, NFTA_META_KEY
    expression("meta", Writer::new().number(1, REGISTER).number(2, key))
}

fn connection(key: u32) -> Writer {
    // NFTA_CT_DREG, NFTA_CT_KEY
    expression("ct", Writer::new().number(1, REGISTER).number(2, key))
}

fn compare(whether: Whether, value: &[u8]) -> Writer {
    // NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA with NFTA_DATA_VALUE
    let data = Writer::new().bytes(1, value);
    expression("cmp", Writer::new().number(1, REGISTER).number(2, whether as u32).nest(3, data))
}

/// Keeps the bits of a four-byte value that are in the mask.
fn mask(bytes: [u8; 4]) -> Writer {
    // NFTA_BITWISE_SREG, _DREG, _LEN, _MASK, _XOR
    let data = |bytes: &[u8]| Writer::new().bytes(1, bytes);
    let registers = Writer::new().number(1, REGISTER).number(2, REGISTER).number(3, 4);
    expression("bitwise", registers.nest(4, data(&bytes)).nest(5, data(&[0; 4])))
}

/// Loads from the network header (`NFT_PAYLOAD_NETWORK_HEADER`) or the transport header.
fn payload(base: u32, offset: u32, bytes: u32) -> Writer {
    // NFTA_PAYLOAD_DREG, _BASE, _OFFSET, _LEN
    expression("payload", Writer::new().number(1, REGISTER).number(2, base).number(3, offset).number(4, bytes))
}

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

fn is_ipv4() -> Expressions {
    vec![meta(META_PROTOCOL_FAMILY), compare(Whether::Is, &[NFPROTO_IPV4])]
}

/// `iifname NAME`, `oifname != NAME`.
pub(super) fn link(way: Way, whether: Whether, name: &str) -> Expressions {
    // IFNAMSIZ bytes, zeros after the name: so the whole name is compared.
    let mut bytes = [0; libc::IFNAMSIZ];
    for (to, byte) in bytes.iter_mut().zip(name.bytes()) {
        *to = byte;
    }
    vec![meta(way as u32), compare(whether, &bytes)]
}

/// `ip saddr NET`, `ip daddr != NET`.
pub(super) fn address(end: End, whether: Whether, subnet: Subnet) -> Expressions {
    let mut expressions = is_ipv4();
    expressions.extend([
        payload(NETWORK_HEADER, end as u32, 4),
        mask(subnet.mask().to_be_bytes()),
        compare(whether, &subnet.base().octets()),
    ]);
    expressions
}

/// `fib daddr type local`: the destination is one of the host's addresses.
pub(super) fn to_this_host() -> Expressions {
    // NFTA_FIB_DREG, _RESULT: NFT_FIB_RESULT_ADDRTYPE, _FLAGS: NFTA_FIB_F_DADDR
    let fib = expression("fib", Writer::new().number(1, REGISTER).number(2, 3).number(3, 2));
    vec![fib, compare(Whether::Is, &u32::from(libc::RTN_LOCAL).to_ne_bytes())]
}

/// `ct state established,related`.
pub(super) fn answers() -> Expressions {
    let bits = mask(ESTABLISHED_OR_RELATED.to_ne_bytes());
    vec![connection(CT_STATE), bits, compare(Whether::Not, &[0; 4])]
}

/// `ct status dnat`: it was sent here by a map.
pub(super) fn redirected() -> Expressions {
    vec![connection(CT_STATUS), mask(DESTINATION_CHANGED.to_ne_bytes()), compare(Whether::Not, &[0; 4])]
}

/// `dnat ip to PROTOCOL dport map @MAP`; what isn't in the map goes on.
pub(super) fn redirect_by(map: &str, transport: u8) -> Expressions {
    // NFTA_LOOKUP_SET, _SREG, _DREG: the address, and the port in the word after it
    let lookup = Writer::new().text(1, map).number(2, REGISTER).number(3, REGISTER);
    // NFTA_NAT_TYPE: NFT_NAT_DNAT, _FAMILY, _REG_ADDR_MIN, _REG_PROTO_MIN
    let nat = Writer::new().number(1, 1).number(2, u32::from(NFPROTO_IPV4)).number(3, REGISTER);
    vec![
        meta(META_TRANSPORT),
        compare(Whether::Is, &[transport]),
        payload(TRANSPORT_HEADER, 2, 2),
        expression("lookup", lookup),
        expression("nat", nat.number(5, REGISTER_SECOND_WORD)),
    ]
}

/// `masquerade`: it leaves with the address of the link it leaves by.
pub(super) fn masquerade() -> Expressions {
    vec![expression("masq", Writer::new())]
}

/// `accept`; other tables may still drop it.
pub(super) fn accept() -> Expressions {
    verdict(Writer::new().number(1, libc::NF_ACCEPT.cast_unsigned()))
}

/// `drop`.
pub(super) fn drop() -> Expressions {
    verdict(Writer::new().number(1, libc::NF_DROP.cast_unsigned()))
}

/// `jump CHAIN`.
pub(super) fn jump(chain: &str) -> Expressions {
    verdict(Writer::new().number(1, libc::NFT_JUMP.cast_unsigned()).text(2, chain))
}

fn verdict(code: Writer) -> Expressions {
    // NFTA_IMMEDIATE_DREG, _DATA with NFTA_DATA_VERDICT
    let data = Writer::new().nest(2, code);
    vec![expression("immediate", Writer::new().number(1, REGISTER_VERDICT).nest(2, data))]
}
