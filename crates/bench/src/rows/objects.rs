//! Many objects that are created at once, until the agents of two nodes have them on their plans.
//!
//! ```text
//! created, no node ──► the controller writes one ──► its agent hears of it ──► finalizer ──► the wish ──► made ──► status
//!    │ began                                                                                  │ on the plan         │ Ready
//! ```
//!
//! They are volumes, which are made without starting a process: a thousand containers would measure the machine. On a plan is
//! what `abide get` shows on a node. Each turn is a cluster of its own, in which nothing was before.

use super::Row;
use crate::{
    Problem,
    cluster::{Cluster, Node},
    figure::{Figure, Statistic, Unit},
    measure::Spread,
};
use serde_json::{Value, json};
use std::{
    thread,
    time::{Duration, Instant},
};

pub(crate) const ROW: Row =
    Row { name: "objects", what: "250, 500, 1,000 objects created → all on their nodes' plans, two nodes", measure };

const TURNS: usize = 3;
const COUNTS: [usize; 3] = [250, 500, 1_000];
/// Through which they are created.
const CONNECTIONS: usize = 4;
/// Between two looks at what the agents know.
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(120);

/// Since the first one was begun to be created.
#[derive(Clone, Copy)]
struct Times {
    created: Duration,
    planned: Duration,
    ready: Duration,
}

fn measure() -> Result<Vec<Figure>, Problem> {
    let mut all = COUNTS.map(|_| Vec::new());
    for _ in 0..TURNS {
        for (count, times) in COUNTS.into_iter().zip(&mut all) {
            times.push(turn(count)?);
        }
    }
    let mut figures = Vec::new();
    for (count, times) in COUNTS.iter().zip(&all) {
        let figure = |what: &str, time: fn(&Times) -> Duration| {
            Figure::new(format!("{count}: {what}"), Unit::Milliseconds, Spread::of_times(times.iter().map(time)))
        };
        let planned = figure("→ on the plans", |times| times.planned);
        let is_most = *count == COUNTS[COUNTS.len() - 1];
        figures.push(figure("created", |times| times.created));
        figures.push(if is_most { planned.at_most(Statistic::Median, 10_000.0) } else { planned });
        figures.push(figure("last one created → on the plans", |times| times.planned.saturating_sub(times.created)));
        figures.push(figure("→ Ready in the cluster", |times| times.ready));
    }
    let [few, _, most] = &all;
    let ratios = few.iter().zip(most).map(|(few, most)| most.planned.as_secs_f64() / few.planned.as_secs_f64());
    let ratio = Figure::new("on the plans: 1,000 against 250", Unit::Times, Spread::of(ratios.collect()));
    figures.push(ratio.at_most(Statistic::Median, 6.0));
    Ok(figures)
}

fn turn(count: usize) -> Result<Times, Problem> {
    let mut cluster = Cluster::begin(&["n1", "n2"])?;
    cluster.control()?;
    let objects: Vec<Value> = (0..count).map(|n| volume(&format!("data-{n}"))).collect();
    let watch = cluster.api.watch("volumes")?;
    let began = Instant::now();
    cluster.api.create_all("volumes", &objects, CONNECTIONS)?;
    let created = began.elapsed();
    // Nobody is asked before: it costs an agent what it takes to tell all it knows.
    let planned = planned(&cluster, count, began)?;
    let ready = watch.until_ready(count)? - began;
    cluster.end();
    Ok(Times { created, planned, ready })
}

/// When the agents know all of them.
fn planned(cluster: &Cluster, count: usize, began: Instant) -> Result<Duration, Problem> {
    loop {
        let known = cluster.nodes.iter().map(Node::units).sum::<Result<usize, _>>()?;
        let now = began.elapsed();
        if known >= count {
            return Ok(now);
        }
        if now > PATIENCE {
            return Err(format!("after {} s, {known} of {count} are on the plans", PATIENCE.as_secs()).into());
        }
        thread::sleep(PAUSE);
    }
}

fn volume(name: &str) -> Value {
    json!({
        "apiVersion": "abide.dev/v1alpha1", "kind": "Volume", "metadata": { "name": name, "namespace": "default" },
        "spec": { "nodeSelector": {} },
    })
}
