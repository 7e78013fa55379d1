//! The file under a journal: frames of length, checksum and payload, appended and synced one at a time.
//!
//! ```text
//! abide journal 1\n | length: u32 | crc32(payload): u32 | payload | length | crc32 | payload | …        (little endian)
//! ```
//!
//! A frame counts once it was synced, so a crash can only tear the last one: it is cut off, and nothing that was promised
//! is lost. A broken frame with a whole one behind it is no crash but damage, and refused: what a journal holds must not
//! be guessed at. A torn frame can't hide a whole one, since no text contains a frame's head.

use abide_reconcile::SourceId;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const MAGIC: &[u8] = b"abide journal 1\n";
const HEAD: usize = 8;
/// More than any record needs (a Secret of Kubernetes' 1 MiB in base64, with room), less than a mistake allocates.
/// Below 2²⁴, so that the last byte of a length is 0, which no text has.
const PAYLOAD_MAX: usize = (16 << 20) - 1;

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk said no.
    #[error("could not read the journal {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no file, and what it is in said no.
    #[error("could not read the journal of {id}")]
    Elsewhere {
        /// Of which source.
        id: SourceId,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was written by a later release, or by something else.
    #[error(
        "{path} is no journal of this release: it begins with {begins:?}; run the release that wrote it, or move it away"
    )]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Its first bytes.
        begins: String,
    },
    /// Bytes changed after they had been written.
    #[error(
        "the journal {path} is damaged at byte {at}: restore it from a backup, or move it away to begin anew (its source's workloads then stay, unowned, until it is registered again)"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where.
        at: u64,
    },
}

/// An open file of frames, positioned at its end.
#[derive(Debug)]
pub(super) struct Frames {
    file: File,
    /// Where the last whole frame ends.
    length: u64,
    /// Whether something may lie behind that: a write began, and did not end well.
    is_torn: bool,
}

impl Frames {
    /// Opens or creates the file and returns the payloads in it; a torn last frame is cut off.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Vec<u8>>), OpenError> {
        let failed = |source| OpenError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        if is_new(&bytes) {
            file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
            file.write_all(MAGIC).and_then(|()| file.sync_all()).map_err(failed)?;
            sync_folder(path).map_err(failed)?;
            return Ok((Self { file, length: MAGIC.len() as u64, is_torn: false }, Vec::new()));
        }
        let (payloads, end) = read(path, &bytes)?;
        let length = end as u64;
        let mut frames = Self { file, length, is_torn: end < bytes.len() };
        frames.mend().map_err(failed)?;
        frames.file.seek(SeekFrom::Start(length)).map_err(failed)?;
        Ok((frames, payloads))
    }

    /// Opens the file that is at `path` now, and sees to it that a crash leaves that one.
    pub(super) fn take_up(path: &Path) -> io::Result<Self> {
        let (frames, _) = Self::open(path).map_err(io::Error::other)?;
        sync_folder(path)?;
        Ok(frames)
    }

    /// The payloads in a file that may be missing, or another's to write to just now. A torn last frame is left out.
    pub(super) fn look(path: &Path) -> Result<Vec<Vec<u8>>, OpenError> {
        match std::fs::read(path) {
            Ok(bytes) if is_new(&bytes) => Ok(Vec::new()),
            Ok(bytes) => read(path, &bytes).map(|(payloads, _)| payloads),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
        }
    }

    /// Appends a frame and syncs it. After an error the file is as it was.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let frame = frame(payload)?;
        self.mend()?;
        self.is_torn = true;
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What can't be cut off now is cut off before the next frame, or when the file is opened.
            let _ = self.mend();
            return Err(error);
        }
        self.is_torn = false;
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Cuts off what is no whole frame, so that no frame ever follows half of one.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.file.sync_all()?;
            self.file.seek(SeekFrom::Start(self.length))?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Writes a new file with these payloads beside the one at `path`. It takes its place by [`Draft::put`].
    pub(super) fn draft<'a>(path: &Path, payloads: impl Iterator<Item = &'a [u8]>) -> io::Result<Draft> {
        let mut bytes = MAGIC.to_vec();
        for payload in payloads {
            bytes.extend(frame(payload)?);
        }
        let new = path.with_extension("new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(Draft { path: new, frames: Self { file, length: bytes.len() as u64, is_torn: false } })
    }
}

/// A whole file of frames that is in nobody's place yet.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    frames: Frames,
}

impl Draft {
    /// Puts it in the place of the file at `path`. After an error nobody knows which of the two a crash would leave there,
    /// so neither may be written to before [`Frames::take_up`].
    pub(super) fn put(self, path: &Path) -> io::Result<Frames> {
        std::fs::rename(&self.path, path)?;
        sync_folder(path)?;
        Ok(self.frames)
    }
}

fn frame(payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|_| (1..=PAYLOAD_MAX).contains(&payload.len()));
    let length = length.ok_or_else(|| {
        io::Error::other(format!("a frame has 1 to {PAYLOAD_MAX} bytes, this one would have {}", payload.len()))
    })?;
    let mut frame = Vec::with_capacity(HEAD + payload.len());
    frame.extend(length.to_le_bytes());
    frame.extend(crc32fast::hash(payload).to_le_bytes());
    frame.extend(payload);
    Ok(frame)
}

/// Whether a crash came before the first frame.
fn is_new(bytes: &[u8]) -> bool {
    bytes.len() <= MAGIC.len() && (MAGIC.starts_with(bytes) || bytes.iter().all(|byte| *byte == 0))
}

/// The payloads of a file, and where the last whole frame ends.
fn read(path: &Path, bytes: &[u8]) -> Result<(Vec<Vec<u8>>, usize), OpenError> {
    if !bytes.starts_with(MAGIC) {
        let begins = String::from_utf8_lossy(&bytes[..bytes.len().min(MAGIC.len())]).into_owned();
        return Err(OpenError::Foreign { path: path.to_owned(), begins });
    }
    scan(bytes).map_err(|at| OpenError::Damaged { path: path.to_owned(), at })
}

/// The payloads, and where the last whole frame ends; or where a broken frame is that isn't the last.
fn scan(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, usize), u64> {
    let mut payloads = Vec::new();
    let mut at = MAGIC.len();
    while let Some(payload) = whole(&bytes[at..]) {
        payloads.push(payload.to_vec());
        at += HEAD + payload.len();
    }
    let is_damaged = (at + 1..bytes.len()).any(|later| whole(&bytes[later..]).is_some());
    if is_damaged { Err(at as u64) } else { Ok((payloads, at)) }
}

/// The payload of the frame that `bytes` begin with, if they do.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let checksum = u32::from_le_bytes(bytes.get(4..HEAD)?.try_into().ok()?);
    let payload = bytes.get(HEAD..HEAD + length)?;
    let is_whole = (1..=PAYLOAD_MAX).contains(&length) && crc32fast::hash(payload) == checksum;
    is_whole.then_some(payload)
}

/// A new name lasts only when the folder that holds it is synced (fsync(2)).
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: [&[u8]; 4] = [b"first", b"2", b"the third, a little longer", b"4"];

    fn written(folder: &Path) -> (PathBuf, Vec<usize>) {
        let path = folder.join("journal");
        let (mut frames, none) = Frames::open(&path).unwrap();
        assert!(none.is_empty());
        let mut ends = vec![frames.length() as usize];
        for record in RECORDS {
            frames.append(record).unwrap();
            ends.push(frames.length() as usize);
        }
        (path, ends)
    }

    /// Cut at every byte, what was whole is read, and the next record goes where the torn one was.
    #[test]
    fn a_cut_at_any_byte_loses_nothing_that_was_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut frames, payloads) = Frames::open(&path).unwrap();
            let expected = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(payloads, RECORDS[..expected], "cut at {cut}");
            frames.append(b"next").unwrap();
            let (_, payloads) = Frames::open(&path).unwrap();
            assert_eq!(payloads.last().unwrap(), b"next", "cut at {cut}");
            assert_eq!(payloads.len(), expected + 1, "cut at {cut}");
        }
    }

    /// A crash can leave the length of the write without its content.
    #[test]
    fn a_hole_at_the_end_is_a_torn_frame() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for end in ends {
            let mut torn = whole[..end].to_vec();
            torn.resize(end + 100, 0);
            std::fs::write(&path, &torn).unwrap();
            let (frames, _) = Frames::open(&path).unwrap();
            assert_eq!(frames.length() as usize, end);
        }
    }

    #[test]
    fn a_changed_byte_before_the_last_frame_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[ends[0] + HEAD] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = Frames::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { at, .. } if at == ends[0] as u64), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is thrown away");
    }

    #[test]
    fn another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "abide journal 2\n…").unwrap();
        assert!(matches!(Frames::open(&path), Err(OpenError::Foreign { .. })));
    }

    /// A crash can write the end of a frame and not its beginning.
    #[test]
    fn a_last_frame_without_its_head_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[ends[3]..ends[3] + HEAD].fill(0);
        std::fs::write(&path, &bytes).unwrap();
        let (frames, payloads) = Frames::open(&path).unwrap();
        assert_eq!((frames.length() as usize, payloads.len()), (ends[3], 3));
    }

    #[test]
    fn a_draft_that_was_never_put_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = written(folder.path());
        drop(Frames::draft(&path, [&b"all in one"[..]].into_iter()).unwrap());
        let (_, payloads) = Frames::open(&path).unwrap();
        assert_eq!(payloads, RECORDS);
    }

    #[test]
    fn a_draft_takes_the_place_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = written(folder.path());
        let draft = Frames::draft(&path, [&b"all in one"[..]].into_iter()).unwrap();
        draft.put(&path).unwrap().append(b"and more").unwrap();
        let (_, payloads) = Frames::open(&path).unwrap();
        assert_eq!(payloads, [&b"all in one"[..], b"and more"]);
    }
}
