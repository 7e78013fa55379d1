//! What a machine believes. A hub says which commit it is to be on; whether it takes it, and what the commit says, the
//! machine finds out by itself: from the objects, whose names are their content's, and from what it remembers.
//!
//! | module | question it answers |
//! |---|---|
//! | [`state`] | what a machine remembers |
//! | [`walk`] | what of a commit it needs |
//! | [`objects`], [`object`] | what it has; what an object is called, and what is in it |
//! | [`signature`] | who signed a commit or a tag |
//! | [`age`] | how values are sealed that only one machine may read |

pub mod age;
pub mod object;
pub mod objects;
pub mod signature;
pub mod state;
pub mod walk;

pub use state::State;
