//! Child processes that handle what others send: cut off from our session and environment, limited, and gone when we are.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

/// Whose rights a child has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Ours.
    Own,
    /// Another user's, without supplementary groups. Only root can give them.
    Of {
        /// The user's id.
        uid: u32,
        /// The group's id.
        gid: u32,
    },
}

/// What a child may use (setrlimit(2)). A limit above our own hard limit is cut to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space.
    pub memory_bytes: u64,
    /// Bytes of a file it writes.
    pub file_bytes: u64,
    /// Open files.
    pub files: u64,
    /// Seconds of processor time.
    pub cpu_seconds: u64,
}

/// A command that starts `program` confined: a session of its own, an empty environment, no new privileges, `limits`, no
/// core dump; killed when the *thread* that spawned it ends, so spawn from a thread that waits for it.
/// Its standard streams are closed to it unless the caller says otherwise.
pub fn confined(program: &Path, rights: Rights, limits: Limits) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Rights::Of { uid, gid } = rights {
        // The standard library drops the supplementary groups along with the user.
        command.gid(gid).uid(uid);
    }
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec the closure only makes system calls (setsid, prctl, getppid, getrlimit, setrlimit),
    // all async-signal-safe; it allocates nothing (errors are made of codes) and touches no memory shared with another
    // thread. It runs after the change of user, which would clear the death signal.
    unsafe { command.pre_exec(move || confine(parent, limits)) };
    command
}

fn confine(parent: nix::unistd::Pid, limits: Limits) -> io::Result<()> {
    use nix::sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
    };
    nix::unistd::setsid()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    prctl::set_no_new_privs()?;
    for (resource, limit) in [
        (Resource::RLIMIT_AS, limits.memory_bytes),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_NOFILE, limits.files),
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
        (Resource::RLIMIT_CORE, 0),
    ] {
        let (_, hard) = getrlimit(resource)?;
        let limit = limit.min(hard);
        setrlimit(resource, limit, limit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { memory_bytes: 1 << 30, file_bytes: 1 << 20, files: 32, cpu_seconds: 9 };

    fn output(rights: Rights, script: &str) -> String {
        let mut command = confined(Path::new("/bin/sh"), rights, LIMITS);
        let output = command.args(["-c", script]).stdout(Stdio::piped()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn it_is_limited() {
        let script = "ulimit -n; ulimit -t; ulimit -c; sed -n 's/NoNewPrivs:.//p' /proc/self/status; echo ${HOME-none}";
        assert_eq!(output(Rights::Own, script), "32\n9\n0\n1\nnone\n");
    }

    #[test]
    fn it_has_the_rights_of_another() {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        let script = "id -u; id -g; id -G";
        assert_eq!(output(Rights::Of { uid: 65534, gid: 65533 }, script), "65534\n65533\n65533\n");
    }
}
