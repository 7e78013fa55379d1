//! Why an object is nowhere, or stays where nobody is any more: in words that say what a person can do.

use super::cluster::{Agent, Closed, Node, Nodes};
use crate::crd::plural;
use abide_reconcile::UnitId;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Nodes named in one sentence; what more there are is counted.
const NAMED_MAX: usize = 5;

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Neither it nor what it is connected with says where to go.
    NotAsked,
    /// No node will do.
    NoNode {
        /// The labels that are asked for, as `a=b,c=d`.
        wanted: String,
        /// What there is instead.
        nodes: String,
    },
    /// What it is connected with is on several nodes.
    Divided {
        /// One object on each.
        seats: Vec<(UnitId, String)>,
    },
    /// What it is connected with is on a node that doesn't have the labels.
    Elsewhere {
        /// What is there.
        unit: UnitId,
        /// The node.
        node: String,
        /// What it asks for.
        selector: BTreeMap<String, String>,
    },
    /// It is a virtual machine, and what it is connected with is on a node that can't run any.
    NoKvm {
        /// What is there.
        unit: UnitId,
        /// The node.
        node: String,
    },
    /// A person put it on a node that is gone.
    Pinned {
        /// The node.
        node: String,
    },
    /// A person put something that it is connected with on a node that is gone.
    WithPinned {
        /// The node.
        node: String,
        /// What.
        unit: UnitId,
    },
    /// Its data, or that of what it is connected with, is on a node that is gone.
    Data {
        /// The node.
        node: String,
        /// Whose data.
        volume: UnitId,
    },
    /// Its node is gone, and so are many others.
    ManyGone {
        /// How many.
        gone: usize,
        /// Of how many.
        of: usize,
    },
    /// Its node is gone, and no other one will do.
    NoOther {
        /// The node.
        node: String,
        /// Why no other one.
        why: Box<Why>,
    },
}

/// What is asked of a node.
pub(super) struct Wanted<'a> {
    /// Labels.
    pub(super) labels: BTreeSet<(&'a String, &'a String)>,
    /// That it can run virtual machines.
    pub(super) needs_kvm: bool,
}

impl Wanted<'_> {
    /// Whether a node has the labels.
    pub(super) fn matches(&self, node: &Node) -> bool {
        self.labels.iter().all(|(key, value)| node.label(key) == Some(value.as_str()))
    }
}

impl Why {
    /// No node has the labels `wanted` and takes something new.
    pub(super) fn no_node(asked: &Wanted<'_>, nodes: &Nodes) -> Self {
        let wanted = &asked.labels;
        let known: Vec<_> = nodes.iter().filter(|(_, node)| node.labels.is_some()).collect();
        let fitting = known.iter().filter(|(_, node)| asked.matches(node));
        let closed: Vec<String> = fitting.map(|(name, node)| format!("{name} {}", closed(node))).collect();
        let nodes = if known.is_empty() {
            "there is no node".to_owned()
        } else if !closed.is_empty() {
            list(&closed)
        } else {
            let seen = wanted.iter().map(|(key, _)| {
                let values: BTreeSet<&str> = known.iter().filter_map(|(_, node)| node.label(key)).collect();
                let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
                if values.is_empty() { format!("none has {key}") } else { format!("{key} is {}", list(&values)) }
            });
            let keys: BTreeSet<String> = seen.collect();
            format!("of {} nodes, {}", known.len(), list(&keys.into_iter().collect::<Vec<_>>()))
        };
        let wanted: Vec<String> = wanted.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Self::NoNode { wanted: wanted.join(","), nodes }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str(
                "nothing says on which node: write spec.node, or spec.nodeSelector, where {} takes any node",
            ),
            Self::NoNode { wanted, nodes } if wanted.is_empty() => write!(f, "no node takes it: {nodes}"),
            Self::NoNode { wanted, nodes } => write!(f, "no node matches {wanted}: {nodes}"),
            Self::Divided { seats } => {
                let seats: Vec<String> =
                    seats.iter().map(|(unit, node)| format!("{} is on {node}", short(unit))).collect();
                write!(f, "what volumes and dependsOn connect goes to one node, but {}", list(&seats))
            }
            Self::Elsewhere { unit, node, selector } => {
                let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let (unit, selector) = (short(unit), selector.join(","));
                write!(f, "{unit}, which it is connected with, is on node {node}, which doesn't match {selector}")
            }
            Self::NoKvm { unit, node } => {
                let unit = short(unit);
                write!(f, "{unit}, which it is connected with, is on node {node}, which can't run virtual machines")
            }
            Self::Pinned { node } => write!(f, "node {node} is gone; change spec.node to move it"),
            Self::WithPinned { node, unit } => write!(
                f,
                "node {node} is gone; it stays with {}, of which spec.node was written by hand: change that to move both",
                short(unit)
            ),
            Self::Data { node, volume } => write!(
                f,
                "node {node} is gone; it stays for the data of {}: bring the node back, or give the data up by \
                 `kubectl -n {} delete {}.abide.dev {}` and make the volume anew",
                short(volume),
                volume.scope,
                plural(volume.kind),
                volume.name
            ),
            Self::ManyGone { gone, of } => write!(
                f,
                "{gone} of {of} nodes are silent, which is rather the network: nothing is moved. \
                 Delete the Node of what is dead for good"
            ),
            Self::NoOther { node, why } => write!(f, "node {node} is gone, and there is no other: {why}"),
        }
    }
}

/// Why a node with the right labels doesn't take it.
fn closed(node: &Node) -> String {
    match (&node.closed, node.agent) {
        (Some(Closed::Deleted), _) => "is being deleted".to_owned(),
        (Some(Closed::Cordoned), _) => "is cordoned".to_owned(),
        (Some(Closed::Tainted(taint)), _) => format!("has the taint {taint}"),
        (Some(Closed::Said(state)), Agent::Well) => {
            format!("takes nothing new, as its agent is {state}: ask it by `abide get`")
        }
        (_, Agent::Well) => "can't run virtual machines".to_owned(),
        _ => "has no agent that answers".to_owned(),
    }
}

fn short(unit: &UnitId) -> String {
    format!("{}/{}", unit.kind, unit.name)
}

fn list(items: &[String]) -> String {
    let named: Vec<&str> = items.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = items.len().saturating_sub(NAMED_MAX);
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}
