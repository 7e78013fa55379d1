//! Starting a keeper and, through it, an instance.

use abide_keeper::{
    job::Job,
    message::{Failure, GO, Making, framed, read_framed},
    wire::MESSAGE_BYTES_MAX,
};
use nix::sys::{
    memfd::{MFdFlags, memfd_create},
    socket::{ControlMessage, MsgFlags, sendmsg},
};
use std::{
    fs::{self, File},
    io::{self, IoSlice, Write as _},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/abide-keeper"));

/// Mounts and namespaces take milliseconds; a file system that hangs must not hold up the agent for good.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the program comes from that is executed as keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A small one out of this binary.
    Embedded,
    /// This binary itself, which was built without one: each instance costs about half a MiB more.
    Itself,
}

/// Why no instance was made.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The keeper can't be started.
    #[error("cannot start a keeper")]
    Keeper(#[source] io::Error),
    /// It can't be taken out of the groups of who started it.
    #[error("cannot move a keeper to the machine's own control group, where it outlives the agent")]
    Group(#[source] io::Error),
    /// More is asked of it than a message holds.
    #[error(
        "what is to be started needs {bytes} bytes to say, and at most {MESSAGE_BYTES_MAX} are possible: shorten arguments, environment or files in memory"
    )]
    TooLong {
        /// How much it is.
        bytes: usize,
    },
    /// It doesn't answer.
    #[error("the keeper went silent, or away, while it made the instance")]
    Silent(#[source] io::Error),
    /// It says why it can't be.
    #[error("{0}")]
    Failed(Failure),
}

/// Starts keepers.
#[derive(Debug)]
pub struct Keepers {
    program: Option<OwnedFd>,
    /// Files `cgroup.procs` of the groups that keepers are put into.
    groups: Vec<PathBuf>,
}

/// An instance that was made, but doesn't execute its program so far. Dropping it ends it.
#[derive(Debug)]
pub struct Created {
    agent: UnixStream,
    pid: i32,
}

impl Keepers {
    /// Lays the keeper's program ready.
    pub fn new() -> Result<Self, SpawnError> {
        let program = match origin() {
            Origin::Embedded => Some(seal(EMBEDDED).map_err(SpawnError::Keeper)?),
            Origin::Itself => None,
        };
        Ok(Self { program, groups: Vec::new() })
    }

    /// Has keepers leave the control groups of who starts them for these, by their files `cgroup.procs`: where that one's are
    /// killed as a whole.
    pub fn moved_to(self, groups: Vec<PathBuf>) -> Self {
        Self { groups, ..self }
    }

    /// Where the program comes from.
    pub fn origin() -> Origin {
        origin()
    }

    /// Makes an instance: its first process is there, with its namespaces, and sets itself up. Its program gets these
    /// descriptors, from number 3 on.
    pub fn create(&self, job: &Job, descriptors: &[BorrowedFd<'_>]) -> Result<Created, SpawnError> {
        let job = framed(job);
        if job.len() > MESSAGE_BYTES_MAX {
            return Err(SpawnError::TooLong { bytes: job.len() });
        }
        let (agent, theirs) = UnixStream::pair().map_err(SpawnError::Keeper)?;
        let mut command = match &self.program {
            Some(program) => Command::new(format!("/proc/self/fd/{}", program.as_raw_fd())),
            None => {
                let mut command = Command::new("/proc/self/exe");
                command.arg("keeper");
                command
            }
        };
        // With nothing to do between fork and exec, the standard library needs no copy of this process.
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).env_clear();
        let mut keeper = command.spawn().map_err(SpawnError::Keeper)?;
        // It holds the other end of the connection.
        drop(command);
        let pid = keeper.id().to_string();
        // Before it has children, as it waits for its job.
        let moved = self.groups.iter().try_for_each(|group| fs::write(group, &pid));
        let created = moved.map_err(SpawnError::Group).and_then(|()| make(agent, &job, descriptors));
        if created.is_err() {
            // Nobody else knows of it. One that is made is waited for by who watches for its end (`process::Exits`).
            let _ = keeper.kill().and_then(|()| keeper.wait());
        }
        created
    }
}

/// Tells the keeper what to make, and hears of it.
fn make(mut agent: UnixStream, job: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<Created, SpawnError> {
    agent.set_read_timeout(Some(PATIENCE)).map_err(SpawnError::Keeper)?;
    let (length, rest) = job.split_at(size_of::<u32>());
    send(&agent, length, descriptors).and_then(|()| agent.write_all(rest)).map_err(SpawnError::Silent)?;
    match read_framed(&mut agent).map_err(SpawnError::Silent)? {
        Making::Created { pid } => Ok(Created { agent, pid }),
        Making::Failed(failure) => Err(SpawnError::Failed(failure)),
        Making::Started => Err(SpawnError::Silent(io::ErrorKind::InvalidData.into())),
    }
}

impl Created {
    /// The first process, on the host.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its network namespace.
    pub fn network(&self) -> io::Result<File> {
        File::open(format!("/proc/{}/ns/net", self.pid))
    }

    /// Lets it execute its program; returns when it does. From then on it lives without us.
    pub fn go(mut self) -> Result<(), SpawnError> {
        // If it is gone it has said why.
        drop(self.agent.write_all(&[GO]));
        match read_framed(&mut self.agent).map_err(SpawnError::Silent)? {
            Making::Started => Ok(()),
            Making::Failed(failure) => Err(SpawnError::Failed(failure)),
            Making::Created { .. } => Err(SpawnError::Silent(io::ErrorKind::InvalidData.into())),
        }
    }
}

/// Descriptors travel with bytes.
fn send(agent: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let fds: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[][..] } else { &control[..] };
    sendmsg::<()>(agent.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

fn origin() -> Origin {
    if EMBEDDED.is_empty() { Origin::Itself } else { Origin::Embedded }
}

/// A file in memory that nobody can change any more.
fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    let file = memfd_create("abide-keeper", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}
