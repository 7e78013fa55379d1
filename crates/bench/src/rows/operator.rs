//! What an agent of a cluster's node costs that has nothing to do, with containers to watch over.

use super::{MANY, Row};
use crate::{
    Problem,
    cluster::Cluster,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
    process::{cpu, memory},
};
use serde_json::Value;
use std::{
    thread,
    time::{Duration, Instant},
};

pub(crate) const ROW: Row =
    Row { name: "operator", what: "a node's agent with 100 containers running and no probes, over 60 s", measure };

const SPAN: Duration = Duration::from_secs(60);
/// What was begun by the last change is over after that, events and statuses as well.
const CALM: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 4;

fn measure() -> Result<Vec<Figure>, Problem> {
    let cluster = Cluster::begin(&["n1"])?;
    let node = &cluster.nodes[0];
    thread::sleep(CALM);
    let alone = memory(node.agent())?.proportional;
    let watch = cluster.api.watch("containers")?;
    let containers: Vec<Value> = (0..MANY).map(|n| node.container(&format!("plain-{n}"), "plain")).collect();
    cluster.api.create_all("containers", &containers, CONNECTIONS)?;
    watch.until_ready(MANY)?;
    thread::sleep(CALM);
    let (start, before) = (Instant::now(), cpu(node.agent())?);
    thread::sleep(SPAN);
    let used = cpu(node.agent())? - before;
    let share = used.as_secs_f64() / start.elapsed().as_secs_f64();
    let busy = memory(node.agent())?.proportional;
    cluster.api.delete_all("containers")?;
    node.until_units(0)?;
    cluster.end();
    let figure = |what: &str, unit, sample| Figure::new(what, unit, Spread::of(vec![sample]));
    Ok(vec![
        figure("with 100 containers: of a core", Unit::PercentOfCore, share).at_most(Statistic::Median, 0.2),
        figure("with 100 containers: PSS", Unit::Mebibytes, busy).at_most(Statistic::Median, 25.0),
        figure("with nothing: PSS", Unit::Mebibytes, alone),
    ])
}
