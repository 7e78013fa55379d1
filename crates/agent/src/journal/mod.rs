//! The journal of a source: every decision about it that must outlive the agent, in the order in which it was made.
//!
//! One a source, one writer. What was appended is synced before anybody acts on it or is answered. Lines that are written
//! together are one frame, so that they hold together or not at all.
//!
//! ```text
//! Record ─ Line (JSON, with version and time) ─ frame ─ Medium: a file, or elsewhere        and back: State::apply, in order
//! ```

mod form;
mod frame;
mod place;
mod record;
mod state;

pub use frame::OpenError;
pub use place::{InFolders, Journals, Medium, Written};
pub use record::{Accepted, Line, Origin, Record, Refused, VERSION};
pub use state::{State, Suspension, Verdicts, is_same_commit};

#[cfg(test)]
mod tests;

use crate::clock::wall_clock_ms;
use abide_reconcile::SourceId;
use std::io;

/// A journal shorter than this is not worth rewriting.
const COMPACT_FROM: u64 = 256 << 10;
/// How much of it must be history before it is rewritten.
const COMPACT_FACTOR: u64 = 4;

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write to the journal {journal}; nothing was changed")]
pub struct AppendError {
    /// Which journal.
    pub journal: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Why a journal could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not readable.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A record is whole, but not of a form that this release knows.
    #[error("{journal}: record {number} is of a form that this release doesn't know; run the release that wrote it")]
    Unknown {
        /// Which journal.
        journal: String,
        /// Counted from 1.
        number: usize,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A record has a version that this release doesn't know.
    #[error(
        "{journal}: record {number} has version {version}, and this release knows {VERSION}: run the release that wrote it"
    )]
    Later {
        /// Which journal.
        journal: String,
        /// Counted from 1.
        number: usize,
        /// Its version.
        version: u32,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    medium: Box<dyn Medium>,
    /// From this length on it is looked whether it can be shortened.
    long_from: u64,
}

impl Journal {
    /// Opens or creates the journal of a source and adds it up.
    pub fn open(journals: &dyn Journals, id: &SourceId) -> Result<(Self, State), LoadError> {
        let (medium, frames) = journals.open(id)?;
        Self::begin(medium, &frames)
    }

    /// Goes on with what was written so far.
    fn begin(medium: Box<dyn Medium>, frames: &[Vec<u8>]) -> Result<(Self, State), LoadError> {
        let state = add_up(&medium.name(), frames)?;
        let mut journal = Self { medium, long_from: COMPACT_FROM };
        if journal.is_long() {
            journal.shorten(&state);
        }
        Ok((journal, state))
    }

    /// What the journal of a source adds up to; nothing is written.
    pub fn look(journals: &dyn Journals, id: &SourceId) -> Result<State, LoadError> {
        add_up(&format!("of {id}"), &journals.look(id)?)
    }

    /// Writes these lines durably, all or none: they are one frame.
    pub(crate) fn append(&mut self, lines: &Lines) -> Result<(), AppendError> {
        self.medium.append(&lines.0).map_err(|source| AppendError { journal: self.medium.name(), source })
    }

    /// Whether most of it may be history.
    pub fn is_long(&self) -> bool {
        self.medium.bytes() >= self.long_from
    }

    /// Leaves out what is history only; `state` is what it adds up to. One that can't be shortened is still a journal.
    pub fn shorten(&mut self, state: &State) {
        let lines = state.records().into_iter().map(|record| Ok(Lines::of(&[record])?.0));
        let shortened = lines.collect::<io::Result<Vec<_>>>().and_then(|lines| {
            let needed: u64 = lines.iter().map(|line| line.len() as u64).sum();
            let is_worth_it = needed * COMPACT_FACTOR < self.medium.bytes();
            if is_worth_it { self.medium.rewrite(&lines) } else { Ok(()) }
        });
        if let Err(error) = shortened {
            tracing::warn!(journal = self.medium.name(), %error, "could not shorten the journal");
        }
        self.long_from = COMPACT_FROM.max(self.medium.bytes().saturating_mul(2));
    }
}

fn add_up(journal: &str, frames: &[Vec<u8>]) -> Result<State, LoadError> {
    let mut state = State::default();
    let lines = frames.iter().flat_map(|frame| frame.split(|byte| *byte == b'\n'));
    for (n, line) in lines.enumerate() {
        let unknown = |source| LoadError::Unknown { journal: journal.to_owned(), number: n + 1, source };
        let line: Line = serde_json::from_slice(line).map_err(unknown)?;
        if line.v > VERSION {
            return Err(LoadError::Later { journal: journal.to_owned(), number: n + 1, version: line.v });
        }
        state.apply(line.record);
    }
    Ok(state)
}

/// Records as they are written, as of now.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    pub(crate) fn of(records: &[Record]) -> serde_json::Result<Self> {
        let at = wall_clock_ms();
        let lines = records.iter().map(|record| serde_json::to_vec(&Line { v: VERSION, at, record: record.clone() }));
        Ok(Self(lines.collect::<Result<Vec<_>, _>>()?.join(&b'\n')))
    }

    /// What is written together.
    pub(crate) fn join<'a>(several: impl Iterator<Item = &'a Self>) -> Self {
        let some = several.map(|lines| &lines.0[..]).filter(|lines| !lines.is_empty());
        Self(some.collect::<Vec<_>>().join(&b'\n'))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }
}
