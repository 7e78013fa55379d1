//! The hub as machines meet it: its authority.

pub mod authority;
