//! What a hub keeps of 10,000 machines: read, reported and told, in each database.

use super::Row;
use crate::{
    Problem,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
};
use abide_fleet::{
    protocol::{MachineState, ObjectId, Report},
    store::{Fact, Machine, Millis, NewMachine, Store, Term, open},
};
use abide_lab::Postgres;
use abide_reconcile::InstanceId;
use abide_spec::Name;
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

pub(crate) const ROW: Row = Row { name: "store", what: "10,000 machines in a hub's SQLite and PostgreSQL", measure };

const MACHINES: usize = 10_000;
const TURNS: usize = 5;
/// Reports that are written together, as a hub does that has many.
const BATCH: usize = 100;
/// Targets that a hub's Reconciler has under way.
const AT_ONCE: usize = 32;
/// Machines come by the thousand, each in a transaction of its own.
const COMING_AT_ONCE: usize = 8;
const NOW: Millis = Millis(1_790_000_000_000);

fn measure() -> Result<Vec<Figure>, Problem> {
    let folder = tempfile::tempdir()?;
    let server = Postgres::start();
    let file = folder.path().join("hub.sqlite").display().to_string();
    let mut figures = of("SQLite", &*open(&file)?)?;
    figures.extend(of("PostgreSQL", &*open(&server.url(&server.database()))?)?);
    Ok(figures)
}

fn of(database: &str, store: &dyn Store) -> Result<Vec<Figure>, Problem> {
    let names: Vec<Name> = (0..MACHINES).map(|n| Name::new(&format!("machine-{n}"))).collect::<Result<_, _>>()?;
    let coming = time(|| {
        side_by_side(&names, COMING_AT_ONCE, |name| {
            let (key, recipient) = (format!("{:0>88}", name.as_str()), format!("age1{:0>58}", name.as_str()));
            Ok(store.adopt(&NewMachine { name: name.clone(), key, serial: NOW.0, recipient }, NOW)?)
        })
    })?;
    let term = store.lead("bench", NOW, Duration::from_secs(3600))?.ok_or("somebody else leads")?;
    let reporting = times(|turn| report(store, &names, turn))?;
    let telling = times(|turn| tell(store, &term, turn))?;
    let reading = times(|_| expect(store.changes(0)?.machines.len() == MACHINES))?;
    let upto = store.changes(0)?.upto;
    let asking = times(|_| expect(store.changes(upto)?.machines.is_empty()))?;
    let figure = |what: &str, spread| Figure::new(format!("{database}: {what}"), Unit::Milliseconds, spread);
    Ok(vec![
        figure("10,000 machines come, 8 at once", Spread::of_times([coming])),
        figure("10,000 reports, 100 a transaction", Spread::of_times(reporting)),
        figure("10,000 targets, 32 at once", Spread::of_times(telling)).at_most(Statistic::Median, 10_000.0),
        figure("all machines are read", Spread::of_times(reading)).at_most(Statistic::Median, 1_000.0),
        figure("nothing has changed", Spread::of_times(asking)),
    ])
}

fn report(store: &dyn Store, names: &[Name], turn: usize) -> Result<(), Problem> {
    for names in names.chunks(BATCH) {
        let fact = |name: &Name| {
            let units = BTreeMap::from([("ready".to_owned(), 12), ("changing".to_owned(), 1)]);
            let report = Report {
                session: "0123456789abcdef".to_owned(),
                sequence: turn as u64 + 1,
                state: MachineState::Ready,
                in_force: Some(ObjectId([7; 20])),
                units,
                ..Report::default()
            };
            Fact::Reported { name: name.clone(), report: Box::new(report), ready_since: Some(NOW), hub_since: NOW }
        };
        store.record(NOW, &names.iter().map(fact).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn tell(store: &dyn Store, term: &Term, turn: usize) -> Result<(), Problem> {
    let machines = store.changes(0)?.machines;
    let commit = ObjectId([u8::try_from(turn)?; 20]);
    side_by_side(&machines, AT_ONCE, |machine: &Machine| {
        let target = machine.written(InstanceId { epoch: 1, n: turn as u64 }, commit, NOW);
        Ok(store.write_target(term, &machine.name, machine.version, Some(&target))?)
    })
}

/// Does it with each, by so many threads, and all of it must be done.
fn side_by_side<T: Sync>(
    all: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<bool, Problem> + Sync,
) -> Result<(), Problem> {
    let done = |part: &[T]| part.iter().all(|one| work(one).unwrap_or(false));
    let all_done = thread::scope(|scope| {
        let parts: Vec<_> =
            all.chunks(all.len().div_ceil(threads)).map(|part| scope.spawn(move || done(part))).collect();
        parts.into_iter().all(|part| part.join().unwrap_or(false))
    });
    expect(all_done)
}

fn times(mut work: impl FnMut(usize) -> Result<(), Problem>) -> Result<Vec<Duration>, Problem> {
    (0..TURNS).map(|turn| time(|| work(turn))).collect()
}

fn time(work: impl FnOnce() -> Result<(), Problem>) -> Result<Duration, Problem> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn expect(is_so: bool) -> Result<(), Problem> {
    if is_so { Ok(()) } else { Err("the store didn't do what it was asked".into()) }
}
