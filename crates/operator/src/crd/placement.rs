//! Which node an object is for.

use abide_spec::NodeName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a cluster's object says besides what a repository's document does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// The node on which it is. Without it nothing happens, unless `nodeSelector` is here: then the controller chooses a node and
    /// writes it. Who changes it moves the object: the new node begins at once, while the old one clears away. A Volume can't
    /// be moved, as its data can't.
    #[serde(default)]
    pub node: Option<NodeName>,
    /// Labels of the nodes that will do, as `kubernetes.io/arch: amd64`; `{}` is any node. The controller chooses one, and
    /// keeps to it until the node is gone.
    #[serde(default)]
    pub node_selector: Option<BTreeMap<String, String>>,
}
