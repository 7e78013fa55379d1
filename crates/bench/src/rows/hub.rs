//! One hub process and many machines, each a connection over real TLS on the loopback.
//!
//! ```text
//!  git commit ─► the hub reads it, checks it, wishes it ─► a target a machine, in SQLite ─► told ─► reported ready ─► proven
//!     │ began                                                                            │ the last one              │ done
//! ```
//!
//! The machines need the same processors as the hub. So what is the hub's own, its processor time and memory, is told
//! apart, and is the same whatever else the machine does; times are of both together.

use super::Row;
use crate::{
    Problem,
    figure::{Figure, Statistic, Unit},
    fleet::Fleet,
    measure::Spread,
    process::{cpu, memory},
    programs::release,
};
use nix::unistd::Pid;
use std::{
    env,
    path::Path,
    thread,
    time::{Duration, Instant},
};

pub(crate) const ROW: Row = Row {
    name: "hub",
    what: "a hub with 1,000 and 10,000 machines: commit → all told, nothing to tell, all come back; memory and CPU",
    measure,
};

const COUNTS: [usize; 2] = [1_000, 10_000];
/// Other numbers of machines, with commas between: 100,000 need 20 GiB.
const OTHERS: &str = "ABIDE_BENCH_MACHINES";
const COMMITS: usize = 3;
/// A machine polls this often, and for so long nothing happens. It is really eight minutes: the time would be wasted.
const WAIT: Duration = Duration::from_secs(60);

fn measure() -> Result<Vec<Figure>, Problem> {
    let program = release("abide-cli", "abide")?;
    let counts = match env::var(OTHERS) {
        Ok(counts) => counts.split(',').map(|count| count.trim().parse()).collect::<Result<_, _>>()?,
        Err(_) => COUNTS.to_vec(),
    };
    let fleets: Vec<Vec<Figure>> = counts.iter().map(|count| of(&program, *count)).collect::<Result<_, _>>()?;
    Ok(fleets.into_iter().flatten().collect())
}

fn of(program: &Path, count: usize) -> Result<Vec<Figure>, Problem> {
    let mut fleet = Fleet::begin(program, count, WAIT)?;
    let hub = fleet.hub()?;
    let each = |total: f64| total / count as f64;
    let named =
        |what: &str, unit, samples: Vec<f64>| Figure::new(format!("{count}: {what}"), unit, Spread::of(samples));
    let begun = memory(hub)?.proportional;
    let (came, coming) = spending(hub, || {
        let came = fleet.push("first")?;
        fleet.until_done()?;
        Ok(came)
    })?;
    let (mut told, mut done, mut telling) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..COMMITS {
        let began = Instant::now();
        let (time, used) = spending(hub, || {
            let time = fleet.push(&n.to_string())?;
            fleet.until_done()?;
            Ok(time)
        })?;
        told.push(time.as_secs_f64());
        done.push(began.elapsed().as_secs_f64());
        telling.push(each(used));
    }
    let polls = fleet.metric("abide_hub_polls_total")?;
    let began = Instant::now();
    let ((), idle) = spending(hub, || {
        thread::sleep(WAIT);
        Ok(())
    })?;
    let share = idle / began.elapsed().as_secs_f64();
    let polls = fleet.metric("abide_hub_polls_total")? - polls;
    let full = memory(hub)?.proportional;
    let back = fleet.restart()?.as_secs_f64();
    let again = cpu(fleet.hub()?)?.as_secs_f64();
    let storm = memory(fleet.hub()?)?.proportional;
    let mut told = named("commit → all told", Unit::Milliseconds, told);
    if count == 10_000 {
        told = told.at_most(Statistic::Median, 10_000.0);
    }
    Ok(vec![
        told,
        named("commit → proven on all", Unit::Milliseconds, done),
        named("that, of the hub's CPU a machine", Unit::Microseconds, telling),
        named("all come at once, and are told", Unit::Milliseconds, vec![came.as_secs_f64()]),
        named("that, of the hub's CPU a machine", Unit::Microseconds, vec![each(coming)]),
        named("nothing to tell, a poll a minute each: of a core", Unit::PercentOfCore, vec![share]),
        named("a poll, of the hub's CPU", Unit::Microseconds, vec![idle / polls as f64]),
        named("memory, PSS", Unit::Mebibytes, vec![full]),
        named("memory a machine, over none", Unit::Kibibytes, vec![each(full - begun)]),
        named("the hub was killed → all are back", Unit::Milliseconds, vec![back]),
        named("that, of the hub's CPU a machine", Unit::Microseconds, vec![each(again)]),
        named("memory then, PSS", Unit::Mebibytes, vec![storm]),
    ])
}

/// Does it, and tells how much of a processor the hub has used meanwhile, in seconds.
fn spending<T>(hub: Pid, work: impl FnOnce() -> Result<T, Problem>) -> Result<(T, f64), Problem> {
    let before = cpu(hub)?;
    let done = work()?;
    Ok((done, (cpu(hub)? - before).as_secs_f64()))
}
