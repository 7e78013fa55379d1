//! Who is connected to the keeper's socket, and what they asked for.

use crate::{
    enter::{self, Note, Streams},
    forward::Forwards,
    job::Job,
    message::{Doing as _, Exec, Failure, REQUEST_BYTES_MAX, Reply, Request},
    sys::{self, socket},
    wire::{Wire as _, decode, encode},
};
use libc::POLLIN;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read as _},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd},
};

/// More than anybody needs at once; more wait.
const CLIENTS_MAX: usize = 64;

/// All who are connected.
#[derive(Default)]
pub(crate) struct Clients {
    clients: BTreeMap<u64, Client>,
    next: u64,
    /// Children that ended before it was known whose they are.
    ended: BTreeMap<i32, i32>,
}

/// Which of the descriptors to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A client's connection.
    Client(u64),
    /// What is told by the processes that become a client's program.
    Notes(u64),
}

struct Client {
    connection: OwnedFd,
    exec: Running,
}

/// A client's program.
enum Running {
    Nothing,
    Starting { notes: File, bytes: Vec<u8>, is_wanted: bool },
    Program(i32),
}

/// What serving needs of the keeper.
pub(crate) struct Instance<'a> {
    pub(crate) job: &'a Job,
    pub(crate) pid: i32,
    pub(crate) first: &'a OwnedFd,
    pub(crate) forwards: &'a mut Forwards,
}

impl Clients {
    /// Takes who connects, if it is root.
    pub(crate) fn accept(&mut self, server: &OwnedFd) {
        let Ok(Some(connection)) = socket::accept(server.as_fd()) else { return };
        if socket::peer_uid(connection.as_fd()).is_ok_and(|uid| uid == 0) {
            self.clients.insert(self.next, Client { connection, exec: Running::Nothing });
            self.next += 1;
        }
    }

    /// Whether there is room for another.
    pub(crate) fn has_room(&self) -> bool {
        self.clients.len() < CLIENTS_MAX
    }

    /// What to wait for.
    pub(crate) fn interests(&self) -> impl Iterator<Item = (RawFd, i16, Token)> {
        self.clients.iter().flat_map(|(number, client)| {
            let notes = match &client.exec {
                Running::Starting { notes, .. } => Some((notes.as_raw_fd(), POLLIN, Token::Notes(*number))),
                Running::Nothing | Running::Program(_) => None,
            };
            // One that hung up while its program starts would say so over and over.
            let listens = !matches!(client.exec, Running::Starting { is_wanted: false, .. });
            let connection = listens.then(|| (client.connection.as_raw_fd(), POLLIN, Token::Client(*number)));
            connection.into_iter().chain(notes)
        })
    }

    /// One of them is ready.
    pub(crate) fn handle(&mut self, token: Token, instance: &mut Instance<'_>) {
        match token {
            Token::Client(number) => self.hear(number, instance),
            Token::Notes(number) => self.note(number),
        }
    }

    /// A child ended that isn't the first process.
    pub(crate) fn ended(&mut self, pid: i32, code: i32) {
        let is_its = |client: &Client| matches!(client.exec, Running::Program(program) if program == pid);
        let whose = self.clients.iter().find(|(_, client)| is_its(client)).map(|(number, _)| *number);
        match whose {
            Some(number) => self.finish(number, &Reply::Exited(code)),
            // A guide, or a program whose guide's note is still on the way.
            None if self.clients.values().any(|client| matches!(client.exec, Running::Starting { .. })) => {
                self.ended.insert(pid, code);
            }
            None => {}
        }
    }

    fn hear(&mut self, number: u64, instance: &mut Instance<'_>) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let mut bytes = vec![0; REQUEST_BYTES_MAX];
        let (length, fds) = match socket::receive(client.connection.as_fd(), &mut bytes) {
            Ok((length, fds)) if length > 0 => (length, fds),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            _ => return self.hung_up(number),
        };
        let reply = match decode(&bytes[..length]) {
            Ok(request) => client.carry_out(request, fds, instance),
            Err(_) => Err(refused("understand a request of another release", libc::EPROTO)),
        };
        match reply {
            Ok(None) => {}
            Ok(Some(reply)) => client.send(&reply),
            Err(failure) => client.send(&Reply::Failed(failure)),
        }
    }

    fn hung_up(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        match &mut client.exec {
            // It is killed as soon as it is known which one it is.
            Running::Starting { is_wanted, .. } => *is_wanted = false,
            Running::Program(pid) => {
                // Gone, if that fails.
                drop(sys::kill(*pid, libc::SIGKILL));
                self.clients.remove(&number);
            }
            Running::Nothing => drop(self.clients.remove(&number)),
        }
    }

    fn note(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Running::Starting { notes, bytes, is_wanted } = &mut client.exec else { return };
        match notes.read_to_end(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            _ => {}
        }
        let (mut pid, mut failure) = (None, None);
        let mut rest = &bytes[..];
        while let Ok(note) = Note::take(&mut rest) {
            match note {
                Note::Pid(number) => pid = Some(number),
                Note::Failed(why) => failure = Some(why),
            }
        }
        let is_wanted = *is_wanted;
        match (pid, failure) {
            (_, Some(failure)) => self.finish(number, &Reply::Failed(failure)),
            (None, None) => self.finish(number, &Reply::Failed(refused("enter the instance", libc::ESRCH))),
            (Some(pid), None) => {
                client.exec = Running::Program(pid);
                client.send(&Reply::Started);
                if !is_wanted {
                    self.hung_up(number);
                } else if let Some(code) = self.ended.remove(&pid) {
                    self.finish(number, &Reply::Exited(code));
                }
            }
        }
        if !self.clients.values().any(|client| matches!(client.exec, Running::Starting { .. })) {
            self.ended.clear();
        }
    }

    fn finish(&mut self, number: u64, reply: &Reply) {
        if let Some(client) = self.clients.remove(&number) {
            client.send(reply);
        }
    }
}

impl Client {
    /// Who doesn't take an answer doesn't get one: nobody is waited for.
    fn send(&self, reply: &Reply) {
        drop(socket::send(self.connection.as_fd(), &encode(reply), None));
    }

    fn carry_out(
        &mut self,
        request: Request,
        fds: Vec<OwnedFd>,
        instance: &mut Instance<'_>,
    ) -> Result<Option<Reply>, Failure> {
        match request {
            Request::Signal(signal) => {
                let pid = if let Running::Program(pid) = self.exec { pid } else { instance.pid };
                sys::kill(pid, signal).doing(|| format!("send signal {signal}"))?;
                // An answer here would come between those of the program.
                let is_first = pid == instance.pid;
                return Ok(is_first.then_some(Reply::Done));
            }
            Request::Stop => {
                sys::kill(instance.pid, instance.job.stop_signal).doing(|| "ask the instance to end".to_owned())?;
            }
            Request::Exec(exec) => return self.exec(&exec, fds, instance).map(|()| None),
            Request::Listen(forward) => {
                let socket = fds.into_iter().next();
                let socket = socket.ok_or_else(|| refused("listen without a socket", libc::EBADF))?;
                sys::set_nonblocking(socket.as_fd()).doing(|| format!("listen on port {}", forward.port))?;
                instance.forwards.listen(forward, socket);
            }
            Request::Lend(port) => {
                let socket = instance.forwards.port(port);
                let socket = socket.ok_or_else(|| refused("lend a port that it doesn't have", libc::ENOENT))?;
                let sent = socket::send(self.connection.as_fd(), &encode(&Reply::Here), Some(socket));
                return sent.doing(|| format!("lend port {port}")).map(|()| None);
            }
            Request::Unlisten(port) => instance.forwards.unlisten(port),
        }
        Ok(Some(Reply::Done))
    }

    fn exec(&mut self, exec: &Exec, fds: Vec<OwnedFd>, instance: &Instance<'_>) -> Result<(), Failure> {
        if !matches!(self.exec, Running::Nothing) {
            return Err(refused("run a second program over one connection", libc::EBUSY));
        }
        if instance.job.root.is_none() {
            return Err(refused("run a program in an instance without a root of its own", libc::ENOTSUP));
        }
        let streams = match exec.terminal {
            Some(window) => {
                let client = self.connection.try_clone().doing(|| "make a terminal".to_owned())?;
                Streams::Terminal(window, client)
            }
            None => {
                let given = fds.try_into();
                Streams::Given(given.map_err(|_| refused("run a program without three streams", libc::EBADF))?)
            }
        };
        let notes = enter::start(instance.job, instance.first.as_fd(), exec, &streams)?;
        self.exec = Running::Starting { notes: notes.into(), bytes: Vec::new(), is_wanted: true };
        Ok(())
    }
}

fn refused(doing: &str, errno: i32) -> Failure {
    Failure { doing: doing.to_owned(), errno }
}
