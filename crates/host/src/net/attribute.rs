//! Netlink attributes (netlink(7), linux/netlink.h `struct nlattr`): length, kind, value, padding to four bytes; values may
//! be attributes again.

use super::netlink::{Error, Result};
use std::net::Ipv4Addr;

const HEADER_BYTES: usize = 4;
/// Above these bits a kind has flags: nested, big-endian.
const KIND_MASK: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

/// Attributes being written, each method adds one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// After a fixed structure.
    pub(super) fn after(structure: impl Into<Vec<u8>>) -> Self {
        Self(structure.into())
    }

    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(HEADER_BYTES + value.len()).expect("callers split what can be longer than 64 KiB");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Text that ends with a zero byte.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), b"\0"].concat())
    }

    /// A number in the machine's order, as rtnetlink has them.
    pub(super) fn native(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number in the network's order, as netfilter has them.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn address(self, kind: u16, value: Ipv4Addr) -> Self {
        self.bytes(kind, &value.octets())
    }

    pub(super) fn nest(self, kind: u16, inner: Self) -> Self {
        self.bytes(kind | NESTED, &inner.finish())
    }

    /// Attributes in a list, where each has the kind `NFTA_LIST_ELEM`.
    pub(super) fn list(kind: u16, items: impl IntoIterator<Item = Self>) -> Self {
        items.into_iter().fold(Self::new(), |list, item| list.nest(kind, item))
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Attributes that were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Attributes<'a> {
    pub(super) fn read(mut bytes: &'a [u8]) -> Result<Self> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Error::Malformed("an attribute is cut off"))?;
            let [l0, l1, k0, k1] = *header;
            let length = usize::from(u16::from_ne_bytes([l0, l1]));
            let value = bytes.get(HEADER_BYTES..length).ok_or(Error::Malformed("an attribute's length doesn't fit"))?;
            found.push((u16::from_ne_bytes([k0, k1]) & KIND_MASK, value));
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(Self(found))
    }

    /// Those after a fixed structure.
    pub(super) fn read_after(bytes: &'a [u8], structure_bytes: usize) -> Result<Self> {
        Self::read(bytes.get(structure_bytes..).ok_or(Error::Malformed("a message is cut off"))?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        self.0.iter().copied()
    }

    pub(super) fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes within one; none if it isn't there.
    pub(super) fn nested(&self, kind: u16) -> Result<Self> {
        Self::read(self.find(kind).unwrap_or_default())
    }

    /// A value of a fixed size, if it is there.
    pub(super) fn array<const N: usize>(&self, kind: u16) -> Result<Option<[u8; N]>> {
        let sized = |value: &[u8]| value.try_into().map_err(|_| Error::Malformed("a value has another size"));
        self.find(kind).map(sized).transpose()
    }

    pub(super) fn address(&self, kind: u16) -> Result<Option<Ipv4Addr>> {
        Ok(self.array::<4>(kind)?.map(Ipv4Addr::from))
    }

    pub(super) fn native(&self, kind: u16) -> Result<Option<u32>> {
        Ok(self.array(kind)?.map(u32::from_ne_bytes))
    }

    pub(super) fn number(&self, kind: u16) -> Result<Option<u32>> {
        Ok(self.array(kind)?.map(u32::from_be_bytes))
    }

    /// Text up to its zero byte; what isn't UTF-8 was never named by us and is no text to us.
    pub(super) fn text(&self, kind: u16) -> Option<&'a str> {
        let value = self.find(kind)?;
        std::str::from_utf8(value.split(|byte| *byte == 0).next()?).ok()
    }
}
