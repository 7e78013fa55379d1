//! A further program in an instance: two processes on the way, as one that changes its process namespace can only send
//! its children there.
//!
//! ```text
//! keeper ──clone──► guide: joins the control groups and namespaces
//!    └─────────────── clone, as a child of the keeper ──► the program
//! ```

use crate::{
    first::{FAILED, join},
    identity::execute_as,
    job::{Job, Program},
    message::{Doing, Exec, Failure, Reply, Window},
    sys::{
        self,
        mount::{self, Links},
        socket,
    },
    wire::{Malformed, Wire, encode},
};
use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process,
};

const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWCGROUP;

/// The magic number of devpts (statfs(2)).
const TERMINALS: u64 = 0x1cd1;

/// What the processes on the way tell the keeper.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The process id of what becomes the program.
    Pid(i32),
    /// It didn't become it.
    Failed(Failure),
}

/// What the program reads and writes.
pub(crate) enum Streams {
    /// These.
    Given([OwnedFd; 3]),
    /// A terminal in the instance; its master is sent to this client.
    Terminal(Window, OwnedFd),
}

/// Starts the program in the instance of `first`. What becomes of it is read from the descriptor returned, which ends when
/// the program is executed. Returns in the keeper alone.
pub(crate) fn start(job: &Job, first: BorrowedFd<'_>, exec: &Exec, streams: &Streams) -> Result<OwnedFd, Failure> {
    let doing = || "start another process".to_owned();
    let (notes, report) = sys::pipe().doing(doing)?;
    sys::set_nonblocking(notes.as_fd()).doing(doing)?;
    if sys::clone(0).doing(doing)?.is_some() {
        return Ok(notes);
    }
    let note = match guide(job, first, streams) {
        Ok(None) => Note::Failed(execute(job, exec)),
        Ok(Some(pid)) => Note::Pid(pid),
        Err(failure) => Note::Failed(failure),
    };
    // At most a page, so written at once or not at all; nobody is left to tell if it isn't.
    drop(File::from(report).write_all(&encode(&note)));
    process::exit(FAILED);
}

/// Goes into the instance and splits; `None` in the child.
fn guide(job: &Job, first: BorrowedFd<'_>, streams: &Streams) -> Result<Option<i32>, Failure> {
    join(&job.cgroups.0)?;
    let namespaces = job.namespaces & NAMESPACES as u64;
    sys::enter_namespaces(first, namespaces).doing(|| "enter the instance".to_owned())?;
    let terminal = match streams {
        Streams::Given(_) => None,
        Streams::Terminal(window, client) => Some(open_terminal(*window, client.as_fd(), job)?),
    };
    let pid = sys::clone(libc::CLONE_PARENT as u64).doing(|| "start a process in the instance".to_owned())?;
    if pid.is_some() {
        return Ok(pid);
    }
    // The keeper is the parent of both.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as _).doing(|| "be killed with the keeper".to_owned())?;
    sys::set_session().doing(|| "start a session".to_owned())?;
    sys::reset_signals();
    let doing = || "set the standard streams".to_owned();
    match (streams, &terminal) {
        (Streams::Given([input, output, error]), _) => {
            sys::set_descriptors(&[input.as_fd(), output.as_fd(), error.as_fd()]).doing(doing)?;
        }
        (Streams::Terminal(..), Some(terminal)) => {
            sys::set_descriptors(&[terminal.as_fd(); 3]).doing(doing)?;
            sys::set_terminal(terminal.as_fd()).doing(doing)?;
        }
        (Streams::Terminal(..), None) => return Err(Failure { doing: doing(), errno: libc::ENOTTY }),
    }
    sys::limit_open_files(job.open_files.soft, job.open_files.hard).doing(|| "limit open files".to_owned())?;
    Ok(None)
}

/// A terminal of the instance's own, so that its path means something there. The other end is opened without a path.
fn open_terminal(window: Window, client: BorrowedFd<'_>, job: &Job) -> Result<OwnedFd, Failure> {
    let doing = || "open a terminal in the instance".to_owned();
    let root = File::open("/").doing(doing)?;
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let master = mount::open_beneath(root.as_fd(), "dev/pts/ptmx", flags, Links::None).doing(doing)?;
    if mount::file_system(master.as_fd()).doing(doing)? != TERMINALS {
        return Err(Failure { doing: doing(), errno: libc::EPERM });
    }
    let peer = sys::open_peer(master.as_fd()).doing(doing)?;
    sys::set_window(master.as_fd(), window.rows as u16, window.columns as u16).doing(doing)?;
    sys::change_owner(peer.as_fd(), job.identity.uid, job.identity.gid).doing(doing)?;
    socket::send(client, &encode(&Reply::Here), Some(master.as_fd())).doing(doing)?;
    Ok(peer)
}

/// Becomes the program, with what the first one has where nothing else is said.
fn execute(job: &Job, exec: &Exec) -> Failure {
    let mut program: Program = exec.program.clone();
    if program.env.0.is_empty() {
        program.env = job.program.env.clone();
    }
    if exec.terminal.is_some() && !program.env.0.iter().any(|entry| entry.starts_with(b"TERM=")) {
        program.env.0.push(b"TERM=xterm".to_vec());
    }
    if program.working_dir.is_empty() {
        program.working_dir.clone_from(&job.program.working_dir);
    }
    execute_as(&job.identity, &program, 3)
}

impl Wire for Note {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Pid(pid) => {
                to.push(0);
                pid.put(to);
            }
            Self::Failed(failure) => {
                to.push(1);
                failure.put(to);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Wire::take(from).map(Self::Pid),
            1 => Wire::take(from).map(Self::Failed),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_told_apart_one_after_the_other() {
        let failure = Failure { doing: "x".to_owned(), errno: 2 };
        let bytes = [encode(&Note::Failed(failure.clone())), encode(&Note::Pid(7))].concat();
        let mut rest = &bytes[..];
        assert_eq!(Note::take(&mut rest), Ok(Note::Failed(failure)));
        assert_eq!(Note::take(&mut rest), Ok(Note::Pid(7)));
        assert_eq!(Note::take(&mut rest), Err(Malformed));
    }
}
