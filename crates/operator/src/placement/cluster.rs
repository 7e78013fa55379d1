//! What placing is decided by, as plain data: the objects, and the nodes.

use abide_reconcile::{InstanceId, UnitId};
use std::collections::{BTreeMap, BTreeSet};

/// An object of ours, as far as its place is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which: its namespace is the scope.
    pub id: UnitId,
    /// `creationTimestamp`, of which the text sorts by time.
    pub created: String,
    /// Where it is, and who said so.
    pub seat: Seat,
    /// The node that was chosen for it last, until that is written: it is chosen again as long as it will do.
    pub promised: Option<String>,
    /// `spec.nodeSelector`; an empty one takes any node.
    pub selector: Option<BTreeMap<String, String>>,
    /// What has to be on the same node: its volumes, and what it depends on.
    pub needs: BTreeSet<UnitId>,
    /// It has a `deletionTimestamp`.
    pub is_terminating: bool,
    /// Its node's agent has yet to clear away what it made for it: it has our finalizer.
    pub is_kept: bool,
    /// A person gives up what a silent node has of it.
    pub is_forced: bool,
    /// The node whose agent wrote its status last.
    pub reported: Option<String>,
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Nowhere.
    Free,
    /// On a node that a person wrote.
    Pinned(String),
    /// On a node that was chosen here, by the order of this number.
    Placed(String, InstanceId),
    /// It was taken from this node, which has yet to clear it away.
    Leaving(String, InstanceId),
}

/// A node, as far as it is known: one may have an agent and be no `Node`, or the other way round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Of the `Node`, if there is one.
    pub labels: Option<BTreeMap<String, String>>,
    /// Why nothing new is to be put there, if so.
    pub closed: Option<Closed>,
    /// How its agent is.
    pub agent: Agent,
    /// Whether its agent has a Lease, or had one as far as is known.
    pub was_heard: bool,
    /// Whether it can run virtual machines, as its agent says.
    pub has_kvm: Option<bool>,
}

/// Why nothing new is to be put on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its `Node` is being deleted.
    Deleted,
    /// A person said so.
    Cordoned,
    /// It has this taint, which keeps pods away.
    Tainted(String),
    /// Its agent takes nothing new, and says this of itself.
    Said(String),
}

/// How the agent of a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agent {
    /// It renews its Lease.
    Well,
    /// Its Lease is old, but new to who looks at it: it may be renewed, or may have run out.
    Unheard,
    /// Its Lease ran out.
    Silent,
    /// It has no Lease: maybe there is none.
    #[default]
    Absent,
    /// It is silent, or absent, for so long that it is taken for dead.
    Lost,
}

/// The nodes, by name.
pub type Nodes = BTreeMap<String, Node>;

impl Object {
    /// The node that it is on, or is to be cleared away from.
    pub fn node(&self) -> Option<&str> {
        match &self.seat {
            Seat::Free => None,
            Seat::Pinned(node) | Seat::Placed(node, _) | Seat::Leaving(node, _) => Some(node),
        }
    }

    /// The nodes that it says anything about.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.node().into_iter().chain(self.reported.as_deref())
    }

    /// The node that it is, or will be, a load of.
    pub fn loads(&self) -> Option<&str> {
        self.promised.as_deref().or(self.node())
    }

    /// Whether a person said where it is to be.
    pub fn is_pinned(&self) -> bool {
        matches!(self.seat, Seat::Pinned(_))
    }
}

impl Node {
    /// Whether anything new may be put there.
    pub fn is_open(&self) -> bool {
        self.labels.is_some() && self.closed.is_none() && self.agent == Agent::Well
    }

    /// Whether it has all of these labels.
    pub fn has(&self, selector: &BTreeMap<String, String>) -> bool {
        selector.iter().all(|(key, value)| self.label(key) == Some(value))
    }

    /// What a label says.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key).map(String::as_str)
    }
}
