//! Debian's registry, on a port that the kernel chose.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

/// A registry that runs until this is dropped.
pub struct Registry {
    child: Child,
    /// Its `address:port`.
    pub address: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// `more` is appended to its configuration, in which `DIR` stands for a folder of its own; `prepare` fills that.
    pub fn start(more: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let dir = folder.path().to_str().unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {dir}/data}}}}\nhttp:\n  addr: 127.0.0.1:0\n{}",
            more.replace("DIR", dir)
        );
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("this test needs docker-registry: {error}"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("docker-registry ended: {said}")).unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split([' ', '"', ',']).next().unwrap().to_owned();
            }
            said.push_str(&line);
        };
        // Whoever logs into a pipe that nobody reads hangs some day.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address, _folder: folder }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
