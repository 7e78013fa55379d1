//! What several tests of this crate start from.

use abide_reconcile::{
    Scope, Unit, UnitSpec,
    spec::{
        self, Context, MemoryTree,
        kind::{ContainerSpec, Grants},
    },
};
use std::sync::Arc;

/// A container of this image, and otherwise the defaults.
pub(crate) fn container(image: &str) -> ContainerSpec {
    serde_json::from_value(serde_json::json!({ "image": image })).unwrap()
}

/// The one container of these documents, which may ask for everything.
pub(crate) fn unit(documents: &str) -> (Unit, Arc<ContainerSpec>) {
    let tree = MemoryTree([("all.yaml".to_owned(), Arc::from(documents.as_bytes()))].into());
    let grants = Grants { host_paths: vec!["/".to_owned()], host_network: true, privileged: true, ..Grants::default() };
    let scope = Scope::new("test").unwrap();
    let context = Context::plain(&scope, &grants);
    let parsed = spec::parse(&tree, context).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let container = |unit: &Arc<Unit>| match &unit.spec {
        UnitSpec::Container(spec) => Some((Unit::clone(unit), spec.clone())),
        _ => None,
    };
    parsed.units.iter().find_map(container).unwrap()
}
