//! From the kill of a container's process to its answer.
//!
//! Each container is killed once: who exits again and again is kept waiting, and that is no figure but a rule.

use super::Row;
use crate::{
    Problem,
    asker::Asker,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
    world::{Container, World},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::time::Instant;

pub(crate) const ROW: Row =
    Row { name: "heal", what: "kill of a container's process → it runs again and answers, first time", measure };

const TURNS: usize = 20;

fn measure() -> Result<Vec<Figure>, Problem> {
    let ports: Vec<_> = (0..TURNS).map(|_| abide_lab::host_port()).collect();
    let world = World::begin()?;
    world.run(ports.iter().enumerate().map(|(n, port)| Container {
        name: format!("web-{n}"),
        greeting: "here".to_owned(),
        host_port: Some(port.number),
        has_readiness: false,
    }));
    let before = world.rig.get();
    let mut times = Vec::new();
    for (n, port) in ports.iter().enumerate() {
        let asker = Asker::new(port.number);
        asker.until("requests: 1\n")?;
        let process = Pid::from_raw(before.unit(&format!("Container/web-{n}")).pid());
        let start = Instant::now();
        kill(process, Signal::SIGKILL)?;
        // Servers count from one; the one that was killed has counted further.
        asker.until("requests: 1\n")?;
        times.push(start.elapsed());
        world.rig.settled();
    }
    world.end();
    let figure = Figure::new("until it answers HTTP", Unit::Milliseconds, Spread::of_times(times));
    Ok(vec![figure.at_most(Statistic::Median, 100.0)])
}
