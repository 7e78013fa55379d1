//! Connections: some are kept, and there are never more than a few, as a server has few for all.

use super::{connection::Connection, fault::Cause};
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Connections of a hub process. Those who write wait for each other anyway.
const CONNECTIONS_MAX: usize = 8;
/// How long one of them is waited for: longer than anybody may keep one by waiting for one statement.
const WAITING: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Pool {
    inner: Mutex<Inner>,
    freed: Condvar,
}

#[derive(Default)]
struct Inner {
    kept: Vec<Connection>,
    taken: usize,
}

/// The right to have a connection.
pub(super) struct Place<'p>(&'p Pool);

impl Pool {
    /// Waits for one.
    pub(super) fn place(&self) -> Result<Place<'_>, Cause> {
        let is_full = |inner: &mut Inner| inner.taken >= CONNECTIONS_MAX;
        let waited = self.freed.wait_timeout_while(self.inner(), WAITING, is_full);
        let (mut inner, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(Cause::Taken(CONNECTIONS_MAX));
        }
        inner.taken += 1;
        Ok(Place(self))
    }

    /// Closes those that are kept.
    pub(super) fn clear(&self) {
        self.inner().kept.clear();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// One that was kept.
    pub(super) fn take_kept(&mut self) -> Option<Connection> {
        self.0.inner().kept.pop()
    }

    /// Keeps one for the next.
    pub(super) fn keep(self, connection: Connection) {
        self.0.inner().kept.push(connection);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.inner().taken -= 1;
        self.0.freed.notify_one();
    }
}
