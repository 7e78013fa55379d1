//! What is wished of the Reconciler: that each object has the node that was chosen for it.
//!
//! | an object | is wished on | is found on |
//! |---|---|---|
//! | that a person put somewhere | nothing | nothing |
//! | that was put somewhere here | its place | its node |
//! | that was taken from a node, which has yet to clear it away | its place, if it has one | that node |
//! | that is being deleted, of a node that is gone | nothing: its removal is confirmed | its node |
//!
//! So the steps that follow are: *start*, which writes the node, and *stop*, which takes the object from it.

use super::{
    cluster::{Object, Seat},
    place::Place,
};
use abide_reconcile::{Complete, Digest, Revision, UnitId, Want, Wish};
use abide_spec::unit::{Assignment, Unit, UnitSpec};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Wants, kept from one wish to the next: most of them are the same.
#[derive(Debug, Default)]
pub(super) struct Wants(BTreeMap<UnitId, (String, Arc<Want>)>);

/// A want that `unit` is on `node`.
pub(super) fn want(unit: &UnitId, node: &str) -> Want {
    Want::new(Arc::new(Unit {
        id: unit.clone(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: UnitSpec::Assignment(Arc::new(Assignment { to: node.to_owned() })),
        config_maps: BTreeMap::new(),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        insecure_registries: Vec::new(),
    }))
}

impl Wants {
    /// What these places are as a wish.
    pub(super) fn revision(
        &mut self,
        objects: &BTreeMap<UnitId, Object>,
        places: &BTreeMap<UnitId, Place>,
    ) -> Revision {
        let mut confirmed = BTreeSet::new();
        let mut units = BTreeMap::new();
        for (id, object) in objects {
            let node = match (&object.seat, places.get(id)) {
                (_, Some(Place::Released)) if object.is_kept => {
                    confirmed.insert(id.clone());
                    continue;
                }
                (Seat::Pinned(_), _) => continue,
                (_, Some(Place::On(node) | Place::Stays(node, _))) => node,
                (Seat::Leaving(..), _) => {
                    // It was taken from its node already: there is nothing to ask.
                    confirmed.insert(id.clone());
                    continue;
                }
                _ => continue,
            };
            units.insert(id.clone(), self.of(id, node));
        }
        self.0.retain(|id, _| units.contains_key(id));
        let summary = format!("{} objects on their nodes", units.len());
        // Which removals are confirmed is news, too.
        let commit = |complete: &Complete| {
            let text = format!("{} {:?}", complete.digest(), complete.confirmed());
            Digest::of(text.as_bytes()).to_string()
        };
        // Units that need nothing are a wish whatever they are.
        let (commit, wish) = match Complete::new(units.into_values()).map(|complete| complete.confirming(confirmed)) {
            Ok(complete) => (commit(&complete), Wish::Complete(Arc::new(complete))),
            Err(invalid) => (String::new(), Wish::Refused(invalid.to_string().into())),
        };
        Revision { commit, summary, wish, files: BTreeMap::new() }
    }

    fn of(&mut self, id: &UnitId, node: &str) -> Arc<Want> {
        match self.0.get(id) {
            Some((known, want)) if known == node => Arc::clone(want),
            _ => {
                let made = Arc::new(want(id, node));
                self.0.insert(id.clone(), (node.to_owned(), Arc::clone(&made)));
                made
            }
        }
    }
}
