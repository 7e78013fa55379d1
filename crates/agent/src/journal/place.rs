//! Where journals are: a file in each source's folder, or wherever else decisions are to outlive this machine.

use super::frame::{Frames, OpenError};
use abide_reconcile::SourceId;
use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The file's name in a source's folder.
const JOURNAL: &str = "journal";

/// A journal to go on with, and the frames that it has, the oldest first.
pub type Written = (Box<dyn Medium>, Vec<Vec<u8>>);

/// Where the journals of all sources are. All of it may block.
pub trait Journals: Send + Sync {
    /// The sources that have one, or may.
    fn ids(&self) -> io::Result<Vec<SourceId>>;

    /// Opens the one of a source, or makes it, durably. There is one writer.
    fn open(&self, id: &SourceId) -> Result<Written, OpenError>;

    /// The frames of the one of a source, as far as there are any. Nothing is written.
    fn look(&self, id: &SourceId) -> Result<Vec<Vec<u8>>, OpenError>;
}

/// What one journal's frames are written to.
pub trait Medium: fmt::Debug + Send {
    /// What people know it by, as a path.
    fn name(&self) -> String;

    /// Writes a frame behind all others, durably.
    fn append(&mut self, frame: &[u8]) -> io::Result<()>;

    /// Puts these frames in the place of all, durably. They add up to the same, so that after an error either may be there.
    fn rewrite(&mut self, frames: &[Vec<u8>]) -> io::Result<()>;

    /// How many bytes there are.
    fn bytes(&self) -> u64;
}

/// A folder for each source, with its journal in it.
#[derive(Clone, Debug)]
pub struct InFolders(PathBuf);

impl InFolders {
    /// `sources` need not exist.
    pub fn new(sources: PathBuf) -> Self {
        Self(sources)
    }

    fn path(&self, id: &SourceId) -> PathBuf {
        self.0.join(id.to_string()).join(JOURNAL)
    }
}

impl Journals for InFolders {
    fn ids(&self) -> io::Result<Vec<SourceId>> {
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.0.display()));
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse().ok()).map(SourceId));
        }
        Ok(ids)
    }

    fn open(&self, id: &SourceId) -> Result<Written, OpenError> {
        let path = self.path(id);
        make_folder(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        let (journal, frames) = InFile::open(&path)?;
        Ok((Box::new(journal), frames))
    }

    fn look(&self, id: &SourceId) -> Result<Vec<Vec<u8>>, OpenError> {
        Frames::look(&self.path(id))
    }
}

/// The folder of a file that is to be there after a crash.
fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|_| !path.exists()) else { return Ok(()) };
    let sync = |folder: &Path| folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all());
    fs::create_dir_all(folder)?;
    sync(folder)?;
    // The folder of all sources itself may be new, too.
    folder.parent().map_or(Ok(()), sync)
}

/// A journal that is a file.
#[derive(Debug)]
pub(super) struct InFile {
    path: PathBuf,
    frames: Frames,
    /// A shorter file may have taken the place of the open one, or not: both add up to the same, and which one a crash
    /// would leave has to be settled before the next record.
    is_adrift: bool,
}

impl InFile {
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Vec<u8>>), OpenError> {
        let (frames, payloads) = Frames::open(path)?;
        Ok((Self { path: path.to_owned(), frames, is_adrift: false }, payloads))
    }

    /// Goes on with the file that is at the journal's path, durably.
    fn settle(&mut self) -> io::Result<()> {
        if self.is_adrift {
            self.frames = Frames::take_up(&self.path)?;
            self.is_adrift = false;
        }
        Ok(())
    }
}

impl Medium for InFile {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.settle()?;
        self.frames.append(frame)
    }

    fn rewrite(&mut self, frames: &[Vec<u8>]) -> io::Result<()> {
        let draft = Frames::draft(&self.path, frames.iter().map(Vec::as_slice))?;
        self.is_adrift = true;
        self.frames = draft.put(&self.path)?;
        self.is_adrift = false;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.frames.length()
    }
}
