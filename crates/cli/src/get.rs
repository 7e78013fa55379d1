//! `abide get`

use crate::{
    args::units::Get,
    client::{Client, Heard},
    exit::{Done, Exit, Failure},
    here::Here,
    hub,
    output::{self, Format},
    render::{status, style::Style},
    source::snapshot,
    units,
};
use abide_agent::api::{Request, Snapshot};
use std::{
    io::{self, IsTerminal},
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// A burst of happenings is shown once.
const PAUSE: Duration = Duration::from_millis(200);

/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(crate) fn run(here: &Here, command: &Get) -> Done {
    if command.fleet {
        let Get { labels, state, revision, .. } = command;
        return hub::machines(here, command.output.format, labels, *state, revision.as_deref());
    }
    let is_read = show(&chosen(here, command)?, command);
    if command.watch && is_read { watch(here, command) } else { Ok(Exit::Done) }
}

/// How things stand, of the units that are asked for.
fn chosen(here: &Here, command: &Get) -> Result<Snapshot, Failure> {
    let mut snapshot = snapshot(here)?;
    if let Some(text) = &command.unit {
        let unit = units::find(&snapshot, text)?.clone();
        snapshot.sources.retain(|source| source.name == unit.source);
        snapshot.units = vec![unit];
    }
    Ok(snapshot)
}

/// Tells whether anybody reads on.
fn show(snapshot: &Snapshot, command: &Get) -> bool {
    let style = Style::of_output();
    let is_redrawn = command.watch && command.output.format == Format::Text && io::stdout().is_terminal();
    let is_begun = !is_redrawn || output::try_say(CLEAR);
    is_begun
        && output::print(command.output.format, snapshot, || match command.unit {
            Some(_) => status::units(snapshot.units.iter(), style),
            None => status::snapshot(snapshot, style),
        })
}

/// Shows it again with each change: whatever happens is a reason to ask anew.
fn watch(here: &Here, command: &Get) -> Done {
    let Some(agent) = Client::connect(&here.paths.agent_socket())? else {
        return Err(Failure::failed("no agent runs here, so nothing changes: leave out `--watch`"));
    };
    let (mut last, mut shown) = (chosen(here, command)?, Instant::now());
    let mut failed = None;
    agent.ask(Request::Events { follow: true }, &mut |heard| {
        if matches!(heard, Heard::Reply(_)) && shown.elapsed() < PAUSE {
            return ControlFlow::Continue(());
        }
        shown = Instant::now();
        match chosen(here, command) {
            Ok(snapshot) if snapshot == last => ControlFlow::Continue(()),
            Ok(snapshot) => {
                last = snapshot;
                if show(&last, command) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }
            Err(failure) => {
                failed = Some(failure);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(Exit::Done), Err)
}
