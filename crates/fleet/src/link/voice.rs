//! What the link says to the agent: what was taken, and that the hub can't be asked.

use abide_agent::Mailbox;
use abide_reconcile::{Fault, Revision};
use std::sync::{Arc, Mutex, PoisonError};

/// The way to the agent, and what was said there last.
#[derive(Debug, Default)]
pub(super) struct Voice {
    pub(super) mailbox: Arc<Mailbox>,
    last: Mutex<Option<Revision>>,
}

impl Voice {
    /// A target was taken, or refused.
    pub(super) fn say(&self, revision: Revision) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(revision.clone());
        self.mailbox.put(Ok(revision));
    }

    /// Nothing can be known at the moment. What runs, runs on.
    pub(super) fn lost(&self, why: String) {
        self.mailbox.put(Err(Fault::Again(why.into())));
    }

    /// It can again: what was said last still holds, and saying it ends the trouble.
    pub(super) fn found(&self) {
        match self.last.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(last) => self.mailbox.put(Ok(last)),
            None => {
                self.lost("the hub was reached, and has not said yet which commit this machine is to be on".to_owned());
            }
        }
    }
}
