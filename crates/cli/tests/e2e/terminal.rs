//! A person at a terminal: what is typed, what is seen, how large the window is.

use abide_host::terminal::{Window, resize};
use abide_lab::rig::PATIENCE;
use nix::{pty::openpty, sys::termios::tcgetattr};
use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command},
    sync::mpsc::{Receiver, channel},
    thread,
};

/// A command that has a terminal, and believes that somebody sits there.
pub(crate) struct Terminal {
    master: File,
    child: Child,
    printed: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    pub(crate) fn run(command: &Command, window: Window) -> Self {
        let pty = openpty(None, None).unwrap();
        resize(&pty.master, window).unwrap();
        // Only who leads a session hears that its terminal's size changed.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        session.stdin(pty.slave.try_clone().unwrap()).stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
        let child = session.spawn().unwrap_or_else(|error| panic!("this test needs setsid: {error}"));
        let master = File::from(pty.master);
        let (send, printed) = channel();
        let mut reader = master.try_clone().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // When nobody has the terminal any more, reading it fails.
            while let Ok(length) = reader.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { master, child, printed, seen: String::new() }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is seen, after what was waited for before.
    pub(crate) fn sees(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let bytes = self.printed.recv_timeout(PATIENCE);
            let bytes = bytes.unwrap_or_else(|error| panic!("{error}: {text:?} is not in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&bytes);
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    pub(crate) fn resize(&self, window: Window) {
        resize(&self.master, window).unwrap();
    }

    /// Waits until the command ends: its exit code. The terminal has to be as it was given: one that shows what is typed.
    pub(crate) fn ends(mut self) -> Option<i32> {
        let code = self.child.wait().unwrap().code();
        let fresh = openpty(None, None).unwrap();
        let flags = |terminal: &File| tcgetattr(terminal).unwrap().local_flags;
        assert_eq!(flags(&self.master), flags(&File::from(fresh.master)), "it is left as it was found");
        code
    }
}
