//! What is known of the cluster: as its watches told, and since when its agents were heard of.

use super::{
    cluster::{Agent, Closed, Node, Nodes, Object},
    place::Place,
    pulse::{Beat, Pulse},
    read::{Held, Registered, Says},
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
    /// What the agents say of themselves, as long as they have Leases.
    says: BTreeMap<String, Says>,
    /// Nodes whose agents were heard of, at least once.
    heard: BTreeSet<String>,
    /// Since when nobody could be heard.
    deaf_since: Option<Time>,
    /// Parts that were seen whole.
    whole: BTreeSet<Part>,
    /// Why a part isn't seen now.
    troubles: BTreeMap<Part, String>,
    changes: u64,
    /// The place of each object, as it was chosen last.
    pub(super) places: BTreeMap<UnitId, Place>,
}

impl Sight {
    /// Of nothing yet. An agent is lost after so long without a sign of life.
    pub(super) fn new(lost_after: Duration) -> Self {
        Self {
            lost_after,
            objects: BTreeMap::new(),
            nodes: BTreeMap::new(),
            pulses: BTreeMap::new(),
            says: BTreeMap::new(),
            heard: BTreeSet::new(),
            deaf_since: None,
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

    /// A part isn't seen now. What was seen of it is believed on: who can't hear the agents can't say that they are silent.
    pub(super) fn lost_sight(&mut self, part: Part, why: String, now: Time) {
        if matches!(part, Part::Leases | Part::Nodes) {
            self.deaf_since.get_or_insert(now);
        }
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
    pub(super) fn all_nodes(&mut self, listed: Vec<(String, Registered)>, now: Time) {
        let before = std::mem::replace(&mut self.nodes, listed.into_iter().collect());
        self.changes += u64::from(before != self.nodes);
        self.seen(Part::Nodes);
        self.hears(now);
    }

    /// A node as it is now.
    pub(super) fn node(&mut self, name: String, registered: Registered) {
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
    pub(super) fn all_beats(&mut self, listed: Vec<(String, Says, Beat)>, now: Time) {
        let names: BTreeSet<&String> = listed.iter().map(|(name, ..)| name).collect();
        let gone: Vec<String> = self.pulses.keys().filter(|name| !names.contains(name)).cloned().collect();
        gone.iter().for_each(|name| self.no_beat(name, now));
        self.seen(Part::Leases);
        self.hears(now);
        listed.into_iter().for_each(|(name, says, beat)| {
            self.beat(name, says, beat, now);
        });
    }

    /// An agent's Lease as it is now; tells whether it is a sign of life. Only what follows from it is a change.
    pub(super) fn beat(&mut self, name: String, says: Says, beat: Beat, now: Time) -> bool {
        self.heard.insert(name.clone());
        if self.says.get(&name) != Some(&says) {
            self.says.insert(name.clone(), says);
            self.changes += 1;
        }
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
        self.says.remove(name);
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

    /// Whoever was silent while nobody could hear is so no longer than before.
    fn hears(&mut self, now: Time) {
        let is_deaf = [Part::Leases, Part::Nodes].iter().any(|part| self.troubles.contains_key(part));
        if let Some(since) = self.deaf_since.take_if(|_| !is_deaf) {
            let deaf_for = now.saturating_sub(since);
            self.pulses.values_mut().for_each(|pulse| pulse.deaf_for(deaf_for, now));
        }
    }

    /// What is silent since then is silent: no later than when the agents were heard last.
    fn heard_until(&self, now: Time) -> Time {
        self.deaf_since.map_or(now, |since| since.min(now))
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
        let named: BTreeSet<&str> = self.objects.values().flat_map(|held| held.object.named()).collect();
        self.pulses.retain(|name, pulse| !pulse.is_none() || named.contains(name.as_str()));
        self.heard.retain(|name| self.pulses.contains_key(name));
        for name in named {
            if !self.pulses.contains_key(name) {
                self.pulses.insert(name.to_owned(), Pulse::none(now));
            }
        }
        let names: BTreeSet<&String> = self.nodes.keys().chain(self.pulses.keys()).collect();
        let node = |name: &String| {
            let (registered, says) = (self.nodes.get(name), self.says.get(name));
            let said = || Some(Closed::Said(says?.state.clone()?));
            Node {
                labels: registered.map(|registered| registered.labels.clone()),
                closed: registered.and_then(|registered| registered.closed.clone()).or_else(said),
                agent: self.agent(name, now).0,
                was_heard: self.heard.contains(name),
                has_kvm: says.and_then(|says| says.has_kvm),
            }
        };
        names.into_iter().map(|name| (name.clone(), node(name))).collect()
    }

    /// How a node's agent is now, and since when nothing was heard of it.
    pub(super) fn agent(&self, node: &str, now: Time) -> (Agent, Time) {
        let heard = self.heard_until(now);
        self.pulses.get(node).map_or((Agent::Absent, now), |pulse| (pulse.agent(heard, self.lost_after), pulse.since()))
    }

    /// Nodes that have a Lease and are lost, no `Node` any more, and that no object is on.
    pub(super) fn dead_leases(&self, now: Time) -> Vec<String> {
        let named: BTreeSet<&str> = self.objects.values().flat_map(|held| held.object.named()).collect();
        let is_dead = |name: &String| !self.nodes.contains_key(name) && !named.contains(name.as_str());
        let leases = self.pulses.iter().filter(|(_, pulse)| !pulse.is_none()).map(|(name, _)| name);
        leases.filter(|name| is_dead(name) && self.agent(name, now).0 == Agent::Lost).cloned().collect()
    }

    /// When a node falls silent or is lost if nothing is heard.
    pub(super) fn wake_at(&self, now: Time) -> Option<Time> {
        if self.deaf_since.is_some() {
            return None;
        }
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

#[cfg(test)]
mod hearing {
    use super::*;
    use crate::placement::read::tests::beat_of;
    use serde_json::json;

    const fn at(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    fn says() -> Says {
        Says { has_kvm: Some(true), state: Some("held".to_owned()) }
    }

    /// Of a node whose agent was heard at second 1000, and of an object that names another one.
    fn sight() -> Sight {
        let mut sight = Sight::new(Duration::from_secs(300));
        sight.all_nodes(vec![("n1".to_owned(), Registered::default())], at(1000));
        sight.all_beats(vec![("n1".to_owned(), says(), beat_of("1"))], at(1000));
        let object = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"node": "n11"}});
        sight.object(Held::read(Kind::Container, serde_json::from_value(object).unwrap()).unwrap());
        sight
    }

    #[test]
    fn who_can_t_hear_calls_nobody_silent() {
        for part in [Part::Leases, Part::Nodes] {
            let mut sight = sight();
            let agent = |sight: &Sight, now| sight.agent("n1", at(now)).0;
            sight.lost_sight(part, "403".to_owned(), at(1030));
            assert_eq!((agent(&sight, 1030), agent(&sight, 9000)), (Agent::Well, Agent::Well), "{part:?}");
            assert_eq!(sight.wake_at(at(9000)), None);
            sight.lost_sight(part, "503".to_owned(), at(5000));
            match part {
                Part::Nodes => sight.all_nodes(Vec::new(), at(9000)),
                _ => sight.all_beats(vec![("n1".to_owned(), says(), beat_of("1"))], at(9000)),
            }
            assert_eq!((agent(&sight, 9009), agent(&sight, 9010)), (Agent::Well, Agent::Silent), "{part:?}");
        }
    }

    #[test]
    fn what_an_agent_says_closes_its_node() {
        let mut sight = sight();
        let n1 = |sight: &mut Sight| sight.nodes(at(1000))["n1"].clone();
        let node = n1(&mut sight);
        assert_eq!((node.closed.clone(), node.has_kvm), (Some(Closed::Said("held".to_owned())), Some(true)));
        assert!(!node.is_open());
        let before = sight.changes();
        sight.beat("n1".to_owned(), Says { state: None, ..says() }, beat_of("2"), at(1000));
        assert!(sight.changes() > before, "it is news, though the agent is as it was");
        assert!(n1(&mut sight).is_open());
        sight.node("n1".to_owned(), Registered { closed: Some(Closed::Cordoned), ..Registered::default() });
        assert!(!n1(&mut sight).is_open());
    }

    #[test]
    fn a_node_that_was_never_heard_of_stays_so() {
        let mut sight = sight();
        sight.nodes(at(1000));
        let n11 = sight.nodes(at(2000))["n11"].clone();
        assert_eq!((n11.agent, n11.was_heard), (Agent::Lost, false), "however long nobody answers");
        sight.beat("n11".to_owned(), Says::default(), beat_of("1"), at(2000));
        sight.no_beat("n11", at(2010));
        assert!(sight.nodes(at(2010))["n11"].was_heard);
    }
}
