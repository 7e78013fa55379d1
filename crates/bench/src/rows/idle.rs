//! What an agent costs that has nothing to do, with containers to watch over.

use super::{MANY, Row, plain};
use crate::{
    Problem,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
    process::cpu,
    world::World,
};
use std::{
    thread,
    time::{Duration, Instant},
};

pub(crate) const ROW: Row =
    Row { name: "idle", what: "an agent with 100 containers running and no probes, over 60 s", measure };

const SPAN: Duration = Duration::from_secs(60);
/// What was begun by the last commit is over after that.
const CALM: Duration = Duration::from_secs(10);

fn measure() -> Result<Vec<Figure>, Problem> {
    let world = World::begin()?;
    world.run(plain(MANY));
    thread::sleep(CALM);
    let (start, before) = (Instant::now(), cpu(world.agent())?);
    thread::sleep(SPAN);
    let used = cpu(world.agent())? - before;
    let share = used.as_secs_f64() / start.elapsed().as_secs_f64();
    world.end();
    let figure = Figure::new("the agent", Unit::PercentOfCore, Spread::of(vec![share]));
    Ok(vec![figure.at_most(Statistic::Median, 0.1)])
}
