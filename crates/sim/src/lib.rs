//! Deterministic simulation: the real [`abide_reconcile::Reconciler`] against a fake world and a fake clock.
//!
//! A history is a function of its seed: minutes of faults, crashes, reboots and wishes, then calm, in which everything
//! must come true and stay so. What must never happen on the way is in `oracle`; what the core says of itself is held
//! against what happens by `forecast` and `report`. [`fleet`] plays a hub with a thousand machines in the same way, and
//! [`cost`] is what planning costs.

#![forbid(unsafe_code)]

pub mod cost;
mod effect;
mod ending;
pub mod fleet;
mod forecast;
mod oracle;
mod report;
mod rng;
mod story;
mod wishes;
mod world;

pub use effect::apply;
pub use story::run;
