//! What holds for all clusters.

use crate::notation::{Cluster, unit};
use abide_operator::placement::{
    cluster::{Agent, Closed, Node, Object, Seat},
    component::components,
    place::{Place, place},
};
use abide_reconcile::{InstanceId, Kind, UnitId};
use proptest::{collection::vec, option, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let value = prop_oneof![Just("1"), Just("2")];
    proptest::collection::btree_map(
        prop_oneof![Just("a".to_owned()), Just("b".to_owned())],
        value.prop_map(str::to_owned),
        0..2,
    )
}

fn node() -> impl Strategy<Value = Node> {
    let agent = prop_oneof![4 => Just(Agent::Well), 1 => Just(Agent::Unheard), 1 => Just(Agent::Silent), 1 => Just(Agent::Absent), 1 => Just(Agent::Lost)];
    let closed = prop_oneof![Just(Closed::Cordoned), Just(Closed::Deleted), Just(Closed::Said("held".to_owned()))];
    let known = (option::weighted(0.9, labels()), option::weighted(0.2, closed), option::weighted(0.7, any::<bool>()));
    (known, agent).prop_map(|((labels, closed, has_kvm), agent)| {
        let was_heard = agent != Agent::Absent;
        Node { labels, closed, agent, was_heard, has_kvm }
    })
}

fn seat() -> impl Strategy<Value = Seat> {
    let placed = |node| Seat::Placed(node, InstanceId::default());
    let node = || (0_u8..7).prop_map(|n| format!("n{n}"));
    prop_oneof![4 => Just(Seat::Free), 3 => node().prop_map(placed), 1 => node().prop_map(Seat::Pinned)]
}

/// Objects, of which some need some that come before them.
fn cluster() -> impl Strategy<Value = Cluster> {
    let kind = prop_oneof![7 => Just("Container"), 2 => Just("Volume"), 1 => Just("VirtualMachine")];
    let flags = (prop::bool::weighted(0.1), prop::bool::weighted(0.1), kind);
    let object = (seat(), option::of(labels()), vec(any::<prop::sample::Index>(), 0..2), flags);
    (vec(node(), 0..6), vec(object, 0..12)).prop_map(|(nodes, drawn)| {
        let mut cluster = Cluster::default();
        cluster.nodes = nodes.into_iter().enumerate().map(|(n, node)| (format!("n{n}"), node)).collect();
        let mut ids: Vec<UnitId> = Vec::new();
        for (n, (seat, selector, needs, (is_terminating, is_forced, kind))) in drawn.into_iter().enumerate() {
            let id = unit(&format!("{kind}/o{n}"));
            let needs: BTreeSet<_> =
                needs.iter().filter(|_| !ids.is_empty() && n % 3 == 0).map(|index| index.get(&ids).clone()).collect();
            ids.push(id.clone());
            let created = String::new();
            cluster.add(Object {
                id,
                created,
                seat,
                promised: None,
                selector,
                needs,
                is_terminating,
                is_kept: true,
                is_forced,
                reported: None,
            });
        }
        cluster
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn every_object_has_an_answer(cluster in cluster()) {
        let places = place(&cluster.objects, &cluster.nodes);
        prop_assert!(places.keys().eq(cluster.objects.keys()));
    }

    #[test]
    fn nothing_moves_that_need_not(cluster in cluster()) {
        let places = place(&cluster.objects, &cluster.nodes);
        for (id, object) in &cluster.objects {
            let Some(node) = object.node() else { continue };
            let known = cluster.nodes.get(node);
            let is_there = known.is_some_and(|known| known.agent == Agent::Well);
            let stays = matches!(&places[id], Place::On(on) | Place::Stays(on, _) if on == node);
            prop_assert!(stays || !is_there, "{id} leaves {node}: {:?}", places[id]);
            prop_assert!(stays || object.is_terminating || !object.is_pinned(), "{id} was put there by a person");
        }
    }

    #[test]
    fn what_is_placed_is_placed_together(cluster in cluster()) {
        let places = place(&cluster.objects, &cluster.nodes);
        for members in components(&cluster.objects) {
            let is_new = |object: &&&Object| matches!(&places[&object.id], Place::On(node) if object.node() != Some(node));
            // What stays on a node that is gone is apart from what a person put elsewhere; nobody can bring them together.
            let of = |place: &Place| if let Place::On(node) = place { Some(node.clone()) } else { None };
            if members.iter().any(|object| is_new(&object)) {
                let nodes: BTreeSet<String> = members.iter().filter_map(|object| of(&places[&object.id])).collect();
                prop_assert_eq!(nodes.len(), 1);
            }
        }
    }

    #[test]
    fn a_place_is_fit(cluster in cluster()) {
        let places = place(&cluster.objects, &cluster.nodes);
        let components = components(&cluster.objects);
        let alone: BTreeSet<&UnitId> =
            components.iter().filter(|members| members.len() == 1).map(|members| &members[0].id).collect();
        for (id, object) in &cluster.objects {
            let Place::On(node) = &places[id] else { continue };
            if object.node() == Some(node) { continue }
            let selector = object.selector.clone().unwrap_or_default();
            prop_assert!(selector.is_empty() || cluster.nodes[node].has(&selector), "{id} asks for {selector:?}");
            let has_no_kvm = cluster.nodes.get(node).is_some_and(|node| node.has_kvm == Some(false));
            prop_assert!(id.kind != Kind::VirtualMachine || !has_no_kvm, "{id} can't run on {node}");
            let is_new = alone.contains(id) && object.promised.is_none();
            prop_assert!(!is_new || cluster.nodes[node].is_open(), "{id} is put on {node}, which is closed");
        }
    }

    #[test]
    fn what_was_placed_stays(cluster in cluster()) {
        let mut cluster = cluster;
        for _ in 0..2 {
            let places = place(&cluster.objects, &cluster.nodes);
            cluster.take(&places);
        }
        let again = place(&cluster.objects, &cluster.nodes);
        for (id, place) in again {
            let object = &cluster.objects[&id];
            prop_assert!(!matches!(&place, Place::On(node) if object.node() != Some(node)), "{id} goes on to {place:?}");
        }
    }

    #[test]
    fn all_that_fits_anywhere_is_spread_evenly(nodes in 1_usize..6, objects in 0_usize..40) {
        let mut cluster = Cluster::default();
        (0..nodes).for_each(|n| cluster.read(&format!("node n{n}")));
        (0..objects).for_each(|n| cluster.read(&format!("Container/o{n} {{}}")));
        let places = place(&cluster.objects, &cluster.nodes);
        let mut loads: BTreeMap<String, usize> = (0..nodes).map(|n| (format!("n{n}"), 0)).collect();
        for place in places.values() {
            let Place::On(node) = place else { panic!("{place:?}") };
            *loads.get_mut(node).unwrap() += 1;
        }
        let (least, most) = (loads.values().min().unwrap(), loads.values().max().unwrap());
        prop_assert!(most - least <= 1, "{loads:?}");
    }
}
