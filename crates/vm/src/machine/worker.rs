//! The thread of a device whose work waits for something slow: the guest, its other devices and its console go on meanwhile.

use super::{End, bus::Bus, event, virtio::Slot};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
    sync::Arc,
    thread::{self, JoinHandle},
};
use vmm_sys_util::eventfd::EventFd;

const STACK: usize = 128 << 10;

pub(crate) struct Worker {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn start(slot: Arc<Slot>, name: String, bus: Arc<Bus>) -> io::Result<Self> {
        let stop = Arc::new(event("the end of a device's thread").map_err(io::Error::other)?);
        let told = Arc::clone(&stop);
        let body = move || {
            if let Err(errno) = work(&slot, &told) {
                bus.end.set(End::Failure(format!("a device's thread cannot wait: {errno}")));
            }
        };
        let thread = thread::Builder::new().name(name).stack_size(STACK).spawn(body)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn work(slot: &Slot, stop: &EventFd) -> nix::Result<()> {
    loop {
        let watched = slot.watched();
        // SAFETY: the descriptor is the event's, which outlives the call.
        let stop = unsafe { BorrowedFd::borrow_raw(stop.as_raw_fd()) };
        let mut fds: Vec<_> = watched.iter().map(|(fd, _)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(stop, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(errno) => return Err(errno),
        }
        let is_up = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        if fds.last().is_some_and(is_up) {
            return Ok(());
        }
        watched.iter().zip(&fds).filter(|(_, fd)| is_up(fd)).for_each(|((_, source), _)| slot.handle(*source));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It fails only if four billion were written.
        drop(self.stop.write(1));
        // What is under way is finished. A thread that panicked said so.
        self.thread.take().map(JoinHandle::join);
    }
}
