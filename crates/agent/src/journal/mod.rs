//! The journal of a source: every decision about it that must outlive the agent, in the order in which it was made.
//!
//! One file a source, one writer. What was appended is synced before anybody acts on it or is answered. Lines that are
//! written together are one frame of the file, so that they hold together or not at all.
//!
//! ```text
//! Record ─ Line (JSON, with version and time) ─ frame (length, checksum) ─ file        and back: State::apply, in order
//! ```

mod form;
mod frame;
mod record;
mod state;

pub use frame::OpenError;
pub use record::{Accepted, Line, Origin, Record, Refused, VERSION};
pub use state::{State, Suspension, Verdicts};

#[cfg(test)]
mod tests;

use crate::clock::wall_clock_ms;
use frame::{Draft, Frames};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A file shorter than this is not worth rewriting.
const COMPACT_FROM: u64 = 256 << 10;
/// How much of the file must be history before it is rewritten.
const COMPACT_FACTOR: u64 = 4;

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write to the journal {path}; nothing was changed")]
pub struct AppendError {
    /// Which journal.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Why a journal could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not readable.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A record is whole, but not of a form that this release knows.
    #[error("{path}: record {number} is of a form that this release doesn't know; run the release that wrote it")]
    Unknown {
        /// Which journal.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A record has a version that this release doesn't know.
    #[error(
        "{path}: record {number} has version {version}, and this release knows {VERSION}: run the release that wrote it"
    )]
    Later {
        /// Which journal.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
        /// Its version.
        version: u32,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    frames: Frames,
    /// From this length on it is looked whether it can be shortened.
    long_from: u64,
    /// A shorter file may have taken the place of the open one, or not: both add up to the same, and which one a crash
    /// would leave has to be settled before the next record.
    is_adrift: bool,
}

impl Journal {
    /// Opens or creates the journal at `path` and adds it up.
    pub fn open(path: &Path) -> Result<(Self, State), LoadError> {
        let (frames, payloads) = Frames::open(path)?;
        let state = add_up(path, &payloads)?;
        let mut journal = Self { path: path.to_owned(), frames, long_from: COMPACT_FROM, is_adrift: false };
        if journal.is_long() {
            journal.shorten(&state);
        }
        Ok((journal, state))
    }

    /// What the journal at `path` adds up to; nothing is written, and a torn tail is left out.
    pub fn look(path: &Path) -> Result<State, LoadError> {
        add_up(path, &Frames::look(path)?)
    }

    /// Writes records durably, all or none: they are one frame.
    pub fn append(&mut self, records: &[Record]) -> Result<(), AppendError> {
        let written = encode(records).and_then(|lines| {
            self.settle()?;
            self.frames.append(&lines)
        });
        written.map_err(|source| AppendError { path: self.path.clone(), source })
    }

    /// Whether most of it may be history.
    pub fn is_long(&self) -> bool {
        self.frames.length() >= self.long_from
    }

    /// Leaves out what is history only; `state` is what it adds up to. One that can't be shortened is still a journal.
    pub fn shorten(&mut self, state: &State) {
        let draft = || -> io::Result<Option<Draft>> {
            let lines = state.records().into_iter().map(|record| encode(&[record]));
            let lines = lines.collect::<io::Result<Vec<_>>>()?;
            let needed: u64 = lines.iter().map(|line| line.len() as u64).sum();
            let is_worth_it = needed * COMPACT_FACTOR < self.frames.length();
            is_worth_it.then(|| Frames::draft(&self.path, lines.iter().map(Vec::as_slice))).transpose()
        };
        let shortened = draft().and_then(|draft| {
            let Some(draft) = draft else { return Ok(()) };
            self.is_adrift = true;
            self.frames = draft.put(&self.path)?;
            self.is_adrift = false;
            Ok(())
        });
        if let Err(error) = shortened {
            tracing::warn!(path = %self.path.display(), %error, "could not shorten the journal");
        }
        self.long_from = COMPACT_FROM.max(self.frames.length().saturating_mul(2));
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

fn add_up(path: &Path, payloads: &[Vec<u8>]) -> Result<State, LoadError> {
    let mut state = State::default();
    let lines = payloads.iter().flat_map(|payload| payload.split(|byte| *byte == b'\n'));
    for (n, line) in lines.enumerate() {
        let unknown = |source| LoadError::Unknown { path: path.to_owned(), number: n + 1, source };
        let line: Line = serde_json::from_slice(line).map_err(unknown)?;
        if line.v > VERSION {
            return Err(LoadError::Later { path: path.to_owned(), number: n + 1, version: line.v });
        }
        state.apply(line.record);
    }
    Ok(state)
}

fn encode(records: &[Record]) -> io::Result<Vec<u8>> {
    let at = wall_clock_ms();
    let lines = records.iter().map(|record| serde_json::to_vec(&Line { v: VERSION, at, record: record.clone() }));
    Ok(lines.collect::<Result<Vec<_>, _>>()?.join(&b'\n'))
}
