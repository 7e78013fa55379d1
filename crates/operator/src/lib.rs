//! Kubernetes: the cluster's objects as a source of what is wished, and as the place where its status goes.
//!
//! | module | question it answers |
//! |---|---|
//! | [`documents`] | what the objects of a node wish, taken together |

pub mod documents;
