//! Helpers and scripts for tests with real peers.
//!
//! | module | what it is |
//! |---|---|
//! | `programs` | what runs inside: the bare-metal guest, and the server of `hello/` |
//! | `oci` | images, made byte by byte |
//! | `registry` | Debian's registry, on a port that the kernel chose |
//! | `server` | servers that answer as a test wants |
//!
//! Scripts: `test.sh` is all that must hold before a change lands.
//!
//! Whatever can't go on here stops the test: helpers panic, and say what they were doing.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

pub mod oci;
mod programs;
mod registry;
pub mod server;

pub use programs::{guest, hello};
pub use registry::Registry;

use std::process::Command;

/// Runs a program of this machine to its end.
pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
