//! Containers: the runtime behind instances of kind Container

#![forbid(unsafe_code)]

mod capability;
mod seccomp;
mod user;
