//! Helpers and scripts for tests with real peers.
//!
//! | module | what it is |
//! |---|---|
//! | `programs` | what runs inside: the bare-metal guest, and the server of `hello/` |
//! | `oci` | images, made byte by byte |
//! | `debian` | images of real software, out of Debian's packages |
//! | `registry` | Debian's registry, on a port that the kernel chose |
//! | `git_server` | Git behind https, with a token and an authority of its own |
//! | `certificates` | such authorities |
//! | `ssh` | other users, who come by ssh |
//! | `api_server` | a Kubernetes API server with its etcd |
//! | `postgres` | a PostgreSQL server |
//! | `server` | servers that answer as a test wants |
//! | `rig` | a machine of one's own: root, agent, repository |
//! | `neighbour`, `http` | who asks, from outside or from here |
//! | `ports` | host ports for tests side by side |
//! | `traces` | what the kernel has of a root |
//!
//! Scripts: `test.sh` is all that must hold before a change lands, `linux.sh` runs a command in a small Linux, `scenarios/` is
//! what is tested there, and `quickstart.sh` shows the main job; `apiserver/build.sh` builds the API server. The binary `abide-lab`
//! makes images for them, and runs a command beside an API server.
//!
//! Whatever can't go on here stops the test: helpers panic, and say what they were doing.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod api_server;
mod certificates;
pub mod debian;
mod git_server;
pub mod http;
mod neighbour;
pub mod oci;
mod ports;
mod postgres;
mod programs;
mod registry;
pub mod rig;
pub mod server;
pub mod ssh;
mod traces;

pub use api_server::{ApiServer, Backup, SYSTEM, assets};
pub use git_server::{GitServer, TOKEN};
pub use neighbour::{Answers, END, Neighbour};
pub use ports::{HostPort, host_port};
pub use postgres::Postgres;
pub use programs::{guest, hello};
pub use registry::Registry;
pub use rig::{Repository, Rig, Said, Snapshot};
pub use ssh::Ssh;
pub use traces::{Counts, Traces, erase};

use std::{fs, path::Path, process::Command};

/// Runs a program of this machine to its end.
pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs Git in a bare repository, as somebody, without the machine's own settings; returns what it printed.
pub fn git(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(arguments)
        .current_dir(repository)
        .env("GIT_DIR", repository)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("this test needs git");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes a file with the folders above it.
pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
