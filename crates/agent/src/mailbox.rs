//! What a source that runs by itself says, on its way to the agent: the newest is what counts.

use abide_reconcile::{Attend, Fault, Revision};
use std::sync::{Condvar, Mutex, PoisonError};

/// Holds what was said last until it is taken.
#[derive(Debug, Default)]
pub struct Mailbox {
    newest: Mutex<Option<Result<Revision, Fault>>>,
    bell: Condvar,
}

impl Mailbox {
    /// Puts something in, in the place of what nobody took.
    pub fn put(&self, said: Result<Revision, Fault>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        // A fault says nothing about what is wished: it must not hide a wish that nobody heard.
        if said.is_ok() || !matches!(*newest, Some(Ok(_))) {
            *newest = Some(said);
        }
        self.bell.notify_all();
    }

    /// Has who waits ask whether anybody still wants to know.
    pub fn ring(&self) {
        let _held = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        self.bell.notify_all();
    }

    /// What was said last, as soon as there is something: [`abide_reconcile::Source::next`] of such a source.
    pub fn take(&self, attend: &dyn Attend) -> Result<Revision, Fault> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if attend.is_cancelled() {
                return Err(Fault::Cancelled);
            }
            if let Some(said) = newest.take() {
                return said;
            }
            newest = self.bell.wait(newest).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
