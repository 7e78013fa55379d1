//! Fleets: a hub says which commit each machine is to be on, and when. What a machine runs, the machine reads from the
//! commit itself, which it checks from the hash down: a hub can't make that up.
//!
//! | module | question it answers |
//! |---|---|
//! | `alive` | how either end of a connection notices that the other one is gone |
//! | [`admin`] | what people and programs read of a hub |
//! | [`deciding`] | which machine is to be on which commit, and when |
//! | [`link`] | how a machine enrols, follows its hub, and tells it how it is |
//! | [`protocol`] | what hub and machine say to each other |
//! | [`server`] | how machines meet the hub: its authority, enrolment, polls, reports, objects |
//! | [`store`] | what a hub keeps, in SQLite or in PostgreSQL |
//! | [`trust`] | what a machine believes of what its hub says |

#![forbid(unsafe_code)]

pub mod admin;
mod alive;
pub mod deciding;
pub mod link;
pub mod protocol;
pub mod server;
pub mod store;
pub mod trust;
