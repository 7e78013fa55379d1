//! Against the real Git: repositories made by it, pushed to by it, served by it. Needs `git`, `nginx`, `fcgiwrap` and
//! `openssl` (Debian packages of these names), and root for the tests about owners; what is missing fails the test.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod folder;
mod history;
mod hostile;
mod local;
mod push;
mod remote;
mod server;
mod support;
