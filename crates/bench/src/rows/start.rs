//! From the execution of the agent to its first answer.

use super::Row;
use crate::{
    Problem, agent,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
    process::Ended,
    world,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

pub(crate) const ROW: Row =
    Row { name: "start", what: "execution of the agent → first answer on its socket", measure };

const TURNS: usize = 30;
const PAUSE: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(10);

fn measure() -> Result<Vec<Figure>, Problem> {
    let rig = world::rig()?;
    let socket = rig.root().join("run/agent.sock");
    let mut times = Vec::new();
    // The first one makes the root's folders; later ones find it as agents do.
    for turn in 0..=TURNS {
        let mut command = rig.command(&["agent"]);
        let start = Instant::now();
        let mut child = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        ask(&socket, start)?;
        let time = start.elapsed();
        kill(Pid::from_raw(child.0.id().cast_signed()), Signal::SIGTERM)?;
        child.0.wait()?;
        times.extend((turn > 0).then_some(time));
    }
    let root = rig.root();
    drop(rig);
    world::forget(&root);
    let figure = Figure::new("the agent", Unit::Milliseconds, Spread::of_times(times));
    Ok(vec![figure.at_most(Statistic::Median, 20.0)])
}

fn ask(socket: &Path, start: Instant) -> Result<(), Problem> {
    while agent::get(socket)?.is_none() {
        if start.elapsed() > PATIENCE {
            return Err("no agent answers".into());
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
