//! From a push to the answer of what it changed.
//!
//! ```text
//! git push ──► pre-receive ──► references move ──► post-receive ──► … ──► the new container answers on the host's port
//!    │ began       │ received                          │ landed                      │ who asks sees its greeting
//! ```
//!
//! Hooks say when they begin by a line that is put into them, whose process is part of what is measured. The container has
//! a readiness probe, so the new one answers on the port only when it is ready, while the old one is still there.

use super::Row;
use crate::{
    Problem,
    asker::Asker,
    figure::{Figure, Statistic, Unit},
    measure::Spread,
    world::{Container, World},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(crate) const ROW: Row =
    Row { name: "push", what: "push of a changed container → it answers HTTP, its image present", measure };

const TURNS: usize = 100;
const HOOKS: [&str; 2] = ["pre-receive", "post-receive"];

fn measure() -> Result<Vec<Figure>, Problem> {
    let port = abide_lab::host_port();
    let world = World::begin()?;
    let container = |turn: usize| Container {
        name: "web".to_owned(),
        greeting: format!("turn {turn}."),
        host_port: Some(port.number),
        has_readiness: true,
    };
    world.run([container(0)]);
    let marks = HOOKS.map(|hook| world.rig.path(&format!("{hook}-began")));
    for (hook, mark) in HOOKS.iter().zip(&marks) {
        has_to_say(&world.rig.path("infra.git/hooks").join(hook), mark)?;
    }
    let asker = Asker::new(port.number);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for turn in 1..=TURNS {
        world.declare([container(turn)]);
        world.repository.commit("a turn");
        let began = SystemTime::now();
        let mut push = world.repository.command(&["push", "-q", "origin", "main"]);
        let mut push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        asker.until(&format!("turn {turn}."))?;
        let answered = SystemTime::now();
        if !push.wait()?.success() {
            return Err(format!("push {turn} failed").into());
        }
        let [received, landed] = [time_of(&marks[0])?, time_of(&marks[1])?];
        for (times, from) in times.iter_mut().zip([began, received, landed]) {
            // An answer may come before the last hook has begun.
            times.push(answered.duration_since(from).unwrap_or_default());
        }
    }
    world.end();
    let [began, received, landed] = times.map(Spread::of_times);
    let figure = |what: &str, spread| Figure::new(what, Unit::Milliseconds, spread);
    Ok(vec![
        figure("from the start of `git push`", began),
        figure("from received (pre-receive begins)", received)
            .at_most(Statistic::Median, 150.0)
            .at_most(Statistic::Percentile99, 300.0),
        figure("from landed (post-receive begins)", landed),
    ])
}

fn has_to_say(hook: &Path, mark: &Path) -> Result<(), Problem> {
    let text = fs::read_to_string(hook)?;
    let (first, rest) = text.split_once('\n').ok_or("the hook is no script")?;
    fs::write(hook, format!("{first}\ndate +%s%N >'{}'\n{rest}", mark.display()))?;
    Ok(())
}

fn time_of(mark: &PathBuf) -> Result<SystemTime, Problem> {
    Ok(UNIX_EPOCH + Duration::from_nanos(fs::read_to_string(mark)?.trim().parse()?))
}
