//! Objects, nodes and Leases as the API server has them → what placing needs of them. The rest is dropped.

use super::{
    cluster::{Closed, Object, Seat},
    pulse::Beat,
};
use crate::{
    api,
    crd::Condition,
    node::{FINALIZER, LEASE_PREFIX},
};
use abide_reconcile::{Kind, Name, UnitId};
use abide_spec::id::UnitRef;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Node, Taint},
    },
    jiff::Timestamp,
};
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The annotation that names the order by which an object got its node, and the node: `3-17 n1`. Without it, or with another
/// node, a person wrote the node.
pub const ASSIGNMENT: &str = "abide.dev/assignment";

/// The annotation that names the node that an object was taken from, while that has yet to clear it away.
pub(super) const LEAVING: &str = "abide.dev/leaving";

/// The annotation by which a person gives up what a silent node has of an object; any other value than `yes` or `true` means no.
pub const FORCE_RELEASE: &str = "abide.dev/force-release";

/// The annotation of its Lease by which an agent says how it is: of one that doesn't follow, nothing new would be taken.
const STATE: &str = "abide.dev/state";

/// The state of an agent that takes what is new.
const FOLLOWING: &str = "following";

/// The label of its Lease by which an agent says whether its node can run virtual machines.
const KVM: &str = "abide.dev/kvm";

/// What an agent says of itself in its Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Says {
    /// Whether its node can run virtual machines.
    pub(super) has_kvm: Option<bool>,
    /// Why it takes nothing new, in one word, if so.
    pub(super) state: Option<String>,
}

/// A `Node`, as far as placing is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) closed: Option<Closed>,
}

/// An object, and what is needed to write to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// What placing needs.
    pub(super) object: Object,
    /// Of this very object.
    pub(super) uid: String,
    /// Of this state of it.
    pub(super) version: String,
    /// Of its spec.
    pub(super) generation: i64,
    /// Everybody's.
    pub(super) finalizers: Vec<String>,
    /// As its status has them.
    pub(super) conditions: Vec<Condition>,
}

/// The fields of a spec that say where it goes, of all kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    node: Option<String>,
    node_selector: Option<BTreeMap<String, String>>,
}

/// The fields of a spec that name others, of all kinds. Whether the rest is right is not asked here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    depends_on: Vec<Needed>,
    volumes: Vec<Mounted>,
    disks: Vec<Mounted>,
}

#[derive(Debug, Deserialize)]
struct Needed {
    unit: UnitRef,
}

#[derive(Debug, Deserialize)]
struct Mounted {
    volume: Option<Name>,
}

impl Held {
    /// Reads an object; `None` for one whose name can't be a unit's: our definitions take none.
    pub(super) fn read(kind: Kind, DynamicObject { metadata, mut data, .. }: DynamicObject) -> Option<Self> {
        let id = api::unit(kind, &metadata)?;
        let spec = data.get_mut("spec").map(Value::take).unwrap_or_default();
        let asked = Asked::deserialize(&spec).unwrap_or_default();
        let named = Named::deserialize(&spec).unwrap_or_default();
        let annotations = metadata.annotations.unwrap_or_default();
        let finalizers = metadata.finalizers.unwrap_or_default();
        let conditions = data.pointer_mut("/status/conditions").map(Value::take).unwrap_or_default();
        let is_yes = |value: &String| matches!(value.as_str(), "yes" | "true");
        let object = Object {
            created: metadata.creation_timestamp.map(|time| time.0.to_string()).unwrap_or_default(),
            promised: None,
            seat: seat(asked.node.as_deref().filter(|node| !node.is_empty()), &annotations),
            selector: asked.node_selector,
            needs: named.needs(&id),
            is_terminating: metadata.deletion_timestamp.is_some(),
            is_kept: finalizers.iter().any(|finalizer| finalizer == FINALIZER),
            is_forced: annotations.get(FORCE_RELEASE).is_some_and(is_yes),
            reported: data.pointer("/status/node").and_then(Value::as_str).map(str::to_owned),
            id,
        };
        Some(Self {
            object,
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            finalizers,
            conditions: Vec::deserialize(conditions).unwrap_or_default(),
        })
    }

    /// The finalizers that aren't ours.
    pub(super) fn others_finalizers(&self) -> Vec<&String> {
        self.finalizers.iter().filter(|finalizer| *finalizer != FINALIZER).collect()
    }

    /// Whether `other` is an earlier state of the same object.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        self.uid == other.uid && api::is_later(&self.version, &other.version)
    }
}

impl Named {
    fn needs(self, by: &UnitId) -> BTreeSet<UnitId> {
        let sibling = |kind, name| UnitId { scope: by.scope.clone(), kind, name, index: 0 };
        let mounted = self.volumes.into_iter().chain(self.disks).filter_map(|mounted| mounted.volume);
        let volumes = mounted.map(|name| sibling(Kind::Volume, name));
        let others = self.depends_on.into_iter().map(|needed| sibling(needed.unit.kind, needed.unit.name));
        volumes.chain(others).collect()
    }
}

fn seat(node: Option<&str>, annotations: &BTreeMap<String, String>) -> Seat {
    let assigned = annotations.get(ASSIGNMENT).and_then(|text| text.split_once(' '));
    let assigned = assigned.and_then(|(order, node)| Some((order.parse().ok()?, node)));
    match (node, assigned) {
        (Some(node), Some((order, assigned))) if node == assigned => Seat::Placed(node.to_owned(), order),
        (Some(node), _) => Seat::Pinned(node.to_owned()),
        (None, Some((order, assigned))) if annotations.contains_key(LEAVING) => {
            Seat::Leaving(assigned.to_owned(), order)
        }
        (None, _) => Seat::Free,
    }
}

/// A node's name, and what is of interest of it.
pub(super) fn node(node: Node) -> Option<(String, Registered)> {
    let spec = node.spec.unwrap_or_default();
    // Of a cordoned one the taint says the same in other words.
    let closed = if node.metadata.deletion_timestamp.is_some() {
        Some(Closed::Deleted)
    } else if spec.unschedulable == Some(true) {
        Some(Closed::Cordoned)
    } else {
        let mut taints = spec.taints.into_iter().flatten();
        let taint = taints.find(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
        taint.map(|Taint { key, value, effect, .. }| {
            let value = value.filter(|value| !value.is_empty()).map(|value| format!("={value}")).unwrap_or_default();
            Closed::Tainted(format!("{key}{value}:{effect}"))
        })
    };
    Some((node.metadata.name?, Registered { labels: node.metadata.labels.unwrap_or_default(), closed }))
}

/// The node whose agent's Lease this is, if it is one, what it says of itself, and its sign of life.
pub(super) fn beat(lease: Lease, time_of_day: Timestamp) -> Option<(String, Says, Beat)> {
    let name = lease.metadata.name?.strip_prefix(LEASE_PREFIX)?.to_owned();
    let has_kvm = lease.metadata.labels.as_ref().and_then(|labels| labels.get(KVM)?.parse().ok());
    let state = lease.metadata.annotations.and_then(|mut annotations| annotations.remove(STATE));
    let says = Says { has_kvm, state: state.filter(|state| state != FOLLOWING) };
    let spec = lease.spec?;
    let renewed = spec.renew_time.map(|time| time.0);
    let age = renewed.map(|renewed| time_of_day.duration_since(renewed).unsigned_abs());
    let seconds = u64::try_from(spec.lease_duration_seconds?).ok()?;
    let beat = format!(
        "{} {}",
        spec.holder_identity.unwrap_or_default(),
        renewed.map_or_else(String::new, |at| at.to_string())
    );
    Some((name, says, Beat { beat, good_for: Duration::from_secs(seconds), age }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A Lease that was renewed just now.
    pub(crate) fn beat_of(beat: &str) -> Beat {
        Beat { beat: beat.to_owned(), good_for: Duration::from_secs(40), age: Some(Duration::ZERO) }
    }

    fn read(kind: Kind, object: Value) -> Object {
        Held::read(kind, serde_json::from_value(object).unwrap()).unwrap().object
    }

    #[test]
    fn what_an_object_needs_is_read_whatever_else_it_says() {
        let object = read(
            Kind::Container,
            json!({
                "metadata": {"name": "web", "namespace": "shop", "finalizers": [FINALIZER]},
                "spec": {
                    "image": 7, "nodeSelector": {}, "dependsOn": [{"unit": "VirtualMachine/db"}],
                    "volumes": [{"path": "/data", "volume": "data"}, {"path": "/etc/web", "configMap": "web"}],
                },
            }),
        );
        let needs: Vec<String> = object.needs.iter().map(ToString::to_string).collect();
        assert_eq!(needs, ["shop:VirtualMachine/db", "shop:Volume/data"]);
        assert_eq!(object.selector, Some(BTreeMap::new()));
        assert!(object.is_kept && !object.is_terminating);
        let disk = json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": {"disks": [{"volume": "root"}]}});
        assert_eq!(read(Kind::VirtualMachine, disk).needs.len(), 1);
    }

    #[test]
    fn only_a_yes_gives_up() {
        let is_forced = |annotations: Value| {
            read(Kind::Volume, json!({"metadata": {"name": "a", "namespace": "b", "annotations": annotations}}))
                .is_forced
        };
        for (value, expected) in [("yes", true), ("true", true), ("no", false), ("false", false), ("", false)] {
            assert_eq!(is_forced(json!({FORCE_RELEASE: value})), expected, "{value}");
        }
        assert!(!is_forced(json!({})));
    }

    #[test]
    fn why_a_node_takes_nothing_new() {
        let closed = |object: Value| node(serde_json::from_value(object).unwrap()).unwrap().1.closed;
        let taint = |effect: &str| json!({"key": "dedicated", "value": "gpu", "effect": effect});
        let bare = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"});
        let tainted = |text: &str| Some(Closed::Tainted(text.to_owned()));
        let table = [
            (json!({}), None),
            (json!({"taints": [taint("PreferNoSchedule")]}), None),
            (json!({"taints": [taint("PreferNoSchedule"), taint("NoSchedule")]}), tainted("dedicated=gpu:NoSchedule")),
            (json!({"taints": [bare]}), tainted("node.kubernetes.io/not-ready:NoExecute")),
            (json!({"unschedulable": true, "taints": [taint("NoSchedule")]}), Some(Closed::Cordoned)),
        ];
        for (spec, expected) in table {
            assert_eq!(closed(json!({"metadata": {"name": "n1"}, "spec": spec})), expected, "{spec}");
        }
        let deleted = json!({"metadata": {"name": "n1", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(closed(deleted), Some(Closed::Deleted));
    }

    #[test]
    fn what_an_agent_says_of_itself() {
        let says = |metadata: Value| {
            let lease = json!({"metadata": metadata, "spec": {"leaseDurationSeconds": 40}});
            let (name, says, _) = beat(serde_json::from_value(lease).unwrap(), Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(name, "n1");
            (says.has_kvm, says.state)
        };
        let held = json!({"name": "abide-node-n1", "labels": {KVM: "false"}, "annotations": {STATE: "held"}});
        assert_eq!(says(held), (Some(false), Some("held".to_owned())));
        let well = json!({"name": "abide-node-n1", "labels": {KVM: "true"}, "annotations": {STATE: "following"}});
        assert_eq!(says(well), (Some(true), None));
        assert_eq!(says(json!({"name": "abide-node-n1"})), (None, None));
    }

    #[test]
    fn who_said_where_an_object_is() {
        let seat = |spec: Value, annotations: Value| {
            let metadata = json!({"name": "a", "namespace": "default", "annotations": annotations});
            read(Kind::Container, json!({"metadata": metadata, "spec": spec})).seat
        };
        let order = "3-17".parse().unwrap();
        assert_eq!(seat(json!({}), json!({})), Seat::Free);
        assert_eq!(seat(json!({"node": "n1"}), json!({})), Seat::Pinned("n1".to_owned()));
        assert_eq!(seat(json!({"node": "n1"}), json!({ASSIGNMENT: "3-17 n1"})), Seat::Placed("n1".to_owned(), order));
        assert_eq!(seat(json!({"node": null}), json!({ASSIGNMENT: "3-17 n1"})), Seat::Free, "a person took it away");
        let moved = seat(json!({"node": "n2"}), json!({ASSIGNMENT: "3-17 n1"}));
        assert_eq!(moved, Seat::Pinned("n2".to_owned()), "a person moved it");
        let leaving = json!({ASSIGNMENT: "3-17 n1", LEAVING: "n1"});
        assert_eq!(seat(json!({}), leaving), Seat::Leaving("n1".to_owned(), order));
    }
}
