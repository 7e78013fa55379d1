//! Reading tar archives that somebody hostile may have written: ustar, GNU and pax (POSIX.1-2024, *pax*; GNU tar manual,
//! *Basic Tar Format*).
//!
//! There is one way to read each archive, or none: what is malformed is an error and never skipped, a size in a pax record
//! always wins over that in the header, and what has no data by its type has none whatever its size says. Readers that
//! disagree about this were led to entries that others didn't see (CVE-2025-62518). What an archive makes us remember is
//! bounded.

mod header;
mod pax;

use header::{BLOCK, Header};
use pax::Records;
use std::{
    ffi::OsString,
    io::{self, Read},
};

/// Bytes of a long name, or of all pax records of an entry.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Why an archive can't be read on.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It breaks off, or reading it failed.
    #[error("it can't be read to its end")]
    Read(#[from] io::Error),
    /// It isn't one.
    #[error("it is no proper tar archive: {0}")]
    Malformed(&'static str),
    /// It uses what we don't read.
    #[error("its entry {name:?} {what}")]
    Unsupported {
        /// The entry.
        name: String,
        /// What it is.
        what: &'static str,
    },
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
    Hardlink,
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice,
}

/// One entry of an archive, all but its data.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// As written.
    pub(crate) path: Vec<u8>,
    /// Of links: as written.
    pub(crate) target: Vec<u8>,
    /// Bytes of its data.
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(crate) modified: (i64, u32),
    /// Extended attributes.
    pub(crate) attributes: Vec<(OsString, Vec<u8>)>,
}

/// An archive that is read from its beginning to its end. Reading from it reads the data of the entry it is at.
pub(crate) struct Archive<R> {
    from: R,
    /// Of the current entry's data.
    left: u64,
    /// After it.
    padding: u64,
    /// Bytes read of all.
    position: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, left: 0, padding: 0, position: 0 }
    }

    /// What is being read from.
    pub(crate) fn into_inner(self) -> R {
        self.from
    }

    /// Where in the archive reading is: after [`next`](Self::next), where the entry's data begin.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Skips what is left of the current entry and goes to the next one.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut records = Records::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            match header.type_flag() {
                b'x' => {
                    let bytes = self.extension(&header)?;
                    records.read_pax(&bytes)?;
                }
                // Defaults for all entries that follow: nobody who writes layers uses them, and readers disagree on them.
                b'g' => drop(self.extension(&header)?),
                b'L' => records.set_gnu_path(self.extension(&header)?),
                b'K' => records.set_gnu_target(self.extension(&header)?),
                _ => return self.entry(&header, records).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, records: Records) -> Result<Entry, TarError> {
        let path = records.path.unwrap_or_else(|| header.path());
        let unsupported =
            |what| TarError::Unsupported { name: String::from_utf8_lossy(&path).chars().take(200).collect(), what };
        let kind = match header.type_flag() {
            // Before ustar, a directory was a file whose name ends so.
            0 if path.ends_with(b"/") => Kind::Dir,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'3' => {
                let (major, minor) = header.device()?;
                Kind::CharDevice { major, minor }
            }
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Dir,
            b'6' => Kind::Fifo,
            b'S' => return Err(unsupported("is a sparse file: make the archive without `--sparse`")),
            _ => return Err(unsupported("is of an unknown type")),
        };
        if records.is_sparse {
            return Err(unsupported("is a sparse file: make the archive without `--sparse`"));
        }
        let size = match records.size {
            Some(size) => size,
            None => header.size()?,
        };
        let size = if kind == Kind::File { size } else { 0 };
        self.left = size;
        self.padding = padding(size);
        let modified = match records.modified {
            Some(modified) => modified,
            None => (header.modified()?, 0),
        };
        let uid = owner(records.uid.map_or_else(|| header.uid(), Ok)?)?;
        let gid = owner(records.gid.map_or_else(|| header.gid(), Ok)?)?;
        let target = records.target.unwrap_or_else(|| header.target());
        let (mode, attributes) = (header.mode()?, records.attributes);
        if path.is_empty() || [&path, &target].iter().any(|text| text.contains(&0)) {
            return Err(TarError::Malformed("a name is empty or has a zero byte"));
        }
        Ok(Entry { kind, path, target, size, mode, uid, gid, modified, attributes })
    }

    /// The next header; none at the end, which is two blocks of zeros, or simply the end.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        io::copy(self, &mut io::sink())?;
        let padding = std::mem::take(&mut self.padding);
        if self.take_block(padding)?.is_none() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let Some(block) = self.take_block(BLOCK as u64)? else { return Ok(None) };
        if block.iter().any(|byte| *byte != 0) {
            return Header::new(block).map(Some);
        }
        match self.take_block(BLOCK as u64)? {
            Some(block) if block.iter().any(|byte| *byte != 0) => {
                Err(TarError::Malformed("something follows a block of zeros"))
            }
            _ => Ok(None),
        }
    }

    /// Reads up to a block; none where the archive is at its end.
    fn take_block(&mut self, length: u64) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let wanted = usize::try_from(length).map_or(BLOCK, |length| length.min(BLOCK));
        let mut filled = 0;
        while filled < wanted {
            match self.from.read(&mut block[filled..wanted]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.position += filled as u64;
        Ok(Some(block))
    }

    /// The data of an entry that says something about the next one.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let size = header.size()?;
        if size > EXTENSION_BYTES_MAX {
            return Err(TarError::Malformed("a long name or extended header has more than 1 MiB"));
        }
        self.left = size;
        self.padding = padding(size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The largest number means "don't change it" to the kernel.
fn owner(id: u64) -> Result<u32, TarError> {
    let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    id.ok_or(TarError::Malformed("no user or group has such a number"))
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.from.read(&mut buffer[..length])?;
        self.left -= read as u64;
        self.position += read as u64;
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
