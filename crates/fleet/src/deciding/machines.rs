//! The backend: what there is of the fleet is its machines' rows, and a step is the writing of a target.
//!
//! Nothing is written but by who leads, which the store itself checks, and nothing to a row that isn't as it was seen when
//! that was decided: a machine that was out of reach, or not ready, and is it again, must not be taken down for free.

use super::{clock::Translator, phase::phase, roster::Roster};
use crate::store::{Machine, Millis, Store, StoreError, Term, Written};
use abide_reconcile::{
    Attend, Backend, Fault, Found, InstanceId, Kind, Look, Name, Order, Owner, Phase, Role, Seen, SourceId, Step,
    UnitId, UnitSpec, Want,
    spec::unit::{MachineTarget, Unit},
    with_causes,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A want that a machine is on `commit`.
pub(super) fn want(unit: UnitId, commit: &str) -> Want {
    Want::new(Arc::new(Unit {
        id: unit,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: UnitSpec::Machine(Arc::new(MachineTarget { commit: commit.to_owned() })),
        config_maps: BTreeMap::new(),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        insecure_registries: Vec::new(),
    }))
}

/// A machine as a unit of the source.
pub(super) fn unit(source: &SourceId, machine: &Name) -> UnitId {
    UnitId { scope: source.0.clone(), kind: Kind::Machine, name: machine.clone(), index: 0 }
}

/// The machines of a fleet, for one term of leading.
pub(super) struct Machines {
    pub(super) store: Arc<dyn Store>,
    pub(super) roster: Arc<Roster>,
    pub(super) term: Term,
    pub(super) source: SourceId,
    pub(super) clock: Translator,
    /// The world's clock.
    pub(super) world: fn() -> Millis,
    pub(super) wants: Mutex<BTreeMap<Name, (String, Arc<Want>)>>,
}

impl Backend for Machines {
    fn observe(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault> {
        self.roster.refresh().map_err(|error| fault(&error))?;
        let rows: Vec<Arc<Machine>> = match look {
            Look::All => self.roster.machines().into_values().collect(),
            Look::Units(units) => units.iter().filter_map(|unit| self.roster.machine(&unit.name)).collect(),
        };
        let clock = self.clock.translation();
        let mut found = BTreeMap::new();
        for row in rows {
            let Some((written, phase)) = row.target.as_ref().zip(phase(&row, clock)) else { continue };
            let want = self.want(&row.name, &written.commit.to_string());
            let instance = written.instance;
            let seen = Seen { instance, role: Role::Active, phase, want, attempt: written.attempt };
            let owner = Some(Owner { source: self.source.clone(), reclaim: Default::default() });
            found.insert(
                unit(&self.source, &row.name),
                Found { instances: vec![Arc::new(seen)], owner, stamp: stamp(&row) },
            );
        }
        Ok(found)
    }

    fn run(&self, order: &Order, _attend: &dyn Attend) -> Result<(), Fault> {
        match &order.step {
            Step::Start { want, attempt, .. } => self.write(order, |_| Some((order.ticket, want, *attempt))),
            Step::Update { instance, to } => self.write(order, |row| {
                let target = row.target.as_ref().filter(|target| target.instance == *instance)?;
                // What failed is started anew.
                let phase = phase(row, self.clock.translation())?;
                if matches!(phase, Phase::Exited { .. }) {
                    return None;
                }
                // A version that exits counts its own exits.
                let is_same = target.commit.to_string() == commit(to);
                Some((*instance, to, if is_same { target.attempt } else { 0 }))
            }),
            Step::Stop { instance } => self.stop(order, *instance),
            Step::Prepare { .. } | Step::Mark(_) | Step::Adopt(_) | Step::Forget { .. } | Step::Fence => Ok(()),
            Step::Activate { .. } | Step::Kill { .. } => {
                Err(Fault::Never("a machine is told a commit or isn't; there is nothing between".into()))
            }
        }
    }
}

impl Machines {
    /// Tells a machine what it is to be on.
    fn write<'a>(
        &self,
        order: &Order,
        target: impl FnOnce(&Machine) -> Option<(InstanceId, &'a Arc<Want>, u32)>,
    ) -> Result<(), Fault> {
        let row = self.roster.machine(&order.unit.name);
        let row = row.ok_or_else(|| Fault::Never("there is no such machine any more".into()))?;
        if row.revoked_at.is_some() {
            return Err(Fault::Never("it was revoked".into()));
        }
        let Some((instance, want, attempt)) = target(&row) else { return Err(changed()) };
        let commit = commit(want).parse().map_err(|error| Fault::Never(format!("{error}").into()))?;
        let written = Written { attempt, ..row.written(instance, commit, (self.world)()) };
        self.put(order, &row, Some(&written))
    }

    fn stop(&self, order: &Order, instance: InstanceId) -> Result<(), Fault> {
        let Some(row) = self.roster.machine(&order.unit.name) else { return Ok(()) };
        match &row.target {
            Some(target) if target.instance == instance => self.put(order, &row, None),
            _ => Ok(()),
        }
    }

    /// Writes to a row, if it is what the Reconciler saw, and still is.
    fn put(&self, order: &Order, row: &Machine, target: Option<&Written>) -> Result<(), Fault> {
        if order.stamp != stamp(row) {
            return Err(changed());
        }
        let (name, version) = (&order.unit.name, row.version);
        let is_written = self.store.write_target(&self.term, name, version, target).map_err(|error| fault(&error))?;
        if is_written { Ok(()) } else { Err(changed()) }
    }

    /// Wants are kept from look to look: most machines stay on a commit for long.
    fn want(&self, name: &Name, commit: &str) -> Arc<Want> {
        let mut wants = self.wants.lock().unwrap_or_else(PoisonError::into_inner);
        match wants.get(name) {
            Some((known, want)) if known == commit => Arc::clone(want),
            _ => {
                let made = Arc::new(want(unit(&self.source, name), commit));
                wants.insert(name.clone(), (commit.to_owned(), Arc::clone(&made)));
                made
            }
        }
    }
}

/// The version of a row in which there is anything to see.
fn stamp(row: &Machine) -> u64 {
    row.target.as_ref().map_or(0, |_| row.version.unsigned_abs())
}

fn commit(want: &Want) -> &str {
    match &want.unit.spec {
        UnitSpec::Machine(target) => &target.commit,
        _ => "",
    }
}

fn changed() -> Fault {
    Fault::Again("it changed since it was looked at".into())
}

pub(super) fn fault(error: &StoreError) -> Fault {
    Fault::Again(with_causes(error).into())
}
