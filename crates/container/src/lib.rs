//! Containers: the runtime behind instances of kind Container

#![forbid(unsafe_code)]

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
