//! Containers: the runtime behind instances of kind Container

#![forbid(unsafe_code)]
#![allow(dead_code, unreachable_pub, reason = "the runtime that uses the parts is not among them so far")]

mod capability;
mod files;
mod layer;
mod network;
mod process;
mod seccomp;
mod signal;
mod user;

#[cfg(test)]
mod testing;
