//! The keeper itself: makes the instance, then sleeps until somebody wants something.

use crate::{
    first,
    forward::{self, Forwards},
    job::Job,
    log::{Log, Stream},
    message::{self, Doing, Failure, GO, Making, framed, read_framed},
    record::{Exit, Life, Process},
    serve::{self, Clients, Instance},
    sys::{self, socket},
    wire::decode,
};
use libc::POLLIN;
use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    process::ExitCode,
};

/// Of a pipe, at a time. It is on the stack, which a keeper never gives back.
const CHUNK: usize = 16 << 10;

/// What is left in pipes after the last process is gone fits in there.
const CHUNKS_LEFT_MAX: usize = 128;

/// The whole life of a keeper. It has to be a process of its own, with one thread, and the agent's connection as its
/// standard input.
pub fn main() -> ExitCode {
    let agent = match take_input() {
        Ok(agent) => agent,
        Err(error) => {
            eprintln!("abide-keeper: is started by the agent alone: {error}");
            return ExitCode::FAILURE;
        }
    };
    let failure = match make(&agent) {
        Ok(keeper) => match keeper.keep(agent) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(failure) => failure,
        },
        Err(failure) => {
            tell(&agent, &Making::Failed(failure.clone()));
            failure
        }
    };
    eprintln!("abide-keeper: {failure}");
    ExitCode::FAILURE
}

/// The connection, whose place null takes.
fn take_input() -> std::io::Result<UnixStream> {
    let agent = std::io::stdin().as_fd().try_clone_to_owned()?;
    let (output, error) = (std::io::stdout(), std::io::stderr());
    sys::set_descriptors(&[sys::null()?.as_fd(), output.as_fd(), error.as_fd()])?;
    Ok(agent.into())
}

/// The job, and what its program is given besides the standard streams: that comes along with the length.
fn receive_job(mut agent: &UnixStream) -> std::io::Result<(Job, Vec<OwnedFd>)> {
    let mut length = [0; 4];
    let (read, descriptors) = socket::receive(agent.as_fd(), &mut length)?;
    let job = read_framed(&mut length[..read].chain(&mut agent))?;
    Ok((job, descriptors))
}

/// Who hung up can't be told.
fn tell(mut agent: &UnixStream, what: &Making) {
    drop(agent.write_all(&framed(what)));
}

struct Keeper {
    job: Job,
    directory: PathBuf,
    process: Process,
    first: OwnedFd,
    making: Option<InTheMaking>,
    children: File,
    /// What the program prints, until it closes it.
    output: Option<File>,
    error: Option<File>,
    log: Log,
    server: OwnedFd,
    clients: Clients,
    forwards: Forwards,
    exit: Option<Exit>,
}

/// Until the program is executed.
struct InTheMaking {
    /// Closing it unwritten ends the first process.
    go: Option<File>,
    /// The first process was told to go on.
    is_going: bool,
    report: File,
    bytes: Vec<u8>,
}

enum Token {
    Children,
    Output,
    Error,
    Agent,
    Report,
    Server,
    Serve(serve::Token),
    Forward(forward::Token),
}

fn make(agent: &UnixStream) -> Result<Keeper, Failure> {
    let doing = || "become a keeper".to_owned();
    sys::set_name("abide-keeper").doing(doing)?;
    // Whom the first process shares its memory with for a moment must not look at us (CVE-2016-9962).
    sys::prctl(libc::PR_SET_DUMPABLE, 0).doing(doing)?;
    sys::set_session().doing(doing)?;
    let (job, descriptors) = receive_job(agent).doing(|| "read what is to be done".to_owned())?;
    std::env::set_current_dir("/").doing(doing)?;
    let children = sys::listen_to_children().doing(doing)?;
    let server = File::open(&job.directory).and_then(|directory| socket::listen(directory.as_fd(), message::SOCKET));
    let server = server.doing(|| format!("listen in {}", job.directory))?;
    let log = Log::open(job.log.clone()).doing(|| format!("open the log {}", job.log.path))?;
    let pipe = || sys::pipe().doing(|| "make pipes".to_owned());
    let ((output, output_end), (error, error_end)) = (pipe()?, pipe()?);
    let ((go_end, go), (report, report_end)) = (pipe()?, pipe()?);
    let input = first::give_streams([output_end.as_fd(), error_end.as_fd()], job.identity.uid, job.identity.gid)?;
    let namespaces = job.namespaces & !(libc::CLONE_NEWCGROUP as u64);
    let Some(pid) = sys::clone(namespaces).doing(|| "make the namespaces".to_owned())? else {
        // Held by this copy too, they would never close.
        drop((go, report, output, error));
        let mut given = vec![input.as_fd(), output_end.as_fd(), error_end.as_fd()];
        given.extend(descriptors.iter().map(AsFd::as_fd));
        first::become_program(&job, &given, &go_end, &report_end);
    };
    let first = sys::pidfd(pid).doing(|| "watch the first process".to_owned())?;
    for end in [&output, &error, &report] {
        sys::set_nonblocking(end.as_fd()).doing(doing)?;
    }
    let life = |pid| Life::of(pid).ok_or_else(|| Failure { doing: format!("find process {pid}"), errno: libc::ESRCH });
    let process = Process { keeper: life(std::process::id() as i32)?, first: life(pid)?, started: 0 };
    let directory = PathBuf::from(&job.directory);
    process.write(&directory).doing(|| format!("write the record of the process in {}", job.directory))?;
    tell(agent, &Making::Created { pid });
    Ok(Keeper {
        directory,
        process,
        first,
        making: Some(InTheMaking { go: Some(go.into()), is_going: false, report: report.into(), bytes: Vec::new() }),
        children: children.into(),
        output: Some(output.into()),
        error: Some(error.into()),
        log,
        server,
        clients: Clients::default(),
        forwards: Forwards::default(),
        exit: None,
        job,
    })
}

impl Keeper {
    fn keep(mut self, agent: UnixStream) -> Result<(), Failure> {
        let mut agent = Some(agent);
        loop {
            let (mut fds, tokens) = self.interests(agent.as_ref());
            sys::poll(&mut fds).doing(|| "wait".to_owned())?;
            for (fd, token) in fds.iter().zip(tokens) {
                if fd.revents == 0 {
                    continue;
                }
                match token {
                    Token::Agent => self.hear_agent(&mut agent),
                    Token::Report => {
                        if self.hear_report(agent.as_ref())? {
                            agent = None;
                        }
                    }
                    other => self.handle(&other),
                }
            }
            match self.exit {
                // How it could not become the program is on its way, if it isn't here.
                Some(_) if self.making.is_some() => self.end_in_the_making(agent.as_ref())?,
                Some(exit) => return self.end(exit),
                None => {}
            }
        }
    }

    fn interests(&self, agent: Option<&UnixStream>) -> (Vec<libc::pollfd>, Vec<Token>) {
        let mut all = vec![(self.children.as_raw_fd(), POLLIN, Token::Children)];
        all.extend(self.output.iter().map(|pipe| (pipe.as_raw_fd(), POLLIN, Token::Output)));
        all.extend(self.error.iter().map(|pipe| (pipe.as_raw_fd(), POLLIN, Token::Error)));
        if self.clients.has_room() {
            all.push((self.server.as_raw_fd(), POLLIN, Token::Server));
        }
        if let Some(making) = &self.making {
            all.push((making.report.as_raw_fd(), POLLIN, Token::Report));
            all.extend(agent.map(|agent| (agent.as_raw_fd(), POLLIN, Token::Agent)));
        }
        all.extend(self.clients.interests().map(|(fd, events, token)| (fd, events, Token::Serve(token))));
        all.extend(self.forwards.interests().map(|(fd, events, token)| (fd, events, Token::Forward(token))));
        all.into_iter().map(|(fd, events, token)| (libc::pollfd { fd, events, revents: 0 }, token)).unzip()
    }

    fn handle(&mut self, token: &Token) {
        match token {
            Token::Children => self.reap(),
            Token::Output => {
                copy(&mut self.output, &mut self.log, Stream::Output);
            }
            Token::Error => {
                copy(&mut self.error, &mut self.log, Stream::Error);
            }
            Token::Server => self.clients.accept(&self.server),
            Token::Serve(token) => {
                let (job, first, forwards) = (&self.job, &self.first, &mut self.forwards);
                let mut instance = Instance { job, pid: self.process.first.pid, first, forwards };
                self.clients.handle(*token, &mut instance);
            }
            Token::Forward(token) => self.forwards.handle(*token),
            Token::Agent | Token::Report => {}
        }
    }

    /// The agent says go, or is gone; then the instance is not to be.
    fn hear_agent(&mut self, agent: &mut Option<UnixStream>) {
        let Some(making) = &mut self.making else { return };
        let mut word = [0];
        let length = agent.as_ref().map(|mut agent| agent.read(&mut word));
        match length {
            Some(Ok(1)) if word == [GO] => {
                if let Some(mut go) = making.go.take() {
                    making.is_going = true;
                    // If the first process is gone, its report says why.
                    drop(go.write_all(&[GO]));
                }
            }
            _ => {
                making.go = None;
                *agent = None;
            }
        }
    }

    /// The first process executes its program, or says why not. Whether that is settled.
    fn hear_report(&mut self, agent: Option<&UnixStream>) -> Result<bool, Failure> {
        let Some(making) = &mut self.making else { return Ok(true) };
        match making.report.read_to_end(&mut making.bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(false),
            _ => {}
        }
        let failure = match (&making.bytes[..], making.is_going) {
            ([], true) => None,
            ([], false) => Some(Failure { doing: "set the instance up".to_owned(), errno: libc::ECANCELED }),
            (bytes, _) => Some(decode(bytes).unwrap_or_default()),
        };
        if let Some(failure) = failure {
            // Where people look first who wonder why it doesn't run.
            self.log.add(Stream::Error, format!("abide: {failure}\n").as_bytes());
            if let Some(agent) = agent {
                tell(agent, &Making::Failed(failure.clone()));
            }
            return Err(failure);
        }
        self.making = None;
        self.process.started = sys::boottime();
        let written = self.process.write(&self.directory);
        written.doing(|| format!("write the record of the process in {}", self.job.directory))?;
        if let Some(agent) = agent {
            tell(agent, &Making::Started);
        }
        Ok(true)
    }

    /// The first process is gone: all that it had to say is in the pipe.
    fn end_in_the_making(&mut self, agent: Option<&UnixStream>) -> Result<(), Failure> {
        self.hear_report(agent).map(drop)
    }

    fn reap(&mut self) {
        let mut information = [0; size_of::<libc::signalfd_siginfo>()];
        // What it says is of no use: one signal may stand for several children.
        while self.children.read(&mut information).is_ok() {}
        while let Some((pid, status)) = sys::reap() {
            let code = if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
            if pid == self.process.first.pid {
                self.exit = Some(Exit { code, at: sys::boottime() });
            } else {
                self.clients.ended(pid, code);
            }
        }
    }

    fn end(mut self, exit: Exit) -> Result<(), Failure> {
        for (pipe, stream) in [(&mut self.output, Stream::Output), (&mut self.error, Stream::Error)] {
            for _ in 0..CHUNKS_LEFT_MAX {
                if !copy(pipe, &mut self.log, stream) {
                    break;
                }
            }
        }
        self.log.finish();
        exit.write(&self.directory).doing(|| format!("write the record of the exit in {}", self.job.directory))
    }
}

/// Whether anything was there.
fn copy(from: &mut Option<File>, to: &mut Log, stream: Stream) -> bool {
    let mut chunk = [0; CHUNK];
    match from.as_mut().map(|pipe| pipe.read(&mut chunk)) {
        Some(Ok(0)) => *from = None,
        Some(Ok(length)) => {
            to.add(stream, &chunk[..length]);
            return true;
        }
        Some(Err(_)) | None => {}
    }
    false
}
