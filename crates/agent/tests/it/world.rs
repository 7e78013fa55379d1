//! A machine in memory: what its instances are, and what was done to them. It outlives agents, as a kernel does.

use abide_agent::{Details, Hints, Inspector};
use abide_reconcile::{
    Attend, Backend, Fault, Found, InstanceId, Kind, Look, Order, Phase, Progress, Role, Seen, Step, Time, UnitId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

#[derive(Debug, Default)]
struct State {
    units: BTreeMap<UnitId, Found>,
    /// Every instance that was ever started, by the name of its unit.
    started: Vec<(UnitId, InstanceId)>,
    /// Images that can't be pulled.
    missing: BTreeSet<String>,
    /// Images whose pull takes until somebody loses interest.
    endless: BTreeSet<String>,
    cancelled: usize,
    is_hidden: bool,
    epoch: u64,
    hints: Option<Hints>,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) fn now() -> Time {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
    Duration::from(now)
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A new agent begins: orders of those before it are dropped from now on.
    pub(crate) fn begin(&self, epoch: u64, hints: &Hints) {
        let mut state = self.state();
        state.epoch = epoch;
        state.hints = Some(hints.clone());
    }

    pub(crate) fn miss(&self, image: &str) {
        self.state().missing.insert(image.to_owned());
    }

    pub(crate) fn find(&self, image: &str) {
        self.state().missing.remove(image);
    }

    pub(crate) fn endless(&self, image: &str) {
        self.state().endless.insert(image.to_owned());
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.state().cancelled
    }

    /// Whether looks fail.
    pub(crate) fn hide(&self, is_hidden: bool) {
        self.state().is_hidden = is_hidden;
    }

    /// Live instances by unit, as `KIND/NAME`, with their images.
    pub(crate) fn live(&self) -> BTreeMap<String, Vec<(InstanceId, String)>> {
        let state = self.state();
        let live = state.units.iter().map(|(unit, found)| {
            let live = found.instances.iter().filter(|seen| seen.is_live());
            (short(unit), live.map(|seen| (seen.instance, image(seen))).collect::<Vec<_>>())
        });
        live.filter(|(_, live)| !live.is_empty()).collect()
    }

    pub(crate) fn owner(&self, unit: &str) -> Option<String> {
        let state = self.state();
        let (_, found) = state.units.iter().find(|(id, _)| short(id) == unit)?;
        found.owner.as_ref().map(|owner| owner.source.to_string())
    }

    /// How often instances of this unit were started.
    pub(crate) fn starts(&self, unit: &str) -> usize {
        self.state().started.iter().filter(|(id, _)| short(id) == unit).count()
    }

    /// The machine boots anew: nothing runs, and nothing is known of what ran. Data stays.
    pub(crate) fn reboot(&self) {
        self.state().units.retain(|unit, found| {
            found.instances.clear();
            unit.kind == Kind::Volume
        });
    }

    /// The first process of all instances of a unit ends.
    pub(crate) fn exit(&self, unit: &str, code: i32) {
        let mut state = self.state();
        let hints = state.hints.clone();
        let (id, found) = state.units.iter_mut().find(|(id, _)| short(id) == unit).expect("the unit is there");
        for seen in &mut found.instances {
            if let Phase::Running { started, .. } = seen.phase {
                Arc::make_mut(seen).phase = Phase::Exited { started, at: now(), code };
            }
        }
        hints.expect("an agent began").look(id.clone());
    }

    fn land(&self, state: &mut State, order: &Order) {
        let now = now();
        if let Step::Start { .. } = &order.step {
            state.started.push((order.unit.clone(), order.ticket));
        }
        let found = state.units.entry(order.unit.clone()).or_default();
        match &order.step {
            Step::Start { want, owner, attempt } => {
                found.owner = Some(owner.clone());
                let role = if order.unit.kind == Kind::Volume { Role::Active } else { Role::Candidate };
                let phase = Phase::Running { started: now, ready: Some(now), failing: false };
                let seen = Seen { instance: order.ticket, role, phase, want: Arc::clone(want), attempt: *attempt };
                found.instances.push(Arc::new(seen));
            }
            Step::Activate { instance } => {
                for seen in &mut found.instances {
                    let role = if seen.instance == *instance { Role::Active } else { Role::Retiring };
                    Arc::make_mut(seen).role = role;
                }
            }
            Step::Update { instance, to } => {
                let updated = found.instances.iter_mut().filter(|seen| seen.instance == *instance);
                updated.for_each(|seen| Arc::make_mut(seen).want = Arc::clone(to));
            }
            Step::Stop { instance } | Step::Kill { instance } => {
                found.instances.retain(|seen| seen.instance != *instance);
            }
            Step::Adopt(owner) => found.owner = Some(owner.clone()),
            Step::Forget { .. } => drop(state.units.remove(&order.unit)),
            Step::Prepare { .. } | Step::Mark(_) | Step::Fence => {}
        }
        let is_nothing = |found: &mut Found| found.instances.is_empty() && found.owner.is_none();
        state.units.retain(|_, found| !is_nothing(found));
        self.changed.notify_all();
    }

    fn prepare(&self, image: &str, attend: &dyn Attend) -> Result<(), Fault> {
        if self.state().missing.contains(image) {
            return Err(Fault::Again(format!("there is no image {image}").into()));
        }
        let mut state = self.state();
        while state.endless.contains(image) {
            if attend.is_cancelled() {
                state.cancelled += 1;
                return Err(Fault::Cancelled);
            }
            attend.progress(Progress { what: "pulling".into(), done: 1, total: None });
            state = self.changed.wait_timeout(state, Duration::from_millis(5)).unwrap().0;
        }
        Ok(())
    }
}

impl Backend for World {
    fn observe(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault> {
        let state = self.state();
        if state.is_hidden {
            return Err(Fault::Again("the world is hidden".into()));
        }
        let is_looked_at = |unit: &UnitId| match look {
            Look::All => true,
            Look::Units(units) => units.contains(unit),
        };
        let found = state.units.iter().filter(|(unit, _)| is_looked_at(unit));
        Ok(found.map(|(unit, found)| (unit.clone(), found.clone())).collect())
    }

    fn run(&self, order: &Order, attend: &dyn Attend) -> Result<(), Fault> {
        if let Step::Prepare { want } = &order.step {
            return self.prepare(&image_of(&want.unit), attend);
        }
        let mut state = self.state();
        if order.ticket.epoch < state.epoch {
            return Err(Fault::Cancelled);
        }
        self.land(&mut state, order);
        Ok(())
    }
}

/// One backend a kind: the world shown through a filter.
#[derive(Debug)]
pub(crate) struct OfKind(pub(crate) Arc<World>, pub(crate) Kind);

impl Backend for OfKind {
    fn observe(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault> {
        let mut found = self.0.observe(look)?;
        found.retain(|unit, _| unit.kind == self.1);
        Ok(found)
    }

    fn run(&self, order: &Order, attend: &dyn Attend) -> Result<(), Fault> {
        self.0.run(order, attend)
    }
}

impl Inspector for World {
    fn inspect(&self, _: &UnitId, instance: InstanceId) -> Option<Details> {
        let pid = i32::try_from(instance.n).ok();
        Some(Details { pid, address: Some(Ipv4Addr::LOCALHOST) })
    }

    fn exec(&self, _: &UnitId, _: InstanceId, _: &[String], _: Duration) -> Result<i32, Fault> {
        Ok(0)
    }
}

fn short(unit: &UnitId) -> String {
    format!("{}/{}", unit.kind, unit.name)
}

fn image(seen: &Seen) -> String {
    image_of(&seen.want.unit)
}

fn image_of(unit: &abide_reconcile::Unit) -> String {
    match &unit.spec {
        abide_reconcile::UnitSpec::Container(spec) => spec.image.clone(),
        _ => String::new(),
    }
}
