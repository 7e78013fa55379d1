//! A hub's server, met over real TLS, with a store in SQLite.

#![expect(clippy::unwrap_used, reason = "tests")]

mod admin;
mod client;
mod enrol;
mod generated;
mod limits;
mod objects;
mod poll;
mod report;
mod rig;
mod versions;
