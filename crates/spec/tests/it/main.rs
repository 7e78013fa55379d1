//! What a user writes, from outside.

#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod change;
mod fleet;
mod parse;
mod schema;
mod support;
