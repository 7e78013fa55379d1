//! Objects as the API server has them → as the node sees them. What isn't needed (managed fields, annotations) is dropped.

use super::FINALIZER;
use crate::{
    api,
    documents::{DataName, DataState, Life, Meta, Object},
    placement::ASSIGNMENT,
};
use abide_spec::{Kind, UnitId, unit::Data};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::core::DynamicObject;
use serde_json::Value;
use std::collections::BTreeMap;

/// An object of this node, and what is needed to write to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) object: Object,
    /// Of this state of it.
    pub(crate) resource_version: String,
    pub(crate) finalizers: Vec<String>,
    /// As it is written there.
    pub(crate) status: Value,
    /// Where it is to be.
    pub(crate) node: Option<String>,
    /// Whether the controller chose that node: the finalizer came with it, and is that node's.
    pub(crate) is_placed: bool,
}

impl Seen {
    /// Reads an object; `None` for one whose name can't be a unit's: our definitions take none.
    pub(crate) fn read(kind: Kind, read: DynamicObject) -> Option<Self> {
        let DynamicObject { metadata, mut data, .. } = read;
        let id = api::unit(kind, &metadata)?;
        let spec = data.get_mut("spec").map(Value::take).unwrap_or_default();
        let node = spec.get("node").and_then(Value::as_str).filter(|node| !node.is_empty()).map(str::to_owned);
        let annotations = metadata.annotations.unwrap_or_default();
        let placed = annotations.get(ASSIGNMENT).and_then(|assignment| assignment.split_once(' '));
        let is_placed = placed.is_some_and(|(_, placed)| node.as_deref() == Some(placed));
        let finalizers = metadata.finalizers.unwrap_or_default();
        let life = match metadata.deletion_timestamp {
            None => Life::Living,
            Some(_) => Life::Terminating,
        };
        let meta = Meta {
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.map(|time| time.0.to_string()).unwrap_or_default(),
            life,
            has_finalizer: finalizers.iter().any(|finalizer| finalizer == FINALIZER),
        };
        Some(Self {
            object: Object::new(id, meta, &metadata.labels.unwrap_or_default(), spec),
            resource_version: metadata.resource_version.unwrap_or_default(),
            finalizers,
            status: data.get_mut("status").map(Value::take).unwrap_or_default(),
            node,
            is_placed,
        })
    }

    pub(crate) fn id(&self) -> &UnitId {
        &self.object.id
    }

    /// Whether this is the last state of it: who is being deleted goes with the last finalizer.
    pub(crate) fn is_over(&self) -> bool {
        self.object.meta.life == Life::Terminating && self.finalizers.is_empty()
    }

    /// Whether another node, which the object was given to, has taken it up: our finalizer is that one's then.
    pub(crate) fn is_taken_from(&self, node: &str) -> bool {
        let told = self.status.get("node").and_then(Value::as_str);
        let is_told = told.is_some() && told == self.node.as_deref();
        self.node.as_deref() != Some(node) && (self.is_placed || is_told)
    }

    /// Whether `other` is an earlier state of the same object.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.object.meta.uid == other.object.meta.uid && self.is_later_than(other)
    }

    /// Whether it was written later, be it the same object or another one of its name.
    pub(crate) fn is_later_than(&self, other: &Self) -> bool {
        api::is_later(&self.resource_version, &other.resource_version)
    }
}

/// A kind of which the node follows single objects by name.
pub(crate) trait Named {
    fn data(self) -> DataState;
}

impl Named for ConfigMap {
    fn data(self) -> DataState {
        let texts = self.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
        let bytes = self.binary_data.unwrap_or_default().into_iter().map(|(key, ByteString(bytes))| (key, bytes));
        there(texts.chain(bytes))
    }
}

impl Named for Secret {
    fn data(self) -> DataState {
        there(self.data.unwrap_or_default().into_iter().map(|(key, ByteString(bytes))| (key, bytes)))
    }
}

fn there(values: impl Iterator<Item = (String, Vec<u8>)>) -> DataState {
    DataState::There(values.map(|(key, bytes)| (key, Data(bytes.into()))).collect::<BTreeMap<_, _>>())
}

/// For messages: `Container/web of namespace shop`.
pub(crate) fn named(id: &UnitId) -> String {
    format!("{}/{} of namespace {}", id.kind, id.name, id.scope)
}

impl DataName {
    /// For messages: `ConfigMap/web of namespace shop`.
    pub(crate) fn named(&self) -> String {
        format!("{self} of namespace {}", self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(version: &str) -> DynamicObject {
        let object = json!({
            "apiVersion": "abide.dev/v1alpha1", "kind": "Container",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u1", "generation": 3, "resourceVersion": version,
                "creationTimestamp": "2026-11-25T07:30:00Z", "deletionTimestamp": "2026-11-25T08:30:00Z",
                "labels": { "app": "web" }, "finalizers": ["other", FINALIZER], "managedFields": [],
            },
            "spec": { "image": "nginx", "node": "n1", "nodeSelector": { "a": "b" } },
            "status": { "observedGeneration": 2 },
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_object_is_read() {
        let seen = Seen::read(Kind::Container, object("100")).unwrap();
        assert_eq!(seen.id().to_string(), "shop:Container/web");
        assert_eq!(seen.node.as_deref(), Some("n1"));
        assert_eq!(seen.status, json!({ "observedGeneration": 2 }));
        let meta = &seen.object.meta;
        assert_eq!((meta.generation, meta.life, meta.has_finalizer), (3, Life::Terminating, true));
        assert!(meta.created.starts_with("2026-11-25T07:30:00"), "{}", meta.created);
        let newer = Seen::read(Kind::Container, object("1000")).unwrap();
        assert!(newer.is_newer_than(&seen) && !seen.is_newer_than(&newer));
    }

    #[test]
    fn the_new_node_has_it_once_its_agent_has_written_so() {
        let mut seen = Seen::read(Kind::Container, object("1")).unwrap();
        for (asked, told, expected) in [
            (Some("n1"), Some("n2"), false),
            (Some("n2"), None, false),
            (Some("n2"), Some("n1"), false),
            (Some("n2"), Some("n2"), true),
            (None, Some("n1"), false),
            (None, None, false),
        ] {
            seen.node = asked.map(str::to_owned);
            seen.status = json!({ "node": told });
            assert_eq!(seen.is_taken_from("n1"), expected, "{asked:?} {told:?}");
        }
    }

    #[test]
    fn what_the_controller_gave_to_a_node_is_that_ones_at_once() {
        for (assignment, expected) in [("3-17 n2", true), ("3-17 n1", false)] {
            let mut object = object("1");
            object.metadata.annotations = Some([(ASSIGNMENT.to_owned(), assignment.to_owned())].into());
            object.data["spec"]["node"] = "n2".into();
            assert_eq!(Seen::read(Kind::Container, object).unwrap().is_taken_from("n1"), expected, "{assignment}");
        }
    }
}
