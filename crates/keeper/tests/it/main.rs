//! The keeper as the agent starts it: over a connection, with a job, in a root of busybox. These tests need root and
//! Debian's package `busybox-static`.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod isolation;
mod life;
mod rig;
