//! What the tests need of an agent and of a client.

use abide_keeper::{
    job::{Base, Job, Log, Mount, MountSource, OpenFiles, Program, Root},
    message::{Exec, Failure, GO, Making, Reply, Request, SOCKET, framed, read_framed},
    record::{Exit, Process},
    wire::{List, decode, encode},
};
use std::{
    fs,
    io::{IoSlice, IoSliceMut, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of an instance, with a root that has busybox, and its keeper if it was started.
pub(crate) struct Rig {
    folder: tempfile::TempDir,
    pub(crate) job: Job,
    keeper: Option<Child>,
    pub(crate) agent: Option<UnixStream>,
}

impl Rig {
    /// With a job that runs this in a shell.
    pub(crate) fn new(script: &str) -> Self {
        // SAFETY: takes nothing.
        assert_eq!(unsafe { libc::geteuid() }, 0, "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let layer = folder.path().join("layer");
        for name in ["layer/bin", "layer/etc", "root", "upper", "work", "run"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::copy("/bin/busybox", layer.join("bin/busybox")).expect("this test needs the package busybox-static");
        for name in ["sh", "sleep", "cat", "echo", "id", "ls", "mkdir", "touch", "mknod", "grep", "tty", "stat", "head"]
        {
            std::os::unix::fs::symlink("busybox", layer.join("bin").join(name)).unwrap();
        }
        let mount =
            |source, target: &str| Mount { source, target: target.to_owned(), read_only: false, no_exec: false };
        let upper = abide_keeper::job::Upper { upper: at("upper"), work: at("work") };
        let root = Root {
            base: Base { at: at("root"), lowers: vec![at("layer")].into(), upper: Some(upper) },
            mounts: vec![
                mount(MountSource::Proc, "/proc"),
                mount(MountSource::Sysfs, "/sys"),
                mount(MountSource::Devices { shm_size: 1 << 20 }, "/dev"),
                mount(MountSource::Mqueue, "/dev/mqueue"),
            ]
            .into(),
            masked: vec![
                "/proc/timer_list".to_owned(),
                "/nosuch".to_owned(),
                "/sys/firmware".to_owned(),
                "/sys/kernel".to_owned(),
            ]
            .into(),
            read_only: vec!["/proc/sys".to_owned()].into(),
            is_read_only: false,
        };
        let namespaces = libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWCGROUP;
        let job = Job {
            program: program(&["sh", "-c", script]),
            identity: abide_keeper::job::Identity { capabilities: 0, no_new_privileges: true, ..Default::default() },
            root: Some(root),
            namespaces: namespaces as u64,
            hostname: "web".to_owned(),
            open_files: OpenFiles { soft: 64, hard: 128 },
            stop_signal: libc::SIGTERM,
            log: Log { path: at("log"), bytes_max: 1 << 20, files_max: 3 },
            directory: at("run"),
            ..Default::default()
        };
        Self { folder, job, keeper: None, agent: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn root(&mut self) -> &mut Root {
        self.job.root.as_mut().unwrap()
    }

    pub(crate) fn mount(&mut self, source: MountSource, target: &str) {
        let mount = Mount { source, target: target.to_owned(), read_only: false, no_exec: false };
        self.root().mounts.0.push(mount);
    }

    /// Starts the keeper and hands it the job.
    pub(crate) fn begin(&mut self) {
        let (agent, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_abide-keeper"));
        command.stdin(OwnedFd::from(theirs));
        self.keeper = Some(command.spawn().unwrap());
        (&agent).write_all(&framed(&self.job)).unwrap();
        agent.set_read_timeout(Some(PATIENCE)).unwrap();
        self.agent = Some(agent);
    }

    pub(crate) fn said(&mut self) -> Making {
        read_framed(&mut self.agent.as_ref().unwrap()).unwrap()
    }

    /// Starts the instance: it is running, or failed.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        self.begin();
        match self.said() {
            Making::Created { .. } => {}
            Making::Failed(failure) => return Err(failure),
            Making::Started => panic!("it was not told to go on"),
        }
        // A keeper that is gone already has said why.
        drop(self.agent.as_ref().unwrap().write_all(&[GO]));
        match self.said() {
            Making::Started => Ok(()),
            Making::Failed(failure) => Err(failure),
            Making::Created { .. } => panic!("it was created before"),
        }
    }

    /// Runs to the end: the exit code, and what was printed.
    pub(crate) fn run(&mut self) -> (i32, Vec<String>) {
        self.start().unwrap();
        self.wait();
        (Exit::read(&self.path("run")).unwrap().unwrap().code, self.printed())
    }

    pub(crate) fn wait(&mut self) {
        self.keeper.as_mut().unwrap().wait().unwrap();
    }

    pub(crate) fn process(&self) -> Process {
        Process::read(&self.path("run")).unwrap().unwrap()
    }

    /// Lines of the log, without the time.
    pub(crate) fn printed(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    pub(crate) fn wait_for_line(&self, line: &str) {
        until(|| self.printed().iter().any(|printed| printed == line));
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.path("run").join(SOCKET))
    }

    /// Runs another program in there: what it printed, and its exit code.
    pub(crate) fn exec(&self, args: &[&str]) -> (String, Reply) {
        let client = self.connect();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let null = fs::File::open("/dev/null").unwrap();
        let exec = Exec { program: Program { args: program(args).args, ..Default::default() }, terminal: None };
        client.send(&Request::Exec(exec), &[null.as_raw_fd(), writer.as_raw_fd(), writer.as_raw_fd()]);
        drop(writer);
        let mut reply = client.receive().0;
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        if reply == Reply::Started {
            reply = client.receive().0;
        }
        (text, reply)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            drop(keeper.kill());
            drop(keeper.wait());
        }
    }
}

pub(crate) fn program(args: &[&str]) -> Program {
    Program {
        args: List(args.iter().map(|arg| arg.as_bytes().to_vec()).collect()),
        env: vec![b"PATH=/bin".to_vec(), b"HOME=/".to_vec()].into(),
        working_dir: "/".to_owned(),
    }
}

/// Waits for what happens soon in another process.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it did not come true");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A connection to a keeper.
pub(crate) struct Client(OwnedFd);

impl Client {
    fn connect(path: &Path) -> Self {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
        let kind = SockType::SeqPacket;
        let made = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(made.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        Self(made)
    }

    pub(crate) fn send(&self, request: &Request, fds: &[RawFd]) {
        use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
        let bytes = encode(request);
        let control = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &control[..] };
        sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(&bytes)], control, MsgFlags::empty(), None).unwrap();
    }

    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        use nix::sys::socket::{MsgFlags, send};
        send(self.0.as_raw_fd(), bytes, MsgFlags::empty()).unwrap();
    }

    pub(crate) fn receive(&self) -> (Reply, Option<OwnedFd>) {
        use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
        let mut bytes = [0; 4096];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let message =
            recvmsg::<()>(self.0.as_fd().as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
        let fd = message.cmsgs().unwrap().find_map(|control| match control {
            // SAFETY: the kernel made it for us alone.
            ControlMessageOwned::ScmRights(fds) => Some(unsafe { OwnedFd::from_raw_fd(fds[0]) }),
            _ => None,
        });
        let length = message.bytes;
        (decode(&bytes[..length]).unwrap(), fd)
    }

    pub(crate) fn ask(&self, request: &Request) -> Reply {
        self.send(request, &[]);
        self.receive().0
    }
}
