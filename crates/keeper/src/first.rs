//! The first process of an instance, from its clone to the program.

use crate::{
    identity::execute_as,
    job::Job,
    message::{Doing, Failure},
    root, sys,
    wire::encode,
};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process,
};

/// What a process ends with that does not become the program. Nobody looks at it: the failure is reported in words.
pub(crate) const FAILED: i32 = 125;

/// Sets itself up as the job says and, when told to go on, becomes the program, with these descriptors. What fails is
/// written to `report`, which otherwise closes as the program is executed.
pub(crate) fn become_program(job: &Job, descriptors: &[BorrowedFd<'_>], go: &OwnedFd, report: &OwnedFd) -> ! {
    let Ok(report) = sys::move_up(report.as_fd()) else { process::exit(FAILED) };
    let failure = match set_up(job, descriptors, go) {
        Ok(()) => execute_as(&job.identity, &job.program, descriptors.len()),
        Err(failure) => failure,
    };
    // Nobody is left to tell if this fails.
    drop(File::from(report).write_all(&encode(&failure)));
    process::exit(FAILED);
}

fn set_up(job: &Job, descriptors: &[BorrowedFd<'_>], go: &OwnedFd) -> Result<(), Failure> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as _).doing(|| "be killed with the keeper".to_owned())?;
    sys::set_session().doing(|| "start a session".to_owned())?;
    sys::reset_signals();
    let go = sys::move_up(go.as_fd()).doing(|| "set the descriptors".to_owned())?;
    sys::set_descriptors(descriptors).doing(|| "set the descriptors".to_owned())?;
    join(&job.cgroups.0)?;
    let late = job.namespaces & libc::CLONE_NEWCGROUP as u64;
    if late != 0 {
        // Its root is the group that one is in.
        sys::unshare(late).doing(|| "make the cgroup namespace".to_owned())?;
    }
    // Lowering it needs a privilege that we may lack, and it is a wish, not a promise.
    drop(fs::write("/proc/self/oom_score_adj", job.oom_score_adj.to_string()));
    sys::limit_open_files(job.open_files.soft, job.open_files.hard).doing(|| "limit open files".to_owned())?;
    if !job.hostname.is_empty() {
        sys::set_hostname(&job.hostname).doing(|| "set the host name".to_owned())?;
    }
    root::set_kernel(&job.sysctls.0)?;
    if let Some(root) = &job.root {
        root::enter(root)?;
    }
    wait(go)
}

/// Joins control groups.
pub(crate) fn join(cgroups: &[String]) -> Result<(), Failure> {
    cgroups.iter().try_for_each(|path| fs::write(path, "0").doing(|| format!("join the control group by {path}")))
}

/// Waits for the keeper's word. If the keeper is gone there is nobody to report to either.
fn wait(go: OwnedFd) -> Result<(), Failure> {
    let mut word = [0];
    let read = File::from(go).read(&mut word).doing(|| "wait for the keeper".to_owned())?;
    if read == 0 {
        process::exit(FAILED);
    }
    Ok(())
}

/// The standard streams of a program: nothing to read, and the keeper's pipes, which are the program's own to open anew.
pub(crate) fn give_streams(pipes: [BorrowedFd<'_>; 2], uid: u32, gid: u32) -> Result<File, Failure> {
    let doing = || "make the standard streams".to_owned();
    for pipe in pipes {
        sys::change_owner(pipe.as_fd(), uid, gid).doing(doing)?;
    }
    sys::null().doing(doing)
}
