//! A pack (gitformat-pack(5)) of whole objects, without deltas: what is kept is small, and read more often than written.

use super::super::object;
use crate::protocol::{Frame, ObjectKind};
use flate2::{Compression, write::ZlibEncoder};
use std::io::{self, Write};

pub(super) fn of<'a>(frames: impl ExactSizeIterator<Item = &'a Frame>) -> io::Result<Vec<u8>> {
    let count = u32::try_from(frames.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut pack = [b"PACK".as_slice(), &2_u32.to_be_bytes(), &count.to_be_bytes()].concat();
    for Frame { kind, content } in frames {
        header(*kind, content.len(), &mut pack);
        let mut deflated = ZlibEncoder::new(&mut pack, Compression::default());
        deflated.write_all(content)?;
        deflated.finish()?;
    }
    let sum = object::sha1(&[&pack]).map_err(io::Error::other)?;
    pack.extend(sum.0);
    Ok(pack)
}

/// Kind and size: four bits of the size beside the kind, then seven a byte, a set top bit where more follow.
fn header(kind: ObjectKind, size: usize, pack: &mut Vec<u8>) {
    let kind: u8 = match kind {
        ObjectKind::Commit => 1,
        ObjectKind::Tree => 2,
        ObjectKind::Blob => 3,
        ObjectKind::Tag => 4,
    };
    let low = |size: usize, mask: usize| u8::try_from(size & mask).expect("it is masked");
    let (mut byte, mut rest) = (kind << 4 | low(size, 0xf), size >> 4);
    while rest > 0 {
        pack.push(byte | 0x80);
        (byte, rest) = (low(rest, 0x7f), rest >> 7);
    }
    pack.push(byte);
}
