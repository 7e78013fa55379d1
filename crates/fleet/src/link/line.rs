//! The line to the hub: the client that shows who the machine is now, and what is known of the last contact.

use super::client::Client;
use abide_agent::api;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    client: Mutex<Arc<Client>>,
    contact: Arc<Contact>,
}

/// What people want to know of it. Zero is never.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// By the machine's clock: milliseconds since 1970.
    heard_at: AtomicI64,
    /// When the commit of the target was made: seconds since 1970.
    committed_at: AtomicI64,
}

impl Line {
    pub(super) fn new(client: Client, contact: Arc<Contact>) -> Self {
        Self { client: Mutex::new(Arc::new(client)), contact }
    }

    /// Whom to ask by.
    pub(super) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The machine shows another certificate. What is under way ends as it began.
    pub(super) fn show(&self, client: Client) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(client);
    }

    pub(super) fn contact(&self) -> &Contact {
        &self.contact
    }
}

impl Contact {
    /// The hub was heard.
    pub(super) fn heard(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.heard_at.store(i64::try_from(now.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Of when the target is.
    pub(super) fn committed(&self, at: i64) {
        self.committed_at.store(at, Ordering::Relaxed);
    }

    /// As it is shown.
    pub(super) fn shown(&self) -> api::Contact {
        let positive = |value: &AtomicI64| u64::try_from(value.load(Ordering::Relaxed)).ok().filter(|value| *value > 0);
        api::Contact { heard_at: positive(&self.heard_at), committed_at: positive(&self.committed_at) }
    }
}
