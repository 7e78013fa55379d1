//! Instances in real keepers: their whole life, what crashes leave, and ports that move under load.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod crash;
mod life;
mod ports;
mod rig;
mod scripts;
mod volume;
