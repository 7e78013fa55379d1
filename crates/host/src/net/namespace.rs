//! Network namespaces: doing something in one, without this thread leaving its own.

use nix::sched::{CloneFlags, setns, unshare};
use std::{os::fd::BorrowedFd, panic, thread};

/// Runs `act` in a network namespace, given by an open `/proc/PID/ns/net`, in a thread of its own that ends with it
/// (setns(2) changes the calling thread alone). Sockets opened meanwhile stay in that namespace.
pub fn within<T: Send>(namespace: BorrowedFd<'_>, act: impl FnOnce() -> T + Send) -> nix::Result<T> {
    let run = || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        Ok(act())
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// Runs `act` in a new network namespace, of which nothing is left afterwards.
pub fn fresh<T: Send>(act: impl FnOnce() -> T + Send) -> nix::Result<T> {
    let run = || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(act())
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| panic::resume_unwind(panic))
}
