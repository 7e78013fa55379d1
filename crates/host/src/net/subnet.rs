//! IPv4 networks, and the choice of one for a root's bridge. Pure.

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// Bits of the networks we choose: 4,093 instances each.
const BITS: u8 = 20;

/// Where to look for a free network, in this order: the private ones of RFC 1918, roomiest first.
const PRIVATE: [Subnet; 3] = [
    Subnet { base: 0x0a00_0000, bits: 8 },
    Subnet { base: 0xac10_0000, bits: 12 },
    Subnet { base: 0xc0a8_0000, bits: 16 },
];

/// An IPv4 network, as `10.1.16.0/20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    /// The bits beyond `bits` are 0.
    base: u32,
    /// 0 to 32.
    bits: u8,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no IPv4 network; write it as 10.1.16.0/20")]
pub struct NotASubnet(pub String);

impl Subnet {
    /// The network an address is in; bits above 32 count as 32.
    pub fn of(address: Ipv4Addr, bits: u8) -> Self {
        let bits = bits.min(32);
        let whole = Self { base: 0, bits };
        Self { base: address.to_bits() & whole.mask(), bits }
    }

    /// How many bits all its addresses share.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// Its first address, which stands for the network.
    pub fn base(self) -> Ipv4Addr {
        self.base.into()
    }

    /// The bridge's own address: the first one after the base.
    pub fn gateway(self) -> Ipv4Addr {
        self.base.saturating_add(1).into()
    }

    /// The addresses for instances, in order: all but the network's, the gateway's and the broadcast address.
    pub fn instances(self) -> std::ops::RangeInclusive<u32> {
        self.base.saturating_add(2)..=self.last().saturating_sub(1)
    }

    /// Whether an address is in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.base
    }

    /// Whether they have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.base()) || other.contains(self.base())
    }

    /// The bits that all its addresses share.
    pub(super) fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0)
    }

    fn last(self) -> u32 {
        self.base | !self.mask()
    }
}

/// Chooses a network of 20 bits that overlaps none of those `taken`: the one in 10.0.0.0/8 that the tag's digits point at if
/// it is free, so that roots side by side seldom ask for the same, or else the next free one. None if all are taken.
///
/// Default routes (`0.0.0.0/0`) take nothing.
pub fn choose(tag: &str, taken: &[Subnet]) -> Option<Subnet> {
    // FNV-1a: any text points somewhere, and texts that differ a little point far apart.
    let start = tag.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    PRIVATE.into_iter().find_map(|private| {
        let count = 1_u32 << (BITS - private.bits);
        (0..count)
            .map(|n| Subnet { base: private.base + ((start.wrapping_add(n) % count) << (32 - BITS)), bits: BITS })
            .find(|subnet| taken.iter().all(|other| other.bits == 0 || !subnet.overlaps(*other)))
    })
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base(), self.bits)
    }
}

impl FromStr for Subnet {
    type Err = NotASubnet;

    fn from_str(text: &str) -> Result<Self, NotASubnet> {
        let read = || {
            let (base, bits) = text.split_once('/')?;
            let (base, bits): (Ipv4Addr, u8) = (base.parse().ok()?, bits.parse().ok()?);
            let subnet = Self::of(base, bits);
            (subnet.base() == base && subnet.bits == bits).then_some(subnet)
        };
        read().ok_or_else(|| NotASubnet(text.to_owned()))
    }
}

impl TryFrom<String> for Subnet {
    type Error = NotASubnet;

    fn try_from(text: String) -> Result<Self, NotASubnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn texts() {
        for text in ["10.1.16.0/20", "0.0.0.0/0", "192.168.1.7/32"] {
            assert_eq!(subnet(text).to_string(), text);
        }
        for text in ["", "10.1.16.0", "10.1.17.0/20", "10.1.16.0/33", "10.1.16.0/-1", "10.1.16/20", "::/0"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn members() {
        let net = subnet("10.1.16.0/20");
        assert_eq!(net.gateway(), Ipv4Addr::new(10, 1, 16, 1));
        assert_eq!(Ipv4Addr::from(*net.instances().start()), Ipv4Addr::new(10, 1, 16, 2));
        assert_eq!(Ipv4Addr::from(*net.instances().end()), Ipv4Addr::new(10, 1, 31, 254));
        assert_eq!(net.instances().count(), 4093);
        assert!(net.contains(Ipv4Addr::new(10, 1, 31, 255)) && !net.contains(Ipv4Addr::new(10, 1, 32, 0)));
        assert!(subnet("10.0.0.0/8").overlaps(net) && net.overlaps(subnet("10.1.31.0/24")));
        assert!(!net.overlaps(subnet("10.1.32.0/24")));
        assert!(subnet("255.255.255.255/32").instances().is_empty());
    }

    #[test]
    fn a_free_one_is_chosen() {
        let first = choose("a1b2c3", &[subnet("0.0.0.0/0")]).unwrap();
        assert_eq!((first.bits(), choose("a1b2c3", &[])), (20, Some(first)));
        assert!(subnet("10.0.0.0/8").contains(first.base()));
        assert_ne!(choose("a1b2c4", &[]), Some(first));
        let second = choose("a1b2c3", &[Subnet::of(first.gateway(), 32)]).unwrap();
        assert!(!second.overlaps(first));
        let third = choose("a1b2c3", &[subnet("10.0.0.0/8")]).unwrap();
        assert!(subnet("172.16.0.0/12").contains(third.base()));
        let most = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/17", "192.168.192.0/18"].map(subnet);
        let fourth = choose("a1b2c3", &most).unwrap();
        assert!(subnet("192.168.128.0/18").contains(fourth.base()));
        assert_eq!(choose("a1b2c3", &PRIVATE), None);
    }
}
