//! Clusters as text.
//!
//! | line | what there is |
//! |---|---|
//! | `node NAME [KEY=VALUE]... [cordoned] [deleted] [taint TAINT] [state STATE] [without-kvm] [unsaid-kvm] [unheard] [silent] [lost] [absent] [unregistered]` | a node, and how its agent is; `unregistered` has no `Node` |
//! | `no node NAME` | it is deleted, and its agent's Lease with it |
//! | `KIND/NAME [{KEY=VALUE,...}] [placed NODE] [pinned NODE] [leaving NODE] [promised NODE] [needs UNIT]... [reported NODE] [ending] [unkept] [forced]` | an object |
//! | `no KIND/NAME` | it is deleted |

use abide_operator::placement::{
    cluster::{Agent, Closed, Node, Nodes, Object, Seat},
    place::Place,
};
use abide_reconcile::{InstanceId, Kind, Name, UnitId};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes and objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: Nodes,
    pub(crate) objects: BTreeMap<UnitId, Object>,
    created: usize,
}

pub(crate) fn unit(text: &str) -> UnitId {
    let (kind, name) = text.split_once('/').unwrap();
    let kind = Kind::WRITTEN.into_iter().find(|known| known.as_str() == kind).unwrap();
    UnitId { scope: Name::new("default").unwrap(), kind, name: Name::new(name).unwrap(), index: 0 }
}

impl Cluster {
    /// Reads a line.
    pub(crate) fn read(&mut self, line: &str) {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["node", name, ref words @ ..] => drop(self.nodes.insert(name.to_owned(), node(words))),
            ["no", "node", name] => drop(self.nodes.remove(name).unwrap()),
            ["no", name] => drop(self.objects.remove(&unit(name)).unwrap()),
            [name, ref words @ ..] => self.add(object(unit(name), words)),
            [] => {}
        }
    }

    /// Adds an object, the youngest.
    pub(crate) fn add(&mut self, object: Object) {
        self.created += 1;
        let before = self.objects.get(&object.id).map(|object| object.created.clone());
        let created = before.unwrap_or_else(|| format!("{:06}", self.created));
        self.objects.insert(object.id.clone(), Object { created, ..object });
    }

    /// What there is after places were taken.
    pub(crate) fn take(&mut self, places: &BTreeMap<UnitId, Place>) {
        for (id, place) in places {
            let object = self.objects.get_mut(id).unwrap();
            match place {
                Place::On(node) if object.node() != Some(node) => {
                    object.seat = Seat::Placed(node.clone(), InstanceId::default());
                    object.promised = None;
                }
                Place::Released => drop(self.objects.remove(id)),
                _ => {}
            }
        }
    }
}

fn labels<'a>(pairs: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    pairs.filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn node(words: &[&str]) -> Node {
    let is = |word| words.contains(&word);
    let after = |word| words.windows(2).find(|pair| pair[0] == word).map(|pair| pair[1].to_owned());
    let agents =
        [("unheard", Agent::Unheard), ("silent", Agent::Silent), ("lost", Agent::Lost), ("absent", Agent::Absent)];
    let agent = agents.into_iter().find(|(word, _)| is(word)).map_or(Agent::Well, |(_, agent)| agent);
    let labels = labels(words.iter().copied().filter(|word| !word.contains(':')));
    let said = || after("state").map(Closed::Said);
    let closed = is("deleted").then_some(Closed::Deleted).or(is("cordoned").then_some(Closed::Cordoned));
    Node {
        labels: (!is("unregistered")).then_some(labels),
        closed: closed.or(after("taint").map(Closed::Tainted)).or_else(said),
        agent,
        was_heard: agent != Agent::Absent,
        has_kvm: (!is("unsaid-kvm")).then_some(!is("without-kvm")),
    }
}

fn object(id: UnitId, words: &[&str]) -> Object {
    let after = |word: &'static str| words.windows(2).filter(move |pair| pair[0] == word).map(|pair| pair[1]);
    let node = |word| after(word).next().map(str::to_owned);
    let placed = node("placed").map(|node| Seat::Placed(node, InstanceId::default()));
    let leaving = node("leaving").map(|node| Seat::Leaving(node, InstanceId::default()));
    let selector = words.iter().find_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
    Object {
        id,
        created: String::new(),
        seat: placed.or(node("pinned").map(Seat::Pinned)).or(leaving).unwrap_or(Seat::Free),
        promised: node("promised"),
        selector: selector.map(|text| labels(text.split(','))),
        needs: after("needs").map(unit).collect::<BTreeSet<_>>(),
        is_terminating: words.contains(&"ending"),
        is_kept: !words.contains(&"unkept"),
        is_forced: words.contains(&"forced"),
        reported: node("reported"),
    }
}
