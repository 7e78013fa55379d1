//! A push that brings up many containers, against as many calls of `runc run -d` on the same files.
//!
//! Ours: from the start of `git push` until the agent says that all of them run, with repository, network, addresses, logs and
//! all. The peer's: a bundle whose root has the same files, in namespaces of its own, without an address. The folders of what
//! runs are in memory on both sides, as they are below `/run`.

use super::{MANY, Row, plain};
use crate::{
    Problem, agent,
    figure::{Figure, Statistic, Unit},
    measure::Duel,
    world::{World, in_memory},
};
use abide_lab::rig::Unit as UnitStatus;
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub(crate) const ROW: Row =
    Row { name: "many", what: "push → 100 containers running, against `runc run -d` 100 times", measure };

const TURNS: usize = 5;
/// Between two looks at how many run.
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);

fn measure() -> Result<Vec<Figure>, Problem> {
    let bundle = tempfile::tempdir()?;
    make_bundle(bundle.path())?;
    let duel = Duel::fight(TURNS, ours, || peers(bundle.path()))?;
    Ok(vec![
        Figure::new("push → 100 containers running", Unit::Milliseconds, duel.ours),
        Figure::new("runc run -d, 100 times", Unit::Milliseconds, duel.peers),
        Figure::new("ratio", Unit::Times, duel.ratio).at_most(Statistic::Median, 0.5),
    ])
}

fn ours() -> Result<Duration, Problem> {
    let world = World::begin()?;
    // The image is there, as the peer's is.
    world.run(plain(1));
    world.declare(plain(1 + MANY));
    world.repository.commit("many");
    let socket = world.rig.root().join("run/agent.sock");
    let start = Instant::now();
    let mut push = world.repository.command(&["push", "-q", "origin", "main"]);
    let mut push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    while running(&socket)? <= MANY {
        if start.elapsed() > PATIENCE {
            return Err(format!("after {} s, {} run", PATIENCE.as_secs(), running(&socket)?).into());
        }
        thread::sleep(PAUSE);
    }
    let time = start.elapsed();
    if !push.wait()?.success() {
        return Err("the push failed".into());
    }
    world.end();
    Ok(time)
}

/// How many have a process.
fn running(socket: &Path) -> Result<usize, Problem> {
    let snapshot = agent::get(socket)?.ok_or("the agent is gone")?;
    let is_running = |unit: &&UnitStatus| unit.instances.iter().any(|instance| instance.state == "running");
    Ok(snapshot.units.iter().filter(is_running).count())
}

fn peers(bundle: &Path) -> Result<Duration, Problem> {
    let state = tempfile::tempdir()?;
    let mounted = in_memory(state.path())?;
    let runc = |arguments: &[&str], name: &str| -> Result<(), Problem> {
        let mut command = Command::new("runc");
        command.arg("--root").arg(state.path()).args(arguments).arg(name).current_dir(bundle);
        // Containers keep what they are given open.
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("runc {arguments:?} {name}: {status}").into()) }
    };
    let names: Vec<String> = (0..MANY).map(|n| format!("abide-bench-{}-{n}", std::process::id())).collect();
    let start = Instant::now();
    let ran = names.iter().try_for_each(|name| runc(&["run", "-d"], name));
    let time = start.elapsed();
    let gone = names.iter().map(|name| runc(&["delete", "--force"], name)).collect::<Result<Vec<()>, _>>();
    drop(mounted);
    ran.and(gone)?;
    Ok(time)
}

fn make_bundle(folder: &Path) -> Result<(), Problem> {
    let root = folder.join("rootfs");
    fs::create_dir(&root)?;
    fs::copy(abide_lab::hello(), root.join("hello"))?;
    let output = Command::new("runc").arg("spec").current_dir(folder).output();
    let output = output.map_err(|error| format!("the peer is runc: {error}"))?;
    if !output.status.success() {
        return Err(format!("runc spec: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/hello"]);
    // Raising it takes a right that not every root has.
    config["process"]["rlimits"] = json!([]);
    fs::write(&path, serde_json::to_vec(&config)?)?;
    Ok(())
}
