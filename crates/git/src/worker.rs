//! The parent's side of a child: it is started confined, heard, and killed when it is late or nobody waits any more.

use crate::child::{Answer, Job};
use abide_host::child::{Limits, Rights, confined};
use abide_reconcile::Attend;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::Path,
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

/// More than an answer has.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// How soon a lost interest is noticed.
const GLANCE: Duration = Duration::from_millis(100);

/// A child's own deadline is sharper and says where it was; this much later it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error("starting a process to read it: {0}")]
    Spawn(#[source] io::Error),
    #[error("it took longer than {} s and was given up", .0.as_secs_f32())]
    Deadline(Duration),
    #[error("the process that reads it died ({0})")]
    Died(String),
    #[error("cancelled")]
    Cancelled,
}

/// A child at work. Dropping it kills it.
pub(crate) struct Worker {
    child: Child,
    deadline: Duration,
    end: Instant,
}

/// What a child needs beside its job.
pub(crate) struct Means<'a> {
    /// The program that has the hidden command.
    pub(crate) program: &'a Path,
    pub(crate) rights: Rights,
    /// Bytes that it may store.
    pub(crate) bytes_max: u64,
    pub(crate) deadline: Duration,
}

impl Worker {
    /// Starts a child. `stdin` is either what it reads first, or another child's output.
    pub(crate) fn start(job: &Job, means: &Means<'_>, stdin: Input<'_>) -> Result<Self, WorkError> {
        const MIB: u64 = 1 << 20;
        let limits = Limits {
            memory_bytes: 2048 * MIB + 2 * means.bytes_max,
            // What a thin pack leaves out is added to it; and the bound itself has a better text.
            file_bytes: 2 * means.bytes_max + 16 * MIB,
            files: 1024,
            cpu_seconds: 120,
        };
        let job = serde_json::to_string(job).map_err(|error| WorkError::Spawn(error.into()))?;
        let mut command = confined(means.program, means.rights, limits);
        command.arg("fetch").arg(job).current_dir("/").stdout(Stdio::piped());
        let bytes = match stdin {
            Input::Bytes(bytes) => {
                command.stdin(Stdio::piped());
                bytes
            }
            Input::From(output) => {
                command.stdin(output);
                &[]
            }
        };
        let child = command.spawn().map_err(WorkError::Spawn)?;
        let mut worker = Self { child, deadline: means.deadline, end: Instant::now() + means.deadline + GRACE };
        if let Some(mut stdin) = worker.child.stdin.take() {
            // One that dies at once says so by its status.
            drop(stdin.write_all(bytes));
        }
        Ok(worker)
    }

    /// Waits for the answer.
    pub(crate) fn answer(&mut self, attend: &dyn Attend) -> Result<Answer, WorkError> {
        let mut line = Vec::new();
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WorkError::Deadline(self.deadline));
            }
            if attend.is_cancelled() {
                return Err(WorkError::Cancelled);
            }
            let Some(stdout) = &mut self.child.stdout else { return Err(self.died()) };
            if !is_readable(stdout, left.min(GLANCE)).map_err(WorkError::Spawn)? {
                continue;
            }
            // A byte at a time: what follows the line may be another's.
            let mut byte = [0];
            let read = stdout.read(&mut byte).map_err(WorkError::Spawn)?;
            if read == 0 || line.len() > ANSWER_BYTES_MAX {
                return Err(self.died());
            }
            if byte == *b"\n" {
                return serde_json::from_slice(&line).map_err(|error| WorkError::Died(error.to_string()));
            }
            line.push(byte[0]);
        }
    }

    /// What the child says after its answer, for another to read.
    pub(crate) fn rest(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Why a child that closed its output did so.
    fn died(&mut self) -> WorkError {
        // One that lives on is broken; one that is dying keeps the status that it dies of.
        drop(self.child.kill());
        WorkError::Died(match self.child.wait() {
            Ok(status) if status.signal() == Some(nix::libc::SIGXCPU) => "it used too much processor time".to_owned(),
            Ok(status) if status.signal() == Some(nix::libc::SIGXFSZ) => "it stored too much".to_owned(),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        })
    }
}

/// What a child reads.
pub(crate) enum Input<'a> {
    /// These bytes; few enough for a pipe, or the child reads them first.
    Bytes(&'a [u8]),
    /// What another child says.
    From(ChildStdout),
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn is_readable(stdout: &ChildStdout, within: Duration) -> io::Result<bool> {
    let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
