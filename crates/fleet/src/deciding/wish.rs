//! What is wished of the Reconciler: that each machine of the fleet is on the commit, in the order that the roll-outs say.
//!
//! A machine is in the first roll-out of `fleet.yaml` that selects it. Who is in none gets the commit all the same: in one
//! more group, of one wave.

use super::machines::{unit, want};
use crate::store::Machine;
use abide_reconcile::{
    Away, Complete, Digest, Group, Name, SourceId, Want, Wave,
    spec::fleet::{FleetFile, Labels, RolloutSpec},
    want::Invalid,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Wants, kept from one wish to the next: most of them are the same.
#[derive(Debug, Default)]
pub(super) struct Wants {
    commit: String,
    of: BTreeMap<Name, Arc<Want>>,
}

/// A wish, and what tells it apart from others of the same commit.
pub(super) struct Wished {
    pub(super) complete: Complete,
    pub(super) name: String,
}

impl Wants {
    /// The wish that these machines are on `commit`, but for those that were revoked, and those that no rule of the tree
    /// gives anything to run: these are told nothing, and run what they run.
    pub(super) fn wish(
        &mut self,
        source: &SourceId,
        commit: &str,
        file: &FleetFile,
        machines: &BTreeMap<Name, Arc<Machine>>,
        paused: &BTreeSet<String>,
    ) -> Result<Wished, Invalid> {
        if self.commit != commit {
            *self = Self { commit: commit.to_owned(), of: BTreeMap::new() };
        }
        let (enrolled, others): (Vec<_>, Vec<_>) = machines.values().partition(|machine| is_told(file, machine));
        let known = &mut self.of;
        let wants = enrolled.iter().map(|machine| {
            let made = || Arc::new(want(unit(source, &machine.name), commit));
            Arc::clone(known.entry(machine.name.clone()).or_insert_with(made))
        });
        let labels = enrolled.iter().map(|machine| (machine.name.clone(), machine.labels.clone())).collect();
        let complete = Complete::new(wants)?.with_groups(groups(source, file, labels, paused))?;
        let complete = complete.confirming(others.iter().map(|machine| unit(source, &machine.name)));
        // Which removals are confirmed is news, too.
        let text = format!("{} {:?}", complete.digest(), complete.confirmed());
        let told_apart: String = Digest::of(text.as_bytes()).to_string().chars().take(12).collect();
        Ok(Wished { complete, name: format!("{commit}+{told_apart}") })
    }
}

/// Whether a machine is to be told anything.
pub(super) fn is_told(file: &FleetFile, machine: &Machine) -> bool {
    machine.revoked_at.is_none() && !file.spec().content_of(&machine.name).paths.is_empty()
}

/// Whether the same is wished of a machine as before it changed. Nothing else of its row has a part in a wish.
pub(super) fn is_wished_as(before: &Machine, now: &Machine) -> bool {
    before.labels == now.labels && before.revoked_at.is_some() == now.revoked_at.is_some()
}

/// The groups of these machines, by their labels on the hub.
fn groups(
    source: &SourceId,
    file: &FleetFile,
    mut machines: BTreeMap<Name, Labels>,
    paused: &BTreeSet<String>,
) -> BTreeMap<Name, Group> {
    let mut groups = BTreeMap::new();
    for (name, spec) in &file.rollouts {
        let members = machines.extract_if(.., |_, labels| spec.selects(labels)).collect();
        groups.insert(name.clone(), group(source, spec, &members, paused.contains(name.as_str())));
    }
    if !machines.is_empty() {
        let name = rest(file);
        let is_paused = paused.contains(name.as_str());
        groups.insert(name, group(source, &RolloutSpec::default(), &machines, is_paused));
    }
    groups
}

/// What the roll-out is called that nobody wrote.
fn rest(file: &FleetFile) -> Name {
    let is_free = |name: &Name| file.rollouts.iter().all(|(other, _)| other != name);
    let names = ["all".to_owned(), "rest".to_owned()].into_iter().chain((2..).map(|n| format!("rest-{n}")));
    names.filter_map(|name| Name::new(&name).ok()).find(is_free).expect("a file has an end")
}

fn group(source: &SourceId, spec: &RolloutSpec, machines: &BTreeMap<Name, Labels>, is_paused: bool) -> Group {
    let wave = |members: BTreeSet<Name>| Wave {
        members: members.iter().map(|name| unit(source, name)).collect(),
        bad_max: usize::try_from(spec.failures_max).unwrap_or(usize::MAX),
    };
    Group {
        waves: spec.waves(machines).into_iter().map(wave).collect(),
        unavailable_max: spec.unavailable_max(machines.len()),
        soak: spec.soak.0,
        ready_within: Some(spec.progress_deadline.0),
        paused: spec.paused || is_paused,
        // At the edge some always are, and nobody took them down.
        away: Away::Exempt,
    }
}
