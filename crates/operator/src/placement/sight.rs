//! What is known of the cluster: as its watches told, and since when its agents were heard of.

use super::{
    cluster::{Agent, Node, Nodes, Object},
    place::Place,
    pulse::{Beat, Pulse},
    read::Held,
};
use abide_reconcile::{Kind, Time, UnitId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Our objects of a kind.
    Objects(Kind),
    /// The `Node`s.
    Nodes,
    /// The Leases of agents.
    Leases,
}

impl Part {
    /// All of it.
    pub(super) const ALL: [Self; 5] = [
        Self::Objects(Kind::Container),
        Self::Objects(Kind::VirtualMachine),
        Self::Objects(Kind::Volume),
        Self::Nodes,
        Self::Leases,
    ];
}

/// What is known.
#[derive(Debug)]
pub(super) struct Sight {
    lost_after: Duration,
    objects: BTreeMap<UnitId, Held>,
    nodes: BTreeMap<String, Registered>,
    pulses: BTreeMap<String, Pulse>,
    /// Parts that were seen whole.
    whole: BTreeSet<Part>,
    /// Why a part isn't seen now.
    troubles: BTreeMap<Part, String>,
    changes: u64,
    /// The place of each object, as it was chosen last.
    pub(super) places: BTreeMap<UnitId, Place>,
}

#[derive(Debug, PartialEq)]
struct Registered {
    labels: BTreeMap<String, String>,
    is_cordoned: bool,
}

impl Sight {
    /// Of nothing yet. An agent is lost after so long without a sign of life.
    pub(super) fn new(lost_after: Duration) -> Self {
        Self {
            lost_after,
            objects: BTreeMap::new(),
            nodes: BTreeMap::new(),
            pulses: BTreeMap::new(),
            whole: BTreeSet::new(),
            troubles: BTreeMap::new(),
            changes: 0,
            places: BTreeMap::new(),
        }
    }

    /// How often anything changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether all of it was seen, without which nothing follows from what is not there.
    pub(super) fn is_whole(&self) -> bool {
        self.whole.len() == Part::ALL.len()
    }

    /// Why something isn't seen now.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.troubles.values().next().map(String::as_str)
    }

    /// A part isn't seen now. What was seen of it is believed on.
    pub(super) fn lost_sight(&mut self, part: Part, why: String) {
        if self.troubles.get(&part) != Some(&why) {
            self.troubles.insert(part, why);
            self.changes += 1;
        }
    }

    /// A list of all objects of a kind. It takes the place of what was known, whatever numbers they have: a restored etcd
    /// counts from where its backup was made.
    pub(super) fn all_objects(&mut self, kind: Kind, listed: Vec<Held>) {
        let known: BTreeMap<UnitId, Held> = self.objects.extract_if(.., |id, _| id.kind == kind).collect();
        let listed: BTreeMap<UnitId, Held> = listed.into_iter().map(|held| (held.object.id.clone(), held)).collect();
        self.changes += u64::from(known != listed);
        self.objects.extend(listed);
        self.seen(Part::Objects(kind));
    }

    /// An object as it is now, unless a newer state of it is known.
    pub(super) fn object(&mut self, held: Held) {
        match self.objects.get(&held.object.id) {
            Some(known) if known.is_newer_than(&held) || *known == held => {}
            _ => {
                self.objects.insert(held.object.id.clone(), held);
                self.changes += 1;
            }
        }
    }

    /// An object is gone, unless it was made anew meanwhile.
    pub(super) fn no_object(&mut self, gone: &Held) {
        if self.objects.get(&gone.object.id).is_some_and(|known| known.uid == gone.uid) {
            self.objects.remove(&gone.object.id);
            self.changes += 1;
        }
    }

    /// A list of all nodes.
    pub(super) fn all_nodes(&mut self, listed: Vec<(String, BTreeMap<String, String>, bool)>) {
        self.nodes.clear();
        listed.into_iter().for_each(|(name, labels, is_cordoned)| self.node(name, labels, is_cordoned));
        self.seen(Part::Nodes);
    }

    /// A node as it is now.
    pub(super) fn node(&mut self, name: String, labels: BTreeMap<String, String>, is_cordoned: bool) {
        let registered = Registered { labels, is_cordoned };
        // A Node changes every few seconds, in what is of no interest here.
        if self.nodes.get(&name) != Some(&registered) {
            self.nodes.insert(name, registered);
            self.changes += 1;
        }
    }

    /// A node was deleted.
    pub(super) fn no_node(&mut self, name: &str) {
        self.changes += u64::from(self.nodes.remove(name).is_some());
    }

    /// A list of all agents' Leases.
    pub(super) fn all_beats(&mut self, listed: Vec<(String, Beat)>, now: Time) {
        let names: BTreeSet<&String> = listed.iter().map(|(name, _)| name).collect();
        let gone: Vec<String> = self.pulses.keys().filter(|name| !names.contains(name)).cloned().collect();
        gone.iter().for_each(|name| self.no_beat(name, now));
        listed.into_iter().for_each(|(name, beat)| {
            self.beat(name, beat, now);
        });
        self.seen(Part::Leases);
    }

    /// An agent's Lease as it is now; tells whether it is a sign of life. Only what follows from it is a change.
    pub(super) fn beat(&mut self, name: String, beat: Beat, now: Time) -> bool {
        let Some(pulse) = self.pulses.get_mut(&name) else {
            self.pulses.insert(name, Pulse::first(beat, now));
            self.changes += 1;
            return false;
        };
        let before = (pulse.agent(now, self.lost_after), pulse.good_for());
        let is_new = pulse.read(beat, now);
        // A renewal puts off when the next thing happens by itself, but for one that is good for less time.
        self.changes += u64::from(before != (pulse.agent(now, self.lost_after), pulse.good_for()));
        is_new
    }

    /// An agent's Lease is gone.
    pub(super) fn no_beat(&mut self, name: &str, now: Time) {
        let none = Pulse::none(now);
        if self.pulses.get(name).is_some_and(|pulse| !pulse.is_none()) {
            self.pulses.insert(name.to_owned(), none);
            self.changes += 1;
        }
    }

    fn seen(&mut self, part: Part) {
        let is_new = self.whole.insert(part) | self.troubles.remove(&part).is_some();
        self.changes += u64::from(is_new);
    }

    /// An object, if there is one.
    pub(super) fn held(&self, id: &UnitId) -> Option<&Held> {
        self.objects.get(id)
    }

    /// All objects, and what is needed to write to them.
    pub(super) fn all_held(&self) -> impl Iterator<Item = &Held> {
        self.objects.values()
    }

    /// All objects, as placing sees them.
    pub(super) fn objects(&self) -> BTreeMap<UnitId, Object> {
        let promised = |object: &Object| match self.places.get(&object.id) {
            Some(Place::On(node)) if object.node() != Some(node) => Some(node.clone()),
            _ => None,
        };
        let object = |held: &Held| Object { promised: promised(&held.object), ..held.object.clone() };
        self.objects.iter().map(|(id, held)| (id.clone(), object(held))).collect()
    }

    /// Whether an object is to be released: it is being deleted, and nobody of its node will let go of it.
    pub(super) fn is_released(&self, object: &Object) -> bool {
        object.is_kept && self.places.get(&object.id) == Some(&Place::Released)
    }

    /// All nodes as they are now: registered ones, those with an agent, and those that objects are on.
    pub(super) fn nodes(&mut self, now: Time) -> Nodes {
        let named: BTreeSet<&str> = self.objects.values().filter_map(|held| held.object.node()).collect();
        self.pulses.retain(|name, pulse| !pulse.is_none() || named.contains(name.as_str()));
        for name in named {
            if !self.pulses.contains_key(name) {
                self.pulses.insert(name.to_owned(), Pulse::none(now));
            }
        }
        let names: BTreeSet<&String> = self.nodes.keys().chain(self.pulses.keys()).collect();
        let node = |name: &String| {
            let registered = self.nodes.get(name);
            Node {
                labels: registered.map(|registered| registered.labels.clone()),
                is_cordoned: registered.is_some_and(|registered| registered.is_cordoned),
                agent: self.agent(name, now).0,
            }
        };
        names.into_iter().map(|name| (name.clone(), node(name))).collect()
    }

    /// How a node's agent is now, and since when nothing was heard of it.
    pub(super) fn agent(&self, node: &str, now: Time) -> (Agent, Time) {
        self.pulses.get(node).map_or((Agent::Absent, now), |pulse| (pulse.agent(now, self.lost_after), pulse.since()))
    }

    /// When a node falls silent or is lost if nothing is heard.
    pub(super) fn wake_at(&self, now: Time) -> Option<Time> {
        self.pulses.values().filter_map(|pulse| pulse.changes_at(now, self.lost_after)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::DynamicObject;
    use serde_json::json;

    fn held(name: &str, version: &str, node: Option<&str>) -> Held {
        let object = json!({
            "apiVersion": "abide.dev/v1alpha1", "kind": "Container",
            "metadata": { "name": name, "namespace": "shop", "uid": name, "resourceVersion": version },
            "spec": { "node": node },
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        Held::read(Kind::Container, object).unwrap()
    }

    #[test]
    fn what_a_restored_cluster_lists_is_so() {
        let mut sight = Sight::new(Duration::from_secs(300));
        let versions = |sight: &Sight| {
            sight.all_held().map(|held| format!("{} {}", held.object.id.name, held.version)).collect::<Vec<_>>()
        };
        sight.all_objects(Kind::Container, vec![held("web", "100", None), held("late", "101", None)]);
        sight.object(held("web", "5000", Some("n1")));
        sight.object(held("web", "4000", None));
        assert_eq!(versions(&sight), ["late 101", "web 5000"], "an answer that comes late says nothing new");
        let before = sight.changes();
        sight.all_objects(Kind::Container, vec![held("web", "100", None)]);
        assert!(sight.changes() > before);
        assert_eq!(versions(&sight), ["web 100"], "or every write would name a version that isn't there");
        sight.object(held("web", "102", Some("n2")));
        assert_eq!(versions(&sight), ["web 102"]);
        let before = sight.changes();
        sight.all_objects(Kind::Container, vec![held("web", "102", Some("n2"))]);
        assert_eq!(sight.changes(), before, "the same again is no news");
    }
}
