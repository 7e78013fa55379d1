//! What planning costs: the core alone, against a world that obeys at once.

use crate::{effect::apply, wishes};
use abide_reconcile::{
    Away, Command, Complete, Event, Group, Kind, Limits, Look, Name, Observed, Permit, Phase, Reconciler, Record,
    SourceId, Time, UnitId, Want, Wave, Wish,
};
use serde_json::json;
use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

const LIMITS: Limits = Limits {
    orders_max: 16,
    prepares_max: 16,
    silence_max: Time::from_secs(60),
    retry_min: Time::from_secs(1),
    retry_max: Time::from_secs(60),
    resync: Time::from_secs(1_000_000),
    steady: Time::ZERO,
    proof: Time::ZERO,
    proof_probed: Time::ZERO,
    tries_max: 2,
    removals_max: 2,
    removals_percent_max: 30,
};

/// Any clock that doesn't go back: what is of interest are differences.
pub type Clock<'c> = &'c dyn Fn() -> Duration;

/// Time spent in the core, over all calls of it.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// How many units.
    pub units: usize,
    /// From nothing to all of them running.
    pub bring_up: Time,
    /// A full look in which nothing has changed.
    pub look: Time,
    /// The mean of single changes.
    pub one_change: Time,
    /// From all of one version to all of another.
    pub replace: Time,
    /// The same again, as one group of three waves of which a quarter may be unavailable.
    pub roll: Time,
    /// From all of them to nothing.
    pub remove: Time,
}

/// Measures with this many units, in chains of ten that need each other, by a clock of the caller's.
pub fn measure(units: usize, clock: Clock<'_>) -> Costs {
    let mut bench = Bench {
        agent: Reconciler::new(LIMITS, 1),
        source: SourceId(Name::new("bench").expect("a name")),
        units: BTreeMap::new(),
        permits: Vec::new(),
        now: Time::ZERO,
        clock,
        spent: Time::ZERO,
        generation: 0,
        is_grouped: false,
    };
    let bring_up = bench.wish(units, 1);
    let look = bench.look_again();
    let one_change = bench.touch_some();
    let replace = bench.wish(units, 2);
    bench.is_grouped = true;
    let roll = bench.wish(units, 3);
    bench.is_grouped = false;
    let remove = bench.wish(0, 4);
    assert!(bench.units.is_empty(), "{} units are left", bench.units.len());
    Costs { units, bring_up, look, one_change, replace, roll, remove }
}

/// A table of 1,000 to 100,000 units.
pub fn table(clock: Clock<'_>) -> String {
    let mut table =
        "| units | bring-up | full look | one change | replace all | in waves | remove all |\n|---|---|---|---|---|---|---|"
            .to_owned();
    for units in [1_000, 10_000, 100_000] {
        let Costs { bring_up, look, one_change, replace, roll, remove, .. } = measure(units, clock);
        table += &format!(
            "\n| {units} | {bring_up:.1?} | {look:.1?} | {one_change:.1?} | {replace:.1?} | {roll:.1?} | {remove:.1?} |"
        );
    }
    table
}

struct Bench<'c> {
    agent: Reconciler,
    source: SourceId,
    units: BTreeMap<UnitId, Arc<Record>>,
    permits: Vec<Arc<Permit>>,
    now: Time,
    clock: Clock<'c>,
    spent: Time,
    generation: u64,
    is_grouped: bool,
}

impl Bench<'_> {
    fn want(&self, n: usize, version: u64) -> Arc<Want> {
        let needs = if n.is_multiple_of(10) { json!([]) } else { json!([{ "unit": format!("Container/u{}", n - 1) }]) };
        let spec = json!({ "image": format!("good:{version}"), "dependsOn": needs });
        wishes::unit(&self.source, Kind::Container, &format!("u{n}"), spec, 0)
    }

    fn wish(&mut self, count: usize, version: u64) -> Time {
        let units: Vec<Arc<Want>> = (0..count).map(|n| self.want(n, version)).collect();
        let groups = if self.is_grouped { BTreeMap::from([waves(&units)]) } else { BTreeMap::new() };
        let wish = Complete::new(units).and_then(|wish| wish.with_groups(groups)).expect("chains");
        let wish = Wish::Complete(Arc::new(wish));
        self.generation += 1;
        let event = Event::Wish { source: self.source.clone(), generation: self.generation, wish };
        self.spend(|agent, now| agent.handle(now, event));
        self.settle()
    }

    fn look_again(&mut self) -> Time {
        self.now += LIMITS.resync;
        self.settle()
    }

    fn touch_some(&mut self) -> Time {
        let units: Vec<UnitId> = self.units.keys().step_by(self.units.len().div_ceil(1_000)).cloned().collect();
        let count = u32::try_from(units.len()).expect("about a thousand");
        let mut total = Time::ZERO;
        for unit in units {
            let record = self.units.get_mut(&unit).expect("it was listed");
            Arc::make_mut(&mut Arc::make_mut(record).instances[0]).attempt += 1;
            self.spend(|agent, now| agent.handle(now, Event::Changed([unit].into())));
            total += self.settle();
        }
        total / count
    }

    /// Obeys until there is nothing left to do; returns the time the core took since the last call.
    fn settle(&mut self) -> Time {
        loop {
            let mut is_done = true;
            while let Some(command) = self.spend(Reconciler::poll) {
                is_done = false;
                let event = self.obey(command);
                self.spend(|agent, now| agent.handle(now, event));
            }
            self.now += Time::from_millis(1);
            if is_done {
                let held = self.agent.plan().held;
                if held.is_empty() {
                    return std::mem::take(&mut self.spent);
                }
                self.permits.extend(held.into_values().map(Arc::new));
                self.now += LIMITS.resync;
            }
        }
    }

    fn obey(&mut self, command: Command) -> Event {
        match command {
            Command::Observe { ticket, what } => {
                let find = |unit: &UnitId| self.units.get_key_value(unit).map(|(k, v)| (k.clone(), Arc::clone(v)));
                let units = match what {
                    Look::All => self.units.clone(),
                    Look::Units(units) => units.iter().filter_map(find).collect(),
                };
                Event::Seen { ticket, world: Observed { units, permits: self.permits.iter().cloned().collect() } }
            }
            Command::Run { ticket, unit, step, .. } => {
                let record = Arc::make_mut(self.units.entry(unit.clone()).or_default());
                apply(record, self.now, ticket, unit.kind, step);
                for seen in &mut record.instances {
                    if let Phase::Running { started, ready: None, failing } = seen.phase {
                        Arc::make_mut(seen).phase = Phase::Running { started, ready: Some(self.now), failing };
                    }
                }
                if *record == Record::default() {
                    self.units.remove(&unit);
                }
                Event::Done { ticket, unit, result: Ok(()) }
            }
            Command::Accept { ticket, .. } => Event::Accepted { ticket, result: Ok(()) },
            Command::Cancel(_) => unreachable!("nothing is slow here"),
        }
    }

    fn spend<T>(&mut self, call: impl FnOnce(&mut Reconciler, Time) -> T) -> T {
        let start = (self.clock)();
        let result = call(&mut self.agent, self.now);
        self.spent += (self.clock)() - start;
        result
    }
}

/// A tenth, then half of the rest, then the other half. Who is needed doesn't come later than who needs it.
fn waves(units: &[Arc<Want>]) -> (Name, Group) {
    let (first, rest) = units.split_at(units.len() / 10);
    let (second, third) = rest.split_at(rest.len() / 2);
    let wave =
        |units: &[Arc<Want>]| Wave { members: units.iter().map(|want| want.unit.id.clone()).collect(), bad_max: 0 };
    let group = Group {
        waves: [first, second, third].map(wave).into(),
        unavailable_max: NonZeroUsize::new(units.len() / 4).unwrap_or(NonZeroUsize::MIN),
        soak: Time::ZERO,
        ready_within: None,
        paused: false,
        away: Away::Counts,
    };
    (Name::new("all").expect("a name"), group)
}
