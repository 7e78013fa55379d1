//! A VMM with a directory of its own, which ends with the test.

use abide_vm::vmm::{CONFIG, CONSOLE_SOCKET, Config, DiskConfig, FORMAT};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Longer than anything here takes, by far, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder for a VMM, and what it is told.
pub(crate) struct Plan {
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
}

/// A VMM that was started.
pub(crate) struct Vm {
    pub(crate) folder: TempDir,
    pub(crate) child: Child,
    output: Receiver<Vec<u8>>,
    error: Option<ChildStderr>,
    said: String,
    /// How much of it was looked at.
    seen: usize,
}

impl Plan {
    /// The guest with one vCPU and nothing else.
    pub(crate) fn new() -> Self {
        assert!(File::options().read(true).write(true).open("/dev/kvm").is_ok(), "this test needs /dev/kvm");
        let config = Config {
            format: FORMAT,
            memory: 16 << 20,
            vcpus: 1,
            kernel: abide_lab::guest(),
            initrd: None,
            cmdline: "console=ttyS0".to_owned(),
            disks: Vec::new(),
            net: None,
        };
        Self { folder: tempfile::tempdir().unwrap(), config }
    }

    /// With a disk, which is a file of so many sectors in the folder.
    pub(crate) fn disk(mut self, name: &str, sectors: u64, read_only: bool) -> Self {
        let path = self.folder.path().join(name);
        File::options().create(true).append(true).open(&path).unwrap().set_len(sectors * 512).unwrap();
        self.config.disks.push(DiskConfig { path, read_only });
        self
    }

    pub(crate) fn start(self) -> Vm {
        let Self { folder, config } = self;
        fs::write(folder.path().join(CONFIG), serde_json::to_vec(&config).unwrap()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_abide-vmm"))
            .arg("vmm")
            .arg(folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = listen(child.stdout.take().unwrap());
        let error = child.stderr.take();
        Vm { folder, child, output, error, said: String::new(), seen: 0 }
    }
}

/// Waiting for output with a deadline takes a thread.
fn listen(mut output: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut bytes) {
            if sender.send(bytes[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Vm {
    /// Waits until the guest says a line that begins so, after those that were waited for; the whole line.
    pub(crate) fn expect(&mut self, beginning: &str) -> String {
        loop {
            while let Some(length) = self.said[self.seen..].find('\n') {
                let line = self.said[self.seen..self.seen + length].to_owned();
                self.seen += length + 1;
                if line.starts_with(beginning) {
                    return line;
                }
            }
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => {
                    drop(self.child.kill());
                    let complaints = self.complaints();
                    panic!("no {beginning:?}: {error}; it said {:?} {complaints:?}", self.said);
                }
            }
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&self, line: &str) {
        self.console().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Another client of the console.
    pub(crate) fn console(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path(CONSOLE_SOCKET)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for the end: exit code, and what was said on standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        loop {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it doesn't end; it said {:?}", self.said),
            }
        }
        let code = self.child.wait().unwrap().code();
        (code, self.complaints())
    }

    fn complaints(&mut self) -> String {
        let mut text = String::new();
        self.error.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
