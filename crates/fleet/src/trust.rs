//! What a machine believes. A hub says which commit it is to be on; whether it takes it, and what the commit says, the
//! machine finds out by itself: from the objects, whose names are their content's, and from what it remembers.
//!
//! | module | question it answers |
//! |---|---|
//! | [`take`] | a target: is it taken, and what does it say |
//! | `judge`, `authority`, [`chain`] | may it be taken: floor, a history that was rewritten; signers; descent |
//! | [`refused`] | why not |
//! | [`foresee`] | what a hub can tell of that beforehand |
//! | [`state`] | what a machine remembers |
//! | [`hub`], `unjudged` | whom it asks, and what it lets be sent, before and after it is judged |
//! | [`walk`] | what of a commit it needs |
//! | [`objects`], [`object`] | what it has; what an object is called, and what is in it |
//! | [`signature`] | who signed a commit or a tag |
//! | [`age`] | how values are sealed that only one machine may read |

pub mod age;
mod authority;
pub mod chain;
mod foresee;
pub mod hub;
mod judge;
pub mod object;
pub mod objects;
pub mod refused;
pub mod signature;
pub mod state;
pub mod take;
mod unjudged;
pub mod walk;

pub use foresee::{NoWay, foresee, way};
pub use hub::{Hub, HubError};
pub(crate) use judge::FLEET_BYTES_MAX;
pub use refused::{NotTaken, Refused};
pub use state::State;
pub use take::{Settings, Taken, Trust};
