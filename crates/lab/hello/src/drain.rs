//! Who is connected, and the wait for them to go.
//!
//! Traffic has moved elsewhere by the time of SIGTERM, but what was underway still arrives: so connections are accepted to
//! the end, each is answered once more and told to close, and the end is when nobody is left for a moment.

use std::{
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long nobody must have come.
const QUIET: Duration = Duration::from_millis(50);
/// Connections that don't say anything are left behind after it.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Drain {
    is_draining: AtomicBool,
    connections: Mutex<usize>,
    changed: Condvar,
}

/// A connection that is open.
pub(crate) struct Open {
    drain: Arc<Drain>,
    stream: Option<TcpStream>,
}

impl Drain {
    pub(crate) fn open(self: &Arc<Self>, stream: &TcpStream) -> Open {
        *self.lock() += 1;
        self.changed.notify_all();
        Open { drain: Arc::clone(self), stream: stream.try_clone().ok() }
    }

    /// Returns when nobody is left.
    pub(crate) fn wait(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        let end = Instant::now() + PATIENCE;
        let mut connections = self.lock();
        loop {
            let (now, is_idle) = (Instant::now(), *connections == 0);
            if now >= end {
                return;
            }
            let patience = if is_idle { QUIET } else { end - now };
            let waited = self.changed.wait_timeout(connections, patience).unwrap_or_else(PoisonError::into_inner);
            connections = waited.0;
            if is_idle && waited.1.timed_out() && *connections == 0 {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The next answer is to be the last.
    pub(crate) fn is_last(&self) -> bool {
        self.drain.is_draining.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Whoever has gone is told nothing.
        let _ = self.stream.take().map(|stream| stream.shutdown(Shutdown::Both));
        *self.drain.lock() -= 1;
        self.drain.changed.notify_all();
    }
}
