//! Memory: of an agent with nothing to do, of one with many containers, and of the keepers.

use super::{MANY, Row, plain};
use crate::{
    Problem,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
    process::{memory, parent},
    world::World,
};
use nix::unistd::Pid;
use std::{thread, time::Duration};

pub(crate) const ROW: Row =
    Row { name: "memory", what: "memory of agents (proportional, PSS) and keepers (private)", measure };

/// Threads and buffers of what was done before are gone after that.
const CALM: Duration = Duration::from_secs(15);

fn measure() -> Result<Vec<Figure>, Problem> {
    let world = World::begin()?;
    thread::sleep(CALM);
    let alone = memory(world.agent())?.proportional;
    world.run(plain(MANY));
    thread::sleep(CALM);
    let busy = memory(world.agent())?.proportional;
    let mut private = Vec::new();
    for unit in world.rig.get().units {
        private.push(memory(parent(Pid::from_raw(unit.pid()))?)?.private);
    }
    world.end();
    let figure = |what: &str, samples| Figure::new(what, Unit::Mebibytes, Spread::of(samples));
    Ok(vec![
        figure("an agent with nothing to do", vec![alone]).at_most(Statistic::Median, 8.0),
        figure("an agent with 100 containers", vec![busy]).at_most(Statistic::Median, 12.0),
        figure("a keeper's own", private).at_most(Statistic::Maximum, 0.1),
    ])
}
