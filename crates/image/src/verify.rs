//! Bytes that are only believed once their digest and size are as announced.

use abide_spec::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Why bytes are not what they were announced to be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another content.
    #[error("it has the digest sha256:{found} where sha256:{wanted} was announced")]
    Digest {
        /// As announced.
        wanted: Digest,
        /// As received.
        found: Digest,
    },
    /// Another length.
    #[error("it has {found} bytes where {wanted} were announced")]
    Size {
        /// As announced.
        wanted: u64,
        /// As received, or one more than allowed.
        found: u64,
    },
}

/// Passes bytes on and hashes them. No more than `bytes_max` are passed on.
pub(crate) struct Verified<R> {
    from: R,
    hash: Sha256,
    count: u64,
    bytes_max: u64,
    /// What reading from `from` ended with: decoders around this one may not hand it on.
    failure: Option<io::Error>,
}

impl<R: Read> Verified<R> {
    pub(crate) fn new(from: R, bytes_max: u64) -> Self {
        Self { from, hash: Sha256::new(), count: 0, bytes_max, failure: None }
    }

    /// Reads what is left and tells the digest and the size of all. With a size above `bytes_max` there was too much.
    pub(crate) fn finish(&mut self) -> io::Result<(Digest, u64)> {
        let mut rest = vec![0; 64 << 10];
        while self.count <= self.bytes_max && self.read(&mut rest)? != 0 {}
        Ok((Digest(self.hash.clone().finalize().into()), self.count))
    }

    /// Why reading failed, if it did. `None` leaves the blame with what was read.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Whether more came than was allowed.
    pub(crate) fn is_too_long(&self) -> bool {
        self.count > self.bytes_max
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_too_long() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "there is more than was announced"));
        }
        // One byte more than allowed shows that there is more.
        let room = usize::try_from(self.bytes_max - self.count).unwrap_or(usize::MAX).saturating_add(1);
        let length = buffer.len().min(room);
        let read = match self.from.read(&mut buffer[..length]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                return Err(kind.into());
            }
        };
        self.hash.update(&buffer[..read]);
        self.count += read as u64;
        if self.is_too_long() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "there is more than was announced"));
        }
        Ok(read)
    }
}

/// Checks the whole of a small document.
pub(crate) fn check(bytes: &[u8], digest: Digest, size: Option<u64>) -> Result<(), Mismatch> {
    let found = bytes.len() as u64;
    if let Some(wanted) = size.filter(|wanted| *wanted != found) {
        return Err(Mismatch::Size { wanted, found });
    }
    match Digest::of(bytes) {
        found if found == digest => Ok(()),
        found => Err(Mismatch::Digest { wanted: digest, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_hashed_however_little_was_read() {
        let bytes = vec![7; 200_000];
        let mut reader = Verified::new(&bytes[..], 200_000);
        reader.read_exact(&mut [0; 10]).unwrap();
        assert_eq!(reader.finish().unwrap(), (Digest::of(&bytes), 200_000));
    }

    #[test]
    fn too_much_is_noticed_at_the_first_byte() {
        let mut reader = Verified::new(io::repeat(0), 1000);
        assert!(io::copy(&mut reader, &mut io::sink()).is_err());
        assert!(reader.is_too_long());
        assert!(reader.read(&mut [0]).is_err());
        assert!(reader.take_failure().is_none());
    }

    #[test]
    fn documents_are_checked_as_a_whole() {
        let digest = Digest::of(b"abc");
        assert_eq!(check(b"abc", digest, Some(3)), Ok(()));
        assert_eq!(check(b"abc", digest, Some(4)), Err(Mismatch::Size { wanted: 4, found: 3 }));
        assert!(matches!(check(b"abd", digest, None), Err(Mismatch::Digest { .. })));
    }
}
