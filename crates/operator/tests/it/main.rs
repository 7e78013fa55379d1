//! Custom resources: as they are generated, and as a real API server takes them.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod agree;
mod cluster;
mod examples;
mod explain;
mod generated;
mod refused;
mod upgrade;
