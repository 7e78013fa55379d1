//! From `kubectl apply` of a container to its being ready, as a watch of the API server sees it.
//!
//! ```text
//! kubectl apply ──► written ──► finalizer ──► container starts ──► first probe ──► status written: Ready
//!    │ began           │ the watch sees this version of it                            │ and this version as ready
//! ```
//!
//! The API server's own write is from the start of kubectl to the first event; what is above it is the rest.

use super::Row;
use crate::{
    Problem,
    api::Watch,
    cluster::Cluster,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) const ROW: Row =
    Row { name: "apply", what: "kubectl apply of a container → it is Ready, its image present", measure };

const TURNS: usize = 30;

/// How long a version took.
struct Times {
    until_written: Duration,
    until_ready: Duration,
}

fn measure() -> Result<Vec<Figure>, Problem> {
    let cluster = Cluster::begin(&["n1"])?;
    let watch = cluster.api.watch("containers")?;
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    // The image comes with the first one.
    for turn in 0..=TURNS {
        let name = format!("web-{turn}");
        for (generation, greeting, times) in [(1, "one", &mut new), (2, "two", &mut changed)] {
            let mut container = cluster.nodes[0].container(&name, greeting);
            container["spec"]["readiness"] = json!({ "http": { "port": 8080, "path": "/healthz" } });
            let time = apply(&cluster, &watch, &container, generation)?;
            times.extend((turn > 0).then_some(time));
        }
    }
    cluster.api.delete_all("containers")?;
    cluster.nodes[0].until_units(0)?;
    cluster.end();
    let figure = |what: &str, times: &[Times], time: fn(&Times) -> Duration| {
        Figure::new(what, Unit::Milliseconds, Spread::of_times(times.iter().map(time)))
    };
    Ok(vec![
        figure("a new one: kubectl begins → written", &new, |times| times.until_written),
        figure("a new one: written → Ready", &new, |times| times.until_ready - times.until_written)
            .at_most(Statistic::Median, 300.0),
        figure("a new one: all of it", &new, |times| times.until_ready),
        figure("a changed one: written → Ready", &changed, |times| times.until_ready - times.until_written)
            .at_most(Statistic::Median, 300.0),
    ])
}

fn apply(cluster: &Cluster, watch: &Watch, container: &Value, generation: u64) -> Result<Times, Problem> {
    let name = container["metadata"]["name"].as_str().unwrap_or_default();
    let began = Instant::now();
    cluster.server.apply(&container.to_string());
    let is_it = |object: &crate::api::Object| object.name() == name && object.generation() == generation;
    let written = watch.until(&format!("{name} to be written"), is_it)?;
    let ready = if written.object.is_ready() {
        written.at
    } else {
        watch.until(&format!("{name} to be ready"), |object| is_it(object) && object.is_ready())?.at
    };
    Ok(Times { until_written: written.at - began, until_ready: ready - began })
}
