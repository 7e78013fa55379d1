//! `abide get`

use crate::{
    args::units::Get,
    exit::{Done, Exit, Failure},
    here::Here,
    output,
    render::{status, style::Style},
    source::snapshot,
    units,
};
use abide_agent::api::Snapshot;

pub(crate) fn run(here: &Here, command: &Get) -> Done {
    show(&chosen(here, command)?, command);
    Ok(Exit::Done)
}

/// How things stand, of the units that are asked for.
fn chosen(here: &Here, command: &Get) -> Result<Snapshot, Failure> {
    let mut snapshot = snapshot(here)?;
    if let Some(text) = &command.unit {
        let unit = units::find(&snapshot, text)?.clone();
        snapshot.sources.retain(|source| source.name == unit.scope);
        snapshot.units = vec![unit];
    }
    Ok(snapshot)
}

fn show(snapshot: &Snapshot, command: &Get) {
    let style = Style::of_output();
    output::print(command.output.format, snapshot, || match command.unit {
        Some(_) => status::units(snapshot.units.iter(), style),
        None => status::snapshot(snapshot, style),
    });
}
