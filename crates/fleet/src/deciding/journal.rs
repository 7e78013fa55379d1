//! The journal of the fleet's source, in the store: what was decided goes over to whichever hub leads next.

use crate::store::{Store, StoreError, Term};
use abide_agent::journal::{Journals, Medium, OpenError, Written};
use abide_reconcile::SourceId;
use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

/// The journals of one term of leading. A later term's leader makes all writes fail.
pub(super) struct InStore {
    store: Arc<dyn Store>,
    term: Term,
    id: SourceId,
    /// As they were when the term began. The agent opens its journals where it must not block.
    loaded: Mutex<Option<Vec<Vec<u8>>>>,
    is_empty: bool,
}

impl InStore {
    /// Reads what earlier terms wrote, once it is called. That blocks. Without it nothing can be decided: who fails leads in
    /// vain.
    pub(super) fn load(
        store: Arc<dyn Store>,
        term: Term,
        id: SourceId,
    ) -> impl FnOnce() -> Result<Self, StoreError> + Send + 'static {
        move || {
            let loaded = store.journal(&id.to_string())?;
            let is_empty = loaded.is_empty();
            Ok(Self { store, term, id, loaded: Mutex::new(Some(loaded)), is_empty })
        }
    }

    fn frames(&self, id: &SourceId) -> Result<Vec<Vec<u8>>, OpenError> {
        let failed = |source| OpenError::Elsewhere { id: id.clone(), source };
        if *id != self.id {
            return Err(failed(format!("a hub follows {} and nothing else", self.id).into()));
        }
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).take();
        loaded.map_or_else(|| self.store.journal(&id.to_string()).map_err(|error| failed(error.into())), Ok)
    }
}

impl Journals for InStore {
    fn ids(&self) -> io::Result<Vec<SourceId>> {
        Ok(if self.is_empty { Vec::new() } else { vec![self.id.clone()] })
    }

    fn open(&self, id: &SourceId) -> Result<Written, OpenError> {
        let frames = self.frames(id)?;
        let (store, term, bytes) = (Arc::clone(&self.store), self.term.clone(), bytes(&frames));
        Ok((Box::new(Frames { store, term, source: id.to_string(), bytes }), frames))
    }

    fn look(&self, id: &SourceId) -> Result<Vec<Vec<u8>>, OpenError> {
        self.frames(id)
    }
}

struct Frames {
    store: Arc<dyn Store>,
    term: Term,
    source: String,
    bytes: u64,
}

impl Medium for Frames {
    fn name(&self) -> String {
        format!("of {} in the hub's database", self.source)
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.store.append(&self.term, &self.source, frame).map_err(io::Error::other)?;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    fn rewrite(&mut self, frames: &[Vec<u8>]) -> io::Result<()> {
        self.store.rewrite(&self.term, &self.source, frames).map_err(io::Error::other)?;
        self.bytes = bytes(frames);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frames({}, {} bytes)", self.source, self.bytes)
    }
}

fn bytes(frames: &[Vec<u8>]) -> u64 {
    frames.iter().map(|frame| frame.len() as u64).sum()
}
