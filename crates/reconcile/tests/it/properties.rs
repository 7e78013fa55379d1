//! What holds for all wishes, on a machine that obeys.

use crate::{
    machine::{Machine, settle},
    notation::{self, NOW},
};
use abide_reconcile::{
    Command, Complete, Event, InstanceId, Limits, Observed, Outcome, Plan, Reconciler, Role, SourceId, Time, UnitId,
    Wish, preview,
    preview::{Action, Change},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One unit of a random wish.
#[derive(Clone, Debug)]
struct Drawn {
    is_there: bool,
    version: u8,
    tier: u8,
    needs: Option<usize>,
    seat: u8,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let unit = (prop::bool::weighted(0.8), 0..3_u8, 0..2_u8, prop::option::of(0..5_usize), 0..6_u8);
    unit.prop_map(|(is_there, version, tier, needs, seat)| Drawn { is_there, version, tier, needs, seat })
}

fn wishes(count: usize) -> impl Strategy<Value = Vec<Vec<Drawn>>> {
    prop::collection::vec(prop::collection::vec(drawn(), 5), count)
}

/// Needs point backwards; two volumes and a host port change hands; unit 0 is a job.
fn complete(source: &SourceId, units: &[Drawn]) -> Arc<Complete> {
    let mut lines = vec!["Volume/v0 {}".to_owned(), "Volume/v1 {reclaim: Delete}".to_owned()];
    let mut taken = BTreeSet::new();
    for (n, drawn) in units.iter().enumerate().filter(|(_, drawn)| drawn.is_there) {
        let mut spec = format!("image: {}:{}", if n == 0 { "job" } else { "app" }, drawn.version);
        if n == 0 {
            spec += ", restartPolicy: OnFailure";
        }
        if let Some(need) = drawn.needs.filter(|need| *need < n && units[*need].is_there) {
            let condition = if need == 0 { "Completed" } else { "Ready" };
            spec += &format!(", dependsOn: [{{unit: Container/u{need}, condition: {condition}}}]");
        }
        let seat = drawn.seat;
        match seat {
            0 | 1 if n > 0 && taken.insert(seat) => {
                spec += &format!(", volumes: [{{volume: v{seat}, mountPath: /data}}]");
            }
            2 if n > 0 && taken.insert(seat) => {
                let port = if source.to_string() == "a" { 8000 } else { 9000 };
                spec += &format!(", ports: [{{port: 80, hostPort: {port}}}]");
            }
            3 => spec += ", hostNetwork: true",
            _ => {}
        }
        lines.push(format!("Container/u{n} {{{spec}}} {{tier: t{}}}", drawn.tier));
    }
    notation::wish(source, lines.iter().map(String::as_str))
}

fn tell(core: &mut Reconciler, now: Time, source: &SourceId, generation: u64, wish: &Arc<Complete>) {
    let wish = Wish::Complete(Arc::clone(wish));
    core.handle(now, Event::Wish { source: source.clone(), generation, wish });
}

/// Of each unit what serves.
fn serving(machine: &Machine) -> BTreeMap<UnitId, InstanceId> {
    let serving = machine.units.iter().filter_map(|(unit, record)| Some((unit.clone(), record.serving()?.instance)));
    serving.collect()
}

fn matches(machine: &Machine, wish: &Complete) -> bool {
    let is_there = |(unit, want): (&UnitId, &Arc<_>)| {
        let Some(record) = machine.units.get(unit) else { return false };
        match &record.instances[..] {
            [] => record.has_completed(want),
            [seen] => seen.want == *want && seen.role == Role::Active,
            _ => false,
        }
    };
    wish.units().iter().all(is_there) && machine.units.keys().all(|unit| wish.units().contains_key(unit))
}

/// What serves before and after must be what was foretold of the unit.
fn is_as_told(change: Option<&Change>, before: Option<&InstanceId>, after: Option<&InstanceId>) -> bool {
    match change.map(|change| &change.action) {
        None | Some(Action::Update) => before == after,
        // A job is over when it is looked at.
        Some(Action::Create | Action::Start) => before.is_none(),
        Some(Action::Replace(_)) => before.is_some() && before != after,
        Some(Action::End | Action::Remove(_)) => after.is_none(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn each_wish_comes_true_as_it_was_foretold(wishes in wishes(4)) {
        let (mut core, mut machine, mut now) = (Reconciler::new(Limits::default(), 1), Machine::default(), NOW);
        let source = notation::source("a");
        for (generation, drawn) in (1..).zip(&wishes) {
            let wish = complete(&source, drawn);
            let before = serving(&machine);
            let told = preview(&core, &source, &wish);
            tell(&mut core, now, &source, generation, &wish);
            prop_assert_eq!(core.source_outcome(&source), Outcome::Pending);
            prop_assert!(settle(&mut core, &mut machine, &mut now), "{:#?}", core.plan());
            prop_assert!(matches(&machine, &wish), "{:#?}", machine.units);
            let after = serving(&machine);
            for unit in before.keys().chain(after.keys()).chain(told.changes.keys()) {
                let (change, before, after) = (told.changes.get(unit), before.get(unit), after.get(unit));
                prop_assert!(is_as_told(change, before, after), "{unit}: {change:?} {before:?} {after:?}");
            }
            prop_assert_eq!(core.plan(), Plan::default());
            prop_assert!(preview(&core, &source, &wish).is_empty());
            prop_assert!(core.status(now).settled && core.source_is_settled(&source));
            prop_assert_eq!(core.source_outcome(&source), Outcome::Settled);
        }
    }

    /// Without an agent, all that is known is the world.
    #[test]
    fn a_preview_needs_no_more_than_the_world(wishes in wishes(2)) {
        let (mut core, mut machine, mut now) = (Reconciler::new(Limits::default(), 1), Machine::default(), NOW);
        let source = notation::source("a");
        tell(&mut core, now, &source, 1, &complete(&source, &wishes[0]));
        prop_assert!(settle(&mut core, &mut machine, &mut now));
        let units = machine.units.iter().map(|(unit, record)| (unit.clone(), Arc::new(record.clone()))).collect();
        let world = Observed { units, permits: machine.permits.clone() };
        let stranger = Reconciler::of_world(Limits::default(), world);
        for drawn in &wishes {
            let wish = complete(&source, drawn);
            let told = preview(&core, &source, &wish);
            let mut foretold = preview(&stranger, &source, &wish);
            // Of a job that is over nobody but the agent knows what it was.
            for (unit, change) in &mut foretold.changes {
                if let Some(told) = told.changes.get(unit).filter(|_| change.action == Action::Start) {
                    change.fields.clone_from(&told.fields);
                }
            }
            prop_assert_eq!(told, foretold);
        }
    }

    /// Neither who speaks first matters, nor how much of the world is looked at in one go.
    #[test]
    fn the_plan_does_not_depend_on_the_order_of_events(
        wishes in wishes(4), order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle()
    ) {
        let (mut core, mut machine, mut now) = (Reconciler::new(Limits::default(), 1), Machine::default(), NOW);
        let sources = ["a", "b"].map(notation::source);
        for (source, drawn) in sources.iter().zip(&wishes) {
            tell(&mut core, now, source, 1, &complete(source, drawn));
        }
        prop_assert!(settle(&mut core, &mut machine, &mut now), "{:#?}", core.plan());
        let next: Vec<_> = sources.iter().zip(&wishes[2..]).map(|(source, drawn)| complete(source, drawn)).collect();
        let mut plans = [vec![0, 1], order].map(|order| {
            let limits = Limits { orders_max: 0, prepares_max: 0, ..Limits::default() };
            let mut core = Reconciler::new(limits, 2);
            see_and_accept(&mut core, &machine, now);
            let units: Vec<&UnitId> = machine.units.keys().collect();
            for n in order {
                match n {
                    0 | 1 => tell(&mut core, now, &sources[n], 2, &next[n]),
                    _ => core.handle(now, Event::Changed([units[n % units.len()].clone()].into())),
                }
                if n % 3 == 0 {
                    see_and_accept(&mut core, &machine, now);
                }
            }
            see_and_accept(&mut core, &machine, now);
            core.plan()
        });
        prop_assert_eq!(std::mem::take(&mut plans[0]), std::mem::take(&mut plans[1]));
    }
}

fn see_and_accept(core: &mut Reconciler, machine: &Machine, now: Time) {
    while let Some(command) = core.poll(now) {
        match command {
            Command::Observe { ticket, .. } => {
                let units = machine.units.iter().map(|(unit, record)| (unit.clone(), Arc::new(record.clone())));
                let world = Observed { units: units.collect(), permits: machine.permits.clone() };
                core.handle(now, Event::Seen { ticket, world });
            }
            Command::Accept { ticket, .. } => core.handle(now, Event::Accepted { ticket, result: Ok(()) }),
            other => panic!("nothing may be ordered: {other:?}"),
        }
    }
}
