//! The custom resources: the very types that a repository's documents are read into, wrapped for the cluster.
//!
//! ```text
//!  abide_spec::kind ──schemars──► JSON Schema ──structural──► what an API server takes ─┐
//!  abide_spec::words ───────────────rules────► CEL, in the validator's words ───────────┼─► CustomResourceDefinition
//!  Placement, Status ───────────────────────────────────────────────────────────────────┘
//! ```
//!
//! An API server refuses what the validator would refuse of one object, in the same sentence. What has to do with other
//! objects, or with what a node grants, is found by the node's agent and said in the object's status.

mod definition;
mod placement;
mod rule;
mod rules;
mod status;
mod structural;

pub use placement::Placement;
pub use status::{Condition, ConditionStatus, Status};

use abide_spec::Kind;
use kube::discovery::ApiResource;
use serde_json::Value;

/// The API group of our kinds.
pub const GROUP: &str = "abide.dev";
/// The version of it.
pub const VERSION: &str = "v1alpha1";
/// What `kubectl get` finds all of our kinds by.
pub const CATEGORY: &str = "abide";

/// What lists of the kind are called in paths.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "containers",
        Kind::VirtualMachine => "virtualmachines",
        Kind::Volume => "volumes",
        // No cluster has them.
        Kind::Machine => "machines",
    }
}

/// The kind, as a client asks for it.
pub fn resource(kind: Kind) -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        api_version: format!("{GROUP}/{VERSION}"),
        kind: kind.to_string(),
        plural: plural(kind).to_owned(),
    }
}

/// The definitions of all our kinds.
pub fn definitions() -> Vec<Value> {
    Kind::ALL.into_iter().filter_map(definition::definition).collect()
}

/// The same as a file for `kubectl apply`.
pub fn manifest() -> Result<String, serde_yaml::ser::Error> {
    let head = "# Written by `abide schema --crd`; a test compares.\n".to_owned();
    definitions().iter().try_fold(head, |text, definition| Ok(text + "---\n" + &serde_yaml::to_string(definition)?))
}
