//! Kubernetes: the cluster's objects as a source of what is wished, and as the place where its status goes.
//!
//! | module | question it answers |
//! |---|---|
//! | [`crd`] | what may be written in the cluster: the types of `abide_spec`, as custom resources |
//! | [`documents`] | what the objects of a node wish, taken together |
//! | [`node`] | the agent of a node: its objects as a source, and their status |
//! | [`placement`] | on which node each object goes, in the one process of the cluster that leads |
//! | `api` | the API server's ways, as these two both have to know them |

#![forbid(unsafe_code)]

mod api;
pub mod crd;
pub mod documents;
pub mod node;
pub mod placement;
