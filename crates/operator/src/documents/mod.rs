//! What the objects of a node wish, taken together: pure.
//!
//! In a repository a broken document refuses its commit. A cluster has no commits, and its objects are many people's:
//! here each stands or falls alone. The parser, the validator and their words are the ones of a repository
//! ([`abide_spec::parse_apart`]), over a tree for each namespace.
//!
//! | an object | is in the wish |
//! |---|---|
//! | can be read, agrees with the others, has our finalizer | as it is |
//! | is mistaken, or names what can't be read | as it last was, with what that needs; else not |
//! | is what another source of this machine wishes | not |
//! | has yet to get our finalizer | not yet |
//! | is being deleted, and others need it | as long as they do |
//! | is being deleted | not any more, and that is confirmed |
//!
//! Of objects that can't all be (two on one host port, a cycle) the one that came last is mistaken, and never one that is
//! in the wish already. So what was wished stays wishable: a version that is kept only needs what was wished with it.
//! What is on a host port is so for the whole machine: a namespace doesn't get what another one has.

mod namespace;
mod object;
mod share;
mod tree;
mod words;

#[cfg(test)]
mod tests;

pub use object::{DataName, DataState, Life, Meta, Object, Sort};
pub use share::Share;

use abide_reconcile::{Claim, SourceId, Want};
use abide_spec::{Scope, UnitId, kind::Grants};
use namespace::{Judged, Scene};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is known of the cluster, as far as it concerns this node.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The node's objects.
    pub objects: BTreeMap<UnitId, Object>,
    /// The ConfigMaps and Secrets that they name, as far as anything was heard of them.
    pub data: BTreeMap<DataName, DataState>,
    /// Objects of which it is confirmed that they left: deleted while nobody looked, or given to another node.
    pub left: BTreeSet<UnitId>,
    /// Units that another source of this machine wishes: a repository that is called as a namespace is.
    pub others: Arc<BTreeMap<UnitId, SourceId>>,
}

/// How an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As it is now, it is wished.
    Wished,
    /// It is wished as soon as it has our finalizer, which takes a moment.
    Unfinalized,
    /// It has to wait for something of the cluster; what it was before stays wished.
    Pending(String),
    /// It can't be had, and why; what it was before stays wished.
    Mistaken(String),
    /// It is being deleted, but these need it.
    Needed(Vec<UnitId>),
    /// It is being deleted, and not wished any more.
    Leaving,
}

/// The objects' units, as they were last judged.
#[derive(Debug)]
pub struct Documents {
    grants: Grants,
    scopes: BTreeMap<Scope, Judged>,
}

impl Documents {
    /// Begins with what an earlier run wished last.
    pub fn new(grants: Grants, wished: impl IntoIterator<Item = Arc<Want>>) -> Self {
        let mut scopes: BTreeMap<Scope, Judged> = BTreeMap::new();
        for want in wished {
            let judged = scopes.entry(want.unit.id.scope.clone()).or_default();
            judged.wants.insert(want.unit.id.clone(), want);
        }
        Self { grants, scopes }
    }

    /// Judges the namespaces in which something changed, and those that may get a port now.
    pub fn judge(&mut self, world: &World, changed: &BTreeSet<Scope>) {
        let mut due = changed.clone();
        // One that gives way may free another. There is an end to it, or two that give way to each other would go on for ever.
        let mut rounds = self.scopes.len() + changed.len();
        while !due.is_empty() {
            let before = self.ports(None);
            for scope in std::mem::take(&mut due) {
                self.judge_one(world, &scope);
            }
            if before != self.ports(None) && rounds > 0 {
                rounds -= 1;
                due = self.waiting().cloned().collect();
            }
        }
    }

    fn judge_one(&mut self, world: &World, scope: &Scope) {
        let taken = self.ports(Some(scope));
        let judged = self.scopes.entry(scope.clone()).or_default();
        let scene = Scene::new(world, scope, &judged.wants, &taken, &self.grants);
        *judged = scene.judge();
        if judged.is_empty() {
            self.scopes.remove(scope);
        }
    }

    /// Namespaces in which somebody wants a port that another namespace has.
    fn waiting(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter().filter(|(_, judged)| judged.wants_ports).map(|(scope, _)| scope)
    }

    /// The host ports that are wished, but those of one namespace.
    fn ports(&self, but: Option<&Scope>) -> BTreeMap<Claim, UnitId> {
        let others = self.scopes.iter().filter(|(scope, _)| Some(*scope) != but);
        let wants = others.flat_map(|(_, judged)| judged.wants.values());
        let ports = wants.flat_map(|want| want.claims.iter().map(|claim| (claim, &want.unit.id)));
        let ports = ports.filter(|(claim, _)| matches!(claim, Claim::HostPort(..)));
        ports.map(|(claim, unit)| (claim.clone(), unit.clone())).collect()
    }

    /// All that is wished.
    pub fn wants(&self) -> impl Iterator<Item = &Arc<Want>> {
        self.scopes.values().flat_map(|judged| judged.wants.values())
    }

    /// A unit as it is wished.
    pub fn want(&self, unit: &UnitId) -> Option<&Arc<Want>> {
        self.scopes.get(&unit.scope)?.wants.get(unit)
    }

    /// How each object stands.
    pub fn standings(&self) -> impl Iterator<Item = (&UnitId, &Standing)> {
        self.scopes.values().flat_map(|judged| &judged.standings)
    }

    /// Objects that could be wished but for our finalizer.
    pub fn unfinalized(&self) -> impl Iterator<Item = &UnitId> {
        self.scopes.values().flat_map(|judged| &judged.unfinalized)
    }

    /// What somebody has said must go: of units that are wished by nobody any more.
    pub fn confirmed(&self, world: &World) -> BTreeSet<UnitId> {
        let leaving = self.standings().filter(|(_, standing)| **standing == Standing::Leaving).map(|(unit, _)| unit);
        leaving.chain(&world.left).filter(|unit| self.want(unit).is_none()).cloned().collect()
    }
}

impl World {
    /// The ConfigMaps and Secrets that are named.
    pub fn names(&self) -> BTreeSet<DataName> {
        self.objects.values().flat_map(|object| object.names.iter().cloned()).collect()
    }

    /// Of those, the ones of which nothing was heard.
    pub fn unheard(&self) -> BTreeSet<DataName> {
        self.names().into_iter().filter(|name| !self.data.contains_key(name)).collect()
    }
}
