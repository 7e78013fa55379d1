//! `abide logs`: what a unit printed, read from its files over rotation.
//!
//! ```text
//! state/log/<unit>/ 3-7.log.2  3-7.log.1  3-7.log      the oldest first, of one instance
//!                   4-1.log                             a newer instance: `-f` goes on with it
//! ```

mod file;
mod line;

use crate::{
    args::units::Logs,
    exit::{Done, Exit, Failure},
    here::Here,
    output::{Format, try_write},
    source::snapshot,
    units,
};
use abide_host::time::rfc3339;
use abide_reconcile::{InstanceId, Kind};
use file::{Reader, instances};
use line::Line;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(crate) fn run(here: &Here, command: &Logs) -> Done {
    let snapshot = snapshot(here)?;
    let unit = units::id(units::find_among(&snapshot, &command.unit, &[Kind::Container, Kind::VirtualMachine])?)?;
    let folder = abide_instance::log_directory(&here.paths, &unit);
    // Before anything is read: what comes meanwhile is noticed.
    let watch = if command.follow { Some(watch(&folder)?) } else { None };
    let ids = instances(&folder)?;
    let chosen = if command.previous { ids.iter().nth_back(1) } else { ids.last() };
    let Some(id) = chosen else {
        let which = if command.previous { "no instance before the present one" } else { "nothing" };
        return Err(Failure::failed(format!(
            "{unit} has logs of {which}: {} is where they would be",
            folder.display()
        )));
    };
    let mut reader = Reader::open(&folder, *id);
    let past = past(&mut reader, command)?;
    if !past.iter().all(|line| show(line, command.output.format)) {
        return Ok(Exit::Done);
    }
    match watch {
        Some(watch) => follow(&folder, reader, &watch, command.output.format),
        None => Ok(Exit::Done),
    }
}

/// What was printed so far, as far as it is asked for.
fn past(reader: &mut Reader, command: &Logs) -> Result<VecDeque<Line>, Failure> {
    let from = command.since.map(|span| before(span.0));
    let most = command.tail.unwrap_or(usize::MAX);
    let mut lines = VecDeque::new();
    reader.read(&mut |line| {
        if from.as_ref().is_none_or(|from| line.time.as_str() >= from.as_str()) {
            lines.push_back(line);
            if lines.len() > most {
                lines.pop_front();
            }
        }
    })?;
    Ok(lines)
}

/// The time so long ago, as logs write it.
fn before(span: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = now.saturating_sub(span);
    rfc3339(then.as_secs(), then.subsec_nanos())
}

fn watch(folder: &Path) -> Result<Inotify, Failure> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).map_err(Failure::doing("watching the logs"))?;
    let flags = AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_DELETE_SELF;
    let added = inotify.add_watch(folder, flags);
    added.map_err(Failure::doing(&format!("watching the logs in {}", folder.display())))?;
    Ok(inotify)
}

/// Shows what comes, of the newest instance, until the unit is gone for good or nobody looks any more.
fn follow(folder: &Path, mut reader: Reader, watch: &Inotify, format: Format) -> Done {
    loop {
        let mut is_read = true;
        reader.read(&mut |line| is_read &= show(&line, format))?;
        if !is_read {
            return Ok(Exit::Done);
        }
        let newer: Option<InstanceId> = instances(folder)?.into_iter().find(|id| *id > reader.instance());
        if let Some(id) = newer {
            reader = Reader::open(folder, id);
            continue;
        }
        let events = watch.read_events().map_err(Failure::doing("watching the logs"))?;
        if events.iter().any(|event| event.mask.intersects(AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_IGNORED)) {
            return Ok(Exit::Done);
        }
    }
}

/// Prints a line; tells whether anybody reads on.
fn show(line: &Line, format: Format) -> bool {
    match format {
        // As it was printed: its colours are its own.
        Format::Text => try_write(&[&line.text[..], b"\n"].concat()),
        Format::Json => try_write((serde_json::to_string(line).unwrap_or_default() + "\n").as_bytes()),
        Format::Yaml => try_write(format!("---\n{}", serde_yaml::to_string(line).unwrap_or_default()).as_bytes()),
    }
}
