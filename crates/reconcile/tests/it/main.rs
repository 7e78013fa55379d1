//! The core from outside: plans as data, stories as text files, and what holds for all wishes.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod assignment;
mod machine;
mod notation;
mod plan;
mod properties;
mod story;
