//! Where an image comes from, and who waits for it.

use crate::{
    error::PrepareError,
    manifest::{Chosen, Descriptor},
};
use std::{
    cell::Cell,
    io::{self, Read},
    time::{Duration, Instant},
};

/// A place that has an image: a registry, or files.
pub(crate) trait Origin {
    /// The documents of the image for this machine, all checked.
    fn load(&mut self) -> Result<Loaded, PrepareError>;

    /// The bytes of a layer, unchecked. Errors of reading are [`crate::registry::RegistryError`]s where there is one.
    fn open(&mut self, number: usize, layer: &Descriptor) -> Result<Box<dyn Read + '_>, PrepareError>;

    /// Whether digest and size of a layer as it is stored are known beforehand.
    fn is_announced(&self) -> bool;
}

/// The documents of an image.
pub(crate) struct Loaded {
    pub(crate) chosen: Chosen,
    pub(crate) config: Vec<u8>,
}

/// How far an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as "pulling layer 2 of 5".
    pub what: String,
    /// So many bytes of the image are done.
    pub done: u64,
    /// Of so many, if that is known.
    pub total: Option<u64>,
}

/// Who waits for an image: hears of progress, and may lose interest.
pub(crate) struct Attend<'a> {
    progress: &'a dyn Fn(Progress),
    is_cancelled: &'a dyn Fn() -> bool,
    /// When progress was told last.
    told: Cell<Option<Instant>>,
}

/// Often enough for a person who watches.
const TOLD_EVERY: Duration = Duration::from_millis(100);

impl<'a> Attend<'a> {
    pub(crate) fn new(progress: &'a dyn Fn(Progress), is_cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { progress, is_cancelled, told: Cell::new(None) }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        (self.is_cancelled)()
    }

    /// Tells progress, but not all too often.
    pub(crate) fn tell(&self, progress: impl FnOnce() -> Progress) {
        let now = Instant::now();
        if self.told.get().is_none_or(|told| now.duration_since(told) >= TOLD_EVERY) {
            self.told.set(Some(now));
            (self.progress)(progress());
        }
    }
}

/// Bytes that stop coming when nobody waits for them any more.
pub(crate) struct Watched<'a, R> {
    from: R,
    attend: &'a Attend<'a>,
}

impl<'a, R: Read> Watched<'a, R> {
    pub(crate) fn new(from: R, attend: &'a Attend<'a>) -> Self {
        Self { from, attend }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.attend.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.from.read(buffer)
    }
}
