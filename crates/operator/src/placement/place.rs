//! On which node each object goes: the whole policy, as a function of objects and nodes.
//!
//! | what | goes |
//! |---|---|
//! | what is on a node that is there | nowhere else, also if labels change or the node is cordoned |
//! | what is connected with something that is on a node | there |
//! | what was given a node that has yet to be written | there, if it still will do |
//! | else, what is connected, as a whole | to a node that has all labels asked for, takes new things (and can run virtual machines, for one), and has fewest objects; then by name |
//! | what is on a node that is gone | likewise anew, but what has its data there stays, and so does what a person put there |
//! | what is being deleted | stays where it is; from a node that is gone it is released. Without a node, it is its that wrote its status last |
//!
//! Where more than half of the nodes went silent at once, it is rather the network than the nodes, and nothing is moved.

use super::{
    cluster::{Agent, Node, Nodes, Object, Seat},
    component::components,
    why::{Wanted, Why},
};
use abide_reconcile::{Kind, UnitId};
use std::collections::BTreeMap;

/// The place of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this node, from now on or as before.
    On(String),
    /// On this node as before, though it is gone.
    Stays(String, Why),
    /// It has none, and this is why.
    Nowhere(Why),
    /// It is being deleted and its node is gone: nobody there will let go of it.
    Released,
    /// It is being deleted, and has no node, or none any more.
    Ending,
}

/// The place of each object.
pub fn place(objects: &BTreeMap<UnitId, Object>, nodes: &Nodes) -> BTreeMap<UnitId, Place> {
    let placing = Placing { nodes, silence: silence(nodes) };
    let mut loads: BTreeMap<&str, usize> = nodes.keys().map(|node| (node.as_str(), 0)).collect();
    for node in objects.values().filter_map(Object::loads) {
        *loads.entry(node).or_default() += 1;
    }
    let mut places = BTreeMap::new();
    for members in components(objects) {
        placing.component(&members, &mut loads, &mut places);
    }
    places
}

struct Placing<'a> {
    nodes: &'a Nodes,
    /// That so many are gone at once that nothing is moved.
    silence: Option<Why>,
}

/// Whether a node is gone.
enum Loss {
    None,
    /// It says nothing, but so do too many.
    Doubted(Why),
    Certain,
}

/// Whether too many nodes are gone at once to be believed.
fn silence(nodes: &Nodes) -> Option<Why> {
    let with_agent = || nodes.values().filter(|node| node.labels.is_some() && node.agent != Agent::Absent);
    let (of, gone) = (with_agent().count(), with_agent().filter(|node| node.agent == Agent::Lost).count());
    (gone > 1 && gone * 2 > of).then_some(Why::ManyGone { gone, of })
}

impl<'a> Placing<'a> {
    fn component<'o>(
        &self,
        members: &[&'o Object],
        loads: &mut BTreeMap<&'o str, usize>,
        places: &mut BTreeMap<UnitId, Place>,
    ) where
        'a: 'o,
    {
        let (ending, living): (Vec<&Object>, Vec<&Object>) = members.iter().partition(|object| object.is_terminating);
        places.extend(ending.iter().map(|object| (object.id.clone(), self.ending(object))));
        let is_asked = |object: &&&Object| object.seat != Seat::Free || object.selector.is_some();
        if !members.iter().any(|object| is_asked(&object)) {
            places.extend(living.iter().map(|object| (object.id.clone(), Place::Nowhere(Why::NotAsked))));
            return;
        }
        let mut free = Vec::new();
        let mut seats: BTreeMap<&str, &UnitId> = BTreeMap::new();
        for object in &ending {
            if let (Place::On(_) | Place::Stays(..), Some(node)) = (self.ending(object), object.node()) {
                seats.entry(node).or_insert(&object.id);
            }
        }
        for object in living {
            match self.seated(object, members) {
                Some(place) => {
                    seats.entry(object.node().unwrap_or_default()).or_insert(&object.id);
                    places.insert(object.id.clone(), place);
                }
                None => free.push(object),
            }
        }
        let target = self.target(&seats, &free, loads);
        for object in free {
            let place = self.free(object, &target, &seats);
            if let (Place::On(_), Ok(node)) = (&place, &target)
                && object.loads() != Some(node)
            {
                *loads.entry(node).or_default() += 1;
            }
            places.insert(object.id.clone(), place);
        }
    }

    /// What becomes of an object that is being deleted.
    fn ending(&self, object: &Object) -> Place {
        let Some(node) = object.node() else { return self.ending_nowhere(object) };
        match self.loss(node, object.is_forced) {
            Loss::None => Place::On(node.to_owned()),
            Loss::Doubted(why) => Place::Stays(node.to_owned(), why),
            Loss::Certain => Place::Released,
        }
    }

    /// What becomes of an object that is being deleted and has no node: who had it last lets go of it, if there is anybody.
    fn ending_nowhere(&self, object: &Object) -> Place {
        let is_anybodys = match &object.reported {
            Some(node) if !object.is_forced => !matches!(self.loss(node, false), Loss::Certain),
            _ => false,
        };
        if object.is_kept && !is_anybodys { Place::Released } else { Place::Ending }
    }

    /// Whether an object stays where it is.
    fn seated(&self, object: &Object, members: &[&Object]) -> Option<Place> {
        let (node, is_pinned) = match &object.seat {
            Seat::Free | Seat::Leaving(..) => return None,
            Seat::Pinned(node) => (node, true),
            Seat::Placed(node, _) => (node, false),
        };
        let here = || members.iter().filter(|other| other.node() == Some(node) && !other.is_terminating);
        let doubt = match self.loss(node, here().any(|other| other.is_forced)) {
            Loss::None => return Some(Place::On(node.clone())),
            Loss::Doubted(why) => Some(why),
            Loss::Certain => None,
        };
        let stays = |why| Some(Place::Stays(node.clone(), why));
        if is_pinned {
            return stays(Why::Pinned { node: node.clone() });
        }
        if let Some(pinned) = here().find(|other| other.is_pinned()) {
            return stays(Why::WithPinned { node: node.clone(), unit: pinned.id.clone() });
        }
        if let Some(data) = here().find(|other| other.id.kind == Kind::Volume) {
            return stays(Why::Data { node: node.clone(), volume: data.id.clone() });
        }
        doubt.and_then(stays)
    }

    /// Whether what is on a node is nobody's any more. A person may give it up while nobody answers for it.
    fn loss(&self, node: &str, is_forced: bool) -> Loss {
        let unknown = Node::default();
        let node = self.nodes.get(node).unwrap_or(&unknown);
        match (node.agent, &self.silence) {
            (Agent::Well | Agent::Unheard, _) => Loss::None,
            _ if is_forced || node.labels.is_none() => Loss::Certain,
            (Agent::Silent | Agent::Absent, _) => Loss::None,
            (Agent::Lost, None) => Loss::Certain,
            (Agent::Lost, Some(why)) => Loss::Doubted(why.clone()),
        }
    }

    /// Where those go that are nowhere, given where those are that they belong to.
    fn target<'o>(
        &self,
        seats: &BTreeMap<&'o str, &UnitId>,
        free: &[&Object],
        loads: &BTreeMap<&'o str, usize>,
    ) -> Result<&'o str, Why>
    where
        'a: 'o,
    {
        let mut seated = seats.keys();
        match (seated.next(), seated.next()) {
            (Some(node), None) => Ok(node),
            (Some(_), Some(_)) => Err(Why::Divided {
                seats: seats.iter().map(|(node, unit)| ((*unit).clone(), (*node).to_owned())).collect(),
            }),
            (None, _) => {
                let wanted = Wanted {
                    labels: free.iter().filter_map(|object| object.selector.as_ref()).flatten().collect(),
                    needs_kvm: free.iter().any(|object| object.id.kind == Kind::VirtualMachine),
                };
                let is_fit = |node: &Node| {
                    node.is_open() && wanted.matches(node) && (!wanted.needs_kvm || node.has_kvm == Some(true))
                };
                let fitting = self.nodes.iter().filter(|(_, node)| is_fit(node)).map(|(name, _)| name.as_str());
                let load = |node: &str| loads.get(node).copied().unwrap_or_default();
                let is_promised = |node: &str| free.iter().any(|object| object.promised.as_deref() == Some(node));
                let best = fitting.min_by_key(|node| (!is_promised(node), load(node), *node));
                best.ok_or_else(|| Why::no_node(&wanted, self.nodes))
            }
        }
    }

    /// The place of an object that is nowhere, or on a node that is gone.
    fn free(&self, object: &Object, target: &Result<&str, Why>, seats: &BTreeMap<&str, &UnitId>) -> Place {
        let fits = |node: &str| match &object.selector {
            Some(selector) if !selector.is_empty() => self.nodes.get(node).is_some_and(|node| node.has(selector)),
            _ => true,
        };
        // Where what it is connected with is: who is there says so, and one that never said is asked by trying.
        let has_no_kvm = |node: &str| self.nodes.get(node).is_some_and(|node| node.has_kvm == Some(false));
        let why = match target {
            Ok(node) if object.id.kind == Kind::VirtualMachine && has_no_kvm(node) => Why::NoKvm {
                unit: seats.get(node).map_or_else(|| object.id.clone(), |unit| (*unit).clone()),
                node: (*node).to_owned(),
            },
            Ok(node) if fits(node) => return Place::On((*node).to_owned()),
            Ok(node) => Why::Elsewhere {
                unit: seats.get(node).map_or_else(|| object.id.clone(), |unit| (*unit).clone()),
                node: (*node).to_owned(),
                selector: object.selector.clone().unwrap_or_default(),
            },
            Err(why) => why.clone(),
        };
        match &object.seat {
            Seat::Placed(node, _) => {
                Place::Stays(node.clone(), Why::NoOther { node: node.clone(), why: Box::new(why) })
            }
            Seat::Free | Seat::Leaving(..) | Seat::Pinned(_) => Place::Nowhere(why),
        }
    }
}
