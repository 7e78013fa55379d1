//! Processes that can't be mistaken for others, and word of their end.

pub use abide_keeper::record::Life;
pub use nix::sys::signal::Signal;

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        wait::{Id, WaitPidFlag, waitid},
    },
};
use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A descriptor of a process; `None` if it isn't there any more (pidfd_open(2)).
pub fn open(life: Life) -> io::Result<Option<OwnedFd>> {
    // SAFETY: takes integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, life.pid, 0) };
    if fd == -1 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ESRCH) { Ok(None) } else { Err(error) };
    }
    // SAFETY: the kernel just made this descriptor for us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // If it is this process now, it is the one that the descriptor is of.
    Ok(life.is_alive().then_some(fd))
}

/// Sends a signal to this very process. Not an error if it is gone.
pub fn kill(life: Life, signal: Signal) -> io::Result<()> {
    let Some(fd) = open(life)? else { return Ok(()) };
    // SAFETY: takes integers and a null pointer, which stands for the usual information.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal as i32, 0, 0) };
    match Errno::result(sent) {
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

type Call = Box<dyn FnOnce() + Send>;

/// Says when processes end, without looking in between. One thread, asleep, for all of them.
#[derive(Clone)]
pub struct Exits {
    inner: Arc<Inner>,
}

struct Inner {
    epoll: Epoll,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    next: u64,
    calls: BTreeMap<u64, (OwnedFd, Call)>,
}

impl Exits {
    /// Starts the thread.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let inner = Arc::new(Inner { epoll, watched: Mutex::default() });
        let waiting = Arc::clone(&inner);
        thread::Builder::new().name("exits".to_owned()).spawn(move || waiting.wait())?;
        Ok(Self { inner })
    }

    /// Calls `call` once when the process has ended, at once if it has. A child of ours is waited for first, so that
    /// nothing is left of it.
    pub fn watch(&self, life: Life, call: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let Some(fd) = open(life)? else {
            reap(Id::Pid(nix::unistd::Pid::from_raw(life.pid)));
            call();
            return Ok(());
        };
        let mut watched = self.inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let number = watched.next;
        watched.next += 1;
        self.inner.epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, number))?;
        watched.calls.insert(number, (fd, Box::new(call)));
        Ok(())
    }
}

impl Inner {
    fn wait(&self) {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => return lost(errno),
            };
            for event in &events[..count] {
                let ended = self.watched.lock().unwrap_or_else(PoisonError::into_inner).calls.remove(&event.data());
                if let Some((fd, call)) = ended {
                    reap(Id::PIDFd(fd.as_fd()));
                    call();
                }
            }
        }
    }
}

/// Only an invalid argument of ours can bring this about.
fn lost(errno: Errno) {
    panic!("waiting for processes: {errno}");
}

/// Not an error if it is somebody else's child.
fn reap(id: Id<'_>) {
    let _ = waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{process::Command, sync::mpsc, time::Duration};

    #[test]
    fn an_end_is_told_once_and_nothing_is_left() {
        let exits = Exits::new().unwrap();
        let (sender, receiver) = mpsc::channel();
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let life = Life::of(child.id() as i32).unwrap();
        for word in ["first", "second"] {
            let sender = sender.clone();
            exits.watch(life, move || sender.send(word).unwrap()).unwrap();
        }
        assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
        kill(life, Signal::SIGKILL).unwrap();
        let mut told: Vec<_> = (0..2).map(|_| receiver.recv().unwrap()).collect();
        told.sort_unstable();
        assert_eq!(told, ["first", "second"]);
        // Reaped: not even a zombie has this number.
        assert!(!std::path::Path::new(&format!("/proc/{}", life.pid)).exists());
        exits.watch(life, move || sender.send("late").unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap(), "late");
        kill(life, Signal::SIGKILL).unwrap();
        assert!(child.wait().is_err(), "it was waited for already");
    }

    #[test]
    fn a_later_process_of_the_same_number_is_not_it() {
        let own = Life::of(std::process::id() as i32).unwrap();
        assert!(open(own).unwrap().is_some());
        assert!(open(Life { start: own.start - 1, ..own }).unwrap().is_none());
    }
}
