//! Layers as they are sent: tar, as it is or compressed by gzip or zstd. What it is, is told by the first bytes; media types
//! are wrong too often.

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use std::io::{self, BufRead, BufReader, Read};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// How the magic number of frames to be skipped ends (RFC 8878, 3.1.2); its first byte is 0x50 to 0x5f.
const ZSTD_SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];
/// Memory that a frame may ask for: what `zstd --long` uses, 16 times what RFC 8878 asks decoders to support.
const ZSTD_WINDOW_BYTES_MAX: u64 = 128 << 20;

/// The plain bytes of what may be compressed.
pub(crate) enum Plain<R: Read> {
    Gzip(MultiGzDecoder<Prefixed<R>>),
    Zstd(Box<Frames<Prefixed<R>>>),
    As(Prefixed<R>),
}

/// What was read to look at it, put back before the rest.
pub(crate) type Prefixed<R> = BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>;

impl<R: Read> Plain<R> {
    pub(crate) fn new(mut from: R) -> io::Result<Self> {
        let mut start = Vec::new();
        (&mut from).take(4).read_to_end(&mut start)?;
        let is_gzip = start.starts_with(&GZIP);
        let is_zstd =
            start.starts_with(&ZSTD) || (start.len() == 4 && start[0] & 0xf0 == 0x50 && start[1..] == ZSTD_SKIPPED);
        let from = BufReader::with_capacity(128 << 10, io::Cursor::new(start).chain(from));
        Ok(match (is_gzip, is_zstd) {
            (true, _) => Self::Gzip(MultiGzDecoder::new(from)),
            (_, true) => Self::Zstd(Box::new(Frames::new(from))),
            _ => Self::As(from),
        })
    }

    /// Whether the bytes come as they are.
    pub(crate) fn is_as_it_is(&self) -> bool {
        matches!(self, Self::As(_))
    }
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(from) => from.read(buffer),
            Self::Zstd(from) => from.read(buffer),
            Self::As(from) => from.read(buffer),
        }
    }
}

/// A stream of zstd frames one after the other, those to be skipped among them (zstd:chunked appends some).
pub(crate) struct Frames<R> {
    from: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Frames<R> {
    fn new(from: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        Self { from, decoder }
    }

    /// Goes to the next frame; `false` at the end.
    fn next(&mut self) -> io::Result<bool> {
        loop {
            if self.from.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.from) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.from).take(length), &mut io::sink())? != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if self.decoder.is_finished() {
                if !self.next()? {
                    return Ok(0);
                }
            } else {
                let decoded = self.decoder.decode_blocks(&mut self.from, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
        }
        self.decoder.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write as _;

    fn plain(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Plain::new(bytes)?.read_to_end(&mut all)?;
        Ok(all)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    #[test]
    fn what_it_is_shows_in_its_first_bytes() {
        let text: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
        let skipped = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&text)].concat();
        assert_eq!(plain(&text).unwrap(), text);
        assert_eq!(plain(&gzip(&text)).unwrap(), text);
        assert_eq!(plain(&zstd(&text)).unwrap(), text);
        assert_eq!(plain(&skipped).unwrap(), text);
        assert_eq!(plain(b"").unwrap(), b"");
        assert_eq!(plain(b"ab").unwrap(), b"ab");
    }

    #[test]
    fn several_members_are_one_stream() {
        assert_eq!(plain(&[gzip(b"one"), gzip(b""), gzip(b"two")].concat()).unwrap(), b"onetwo");
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9].to_vec();
        let frames = [zstd(b"one"), skipped.clone(), zstd(b""), zstd(b"two"), skipped].concat();
        assert_eq!(plain(&frames).unwrap(), b"onetwo");
    }

    #[test]
    fn what_is_cut_or_broken_is_an_error() {
        let text = b"text ".repeat(1000);
        for whole in [gzip(&text), zstd(&text)] {
            assert!(plain(&whole[..whole.len() - 9]).is_err());
            assert!(plain(&[&whole[..], &b"rubbish"[..]].concat()).is_err());
        }
        // A window of 2 GiB.
        assert!(plain(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]).is_err());
    }
}
