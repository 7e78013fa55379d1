//! How a group ends.

use super::{Error, Group, read, write};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout},
    sys::signal::Signal,
    unistd::Pid,
};
use std::{
    fs, io,
    os::fd::{AsFd as _, FromRawFd as _, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

/// How long the processes of a group may take to disappear once they are killed.
const END_MAX: Duration = Duration::from_secs(5);
/// The kernel lets go of a group a moment after it tells that the last process has ended.
const LINGER: Duration = Duration::from_millis(2);

impl Group {
    /// Kills every process in the group. Idempotent.
    pub fn kill(&self) -> Result<(), Error> {
        if let Some(file) = self.v2.as_ref().map(|folder| folder.join("cgroup.kill")).filter(|file| file.exists()) {
            return write(&file, "1");
        }
        // One after the other is enough: they are in the pid namespace of the first, with which they all go.
        self.folders().into_iter().flat_map(members).for_each(|pid| {
            // It may have ended meanwhile.
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        });
        Ok(())
    }

    /// Whether any process is in it.
    pub fn is_populated(&self) -> bool {
        self.folders().into_iter().any(|folder| !members(folder).is_empty())
    }

    /// Removes the group, and groups below it. Waits for processes that are ending; idempotent.
    pub fn remove(&self) -> Result<(), Error> {
        self.folders().into_iter().try_for_each(|folder| remove(folder, Instant::now() + END_MAX))
    }
}

/// The names of the groups in a group; none if it isn't there.
pub(super) fn groups_in(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::File { act: "list".to_owned(), path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

fn remove(folder: &Path, deadline: Instant) -> Result<(), Error> {
    for name in groups_in(folder)? {
        remove(&folder.join(name), deadline)?;
    }
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::ResourceBusy => {
                return Err(Error::File { act: "remove".to_owned(), path: folder.to_owned(), source: error });
            }
            Err(_) if Instant::now() >= deadline => {
                return Err(Error::Busy { path: folder.to_owned(), waited: END_MAX });
            }
            Err(_) => wait_for_an_end(folder, deadline),
        }
    }
}

/// Waits until a process of the group ends, or a moment if none is left.
fn wait_for_an_end(folder: &Path, deadline: Instant) {
    let process = members(folder).into_iter().find_map(pidfd);
    let mut fds: Vec<_> = process.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = if fds.is_empty() { LINGER } else { left };
    // Whatever the reason why it returns, the group is looked at again.
    let _ = nix::poll::poll(&mut fds, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::ZERO));
}

fn members(folder: &Path) -> Vec<Pid> {
    let text = read(&folder.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process that our pid namespace doesn't have; as a target it would mean ourselves.
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).map(Pid::from_raw).collect()
}

fn pidfd(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: the call takes two numbers and touches no memory of ours.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) }).ok()?;
    // SAFETY: the kernel has just made this descriptor (close-on-exec), and nobody else knows it.
    Some(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).ok()?) })
}
