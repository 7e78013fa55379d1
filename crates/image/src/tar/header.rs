//! The 512 bytes before each entry.

use super::TarError;

pub(super) const BLOCK: usize = 512;

/// A header whose checksum is right.
pub(super) struct Header([u8; BLOCK]);

impl Header {
    pub(super) fn new(block: [u8; BLOCK]) -> Result<Self, TarError> {
        let header = Self(block);
        // The sum is made with its own field as spaces.
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        if header.number(148, 156)? != i64::try_from(sum - own + 8 * u64::from(b' ')).unwrap_or(-1) {
            return Err(TarError::Malformed("the checksum of a header is wrong"));
        }
        Ok(header)
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        // GNU's own format has other things where POSIX has the beginning of a long path.
        let is_posix = self.0[257..263] == *b"ustar\0";
        let prefix = if is_posix { self.text(345, 500) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn target(&self) -> Vec<u8> {
        self.text(157, 257).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u32, TarError> {
        // Some writers put the type of the file in there, too.
        Ok((self.unsigned(100, 108)? & 0o7777) as u32)
    }

    pub(super) fn uid(&self) -> Result<u64, TarError> {
        self.unsigned(108, 116)
    }

    pub(super) fn gid(&self) -> Result<u64, TarError> {
        self.unsigned(116, 124)
    }

    pub(super) fn size(&self) -> Result<u64, TarError> {
        self.unsigned(124, 136)
    }

    pub(super) fn modified(&self) -> Result<i64, TarError> {
        self.number(136, 148)
    }

    pub(super) fn device(&self) -> Result<(u32, u32), TarError> {
        let number = |from, to| {
            u32::try_from(self.unsigned(from, to)?)
                .map_err(|_| TarError::Malformed("the number of a device is too big"))
        };
        Ok((number(329, 337)?, number(337, 345)?))
    }

    fn text(&self, from: usize, to: usize) -> &[u8] {
        let field = &self.0[from..to];
        field.split(|byte| *byte == 0).next().unwrap_or(field)
    }

    fn unsigned(&self, from: usize, to: usize) -> Result<u64, TarError> {
        u64::try_from(self.number(from, to)?).map_err(|_| TarError::Malformed("a number is negative"))
    }

    /// Octal digits among spaces and zero bytes, or GNU's big-endian two's complement with the first bit set.
    fn number(&self, from: usize, to: usize) -> Result<i64, TarError> {
        let field = &self.0[from..to];
        let too_big = || TarError::Malformed("a number is too big");
        if field[0] & 0x80 != 0 {
            let is_negative = field[0] & 0x40 != 0;
            let first = if is_negative { i128::from(field[0]) - 0x100 } else { i128::from(field[0] & 0x7f) };
            let number = field[1..].iter().fold(first, |number, byte| number << 8 | i128::from(*byte));
            return i64::try_from(number).map_err(|_| too_big());
        }
        let text = field.trim_ascii_start().split(|byte| matches!(byte, 0 | b' ')).next().unwrap_or_default();
        text.iter().try_fold(0_i64, |number, byte| match byte {
            b'0'..=b'7' => number.checked_mul(8).map(|number| number + i64::from(byte - b'0')).ok_or_else(too_big),
            _ => Err(TarError::Malformed("a number has something else than octal digits")),
        })
    }
}
