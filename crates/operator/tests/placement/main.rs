//! Placing from outside: stories as text files, and what holds for all clusters.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod notation;
mod properties;
mod story;
