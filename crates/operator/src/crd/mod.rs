//! The custom resources: the very types that a repository's documents are read into, wrapped for the cluster.

/// The API group of our kinds.
pub const GROUP: &str = "abide.dev";
/// The version of it.
pub const VERSION: &str = "v1alpha1";
