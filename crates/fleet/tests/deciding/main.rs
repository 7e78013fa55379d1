//! The hub's deciding, with a real store and a real repository; machines are played at the store.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod fleet;
mod repository;
mod stories;
