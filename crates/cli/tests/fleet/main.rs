//! A fleet through the binary, as users have it: a hub, machines that each have a root of their own and run real
//! containers, and whatever comes between them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod away;
mod certificates;
mod hub;
mod identity;
mod liar;
mod lies;
mod life;
mod machine;
mod several;
mod signer;
mod waves;
