//! `abide rollout`: how far roll-outs are, and what a person says to them.

mod looks;

use crate::{
    admin,
    args::{
        Output,
        rollout::{RolloutCommand, Status, Which},
    },
    exit::{Done, Exit, Failure},
    here::Here,
    output::{self, Format},
    render::{fleet, style::Style},
};
use abide_fleet::admin::{
    detail::Detail,
    rollout::{Look, Looked, Pause, Rollout, RolloutState, Rollouts},
};
use abide_spec::Name;
use looks::{Looks, Next};
use std::{
    io::{self, IsTerminal},
    thread,
    time::Duration,
};

/// How often the hub is asked while somebody watches.
const GLANCE: Duration = Duration::from_millis(500);

/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(crate) fn run(here: &Here, command: &RolloutCommand) -> Done {
    match command {
        RolloutCommand::Status(status) if status.watch => watch(here, status),
        RolloutCommand::Status(status) => {
            show(&read(here, status)?, status);
            Ok(Exit::Done)
        }
        RolloutCommand::Pause(which) => pause(here, which, true),
        RolloutCommand::Resume(which) => pause(here, which, false),
        RolloutCommand::Retry { machine, output } => retry(here, machine, *output),
    }
}

fn read(here: &Here, command: &Status) -> Result<Rollouts, Failure> {
    let mut rollouts: Rollouts = admin::get(here, "/admin/rollouts")?;
    let Some(name) = &command.name else { return Ok(rollouts) };
    let there: Vec<String> = rollouts.rollouts.iter().map(|rollout| rollout.name.clone()).collect();
    rollouts.rollouts.retain(|rollout| rollout.name == *name);
    if rollouts.rollouts.is_empty() {
        return Err(Failure::failed(format!("there is no roll-out {name:?}; there are: {}", there.join(", "))));
    }
    Ok(rollouts)
}

/// Tells whether anybody reads on.
fn show(rollouts: &Rollouts, command: &Status) -> bool {
    output::print(command.output.format, rollouts, || fleet::rollouts(rollouts, Style::of_output()))
}

/// Shows each change, until nothing moves any more.
fn watch(here: &Here, command: &Status) -> Done {
    let is_redrawn = command.output.format == Format::Text && io::stdout().is_terminal();
    let (mut shown, mut looks) = (None, Looks::default());
    loop {
        let now = read(here, command)?;
        if shown.as_ref() != Some(&now) {
            let is_read = (!is_redrawn || output::try_say(CLEAR)) && show(&now, command);
            if !is_read {
                return Ok(Exit::Done);
            }
        }
        let is_seen = command.commit.as_ref().map(|commit| now.newest.starts_with(commit.as_str()));
        match (is_seen, end(&now)) {
            (Some(true), Some(exit)) => return Ok(exit),
            // It is to be noticed soon.
            (Some(false), _) if looks.is_due(&now) => {
                let looked = look(here, command);
                if looked.is_passed {
                    let commit = command.commit.as_deref().unwrap_or_default();
                    let text = "isn't rolled out, or not any more: a later one took its place; `abide rollout status` shows it";
                    return Err(Failure::failed(format!("commit {commit} {text}")));
                }
                looks.take(&now, looked);
            }
            (None, Some(exit)) => match looks.judge(&now) {
                Next::Ask => {
                    looks.take(&now, look(here, command));
                    continue;
                }
                Next::Wait => {}
                Next::Believe => return Ok(exit),
                Next::Unheard(why) => {
                    output::complain(&format!("abide: this is of what the hub heard last: {why}\n"));
                    return Ok(exit);
                }
            },
            (Some(_), _) | (None, None) => {}
        }
        shown = Some(now);
        thread::sleep(GLANCE);
    }
}

/// Has the hub ask its repository. That it can't is no reason to say nothing.
fn look(here: &Here, command: &Status) -> Looked {
    let asked = Look { commit: command.commit.clone() };
    let looked = admin::ask(here, "POST", "/admin/repository/look", Some(&asked));
    looked.unwrap_or_else(|failure| Looked { trouble: failure.text, ..Looked::default() })
}

/// How it ended, if nothing moves any more.
fn end(rollouts: &Rollouts) -> Option<Exit> {
    let moves = |rollout: &&Rollout| match rollout.state {
        RolloutState::Rolling => true,
        // Who took the commit is on the way back.
        RolloutState::Stopped => rollout.unavailable > 0,
        RolloutState::Paused | RolloutState::Done => false,
    };
    if rollouts.rollouts.iter().any(|rollout| moves(&rollout)) {
        return None;
    }
    let is_done = rollouts.rollouts.iter().all(|rollout| rollout.state == RolloutState::Done);
    // It was seen, and what becomes of it is being written down.
    let is_coming = !rollouts.newest.is_empty() && rollouts.newest != rollouts.commit;
    match rollouts.state.as_str() {
        "refused" | "held" => Some(Exit::Refused),
        "following" | "unreachable" if is_coming => None,
        _ if is_done => Some(Exit::Done),
        _ => Some(Exit::Failed),
    }
}

fn pause(here: &Here, which: &Which, paused: bool) -> Done {
    let path = format!("/admin/rollouts/{}", admin::quoted(&which.name));
    let _: Rollouts = admin::ask(here, "PUT", &path, Some(&Pause { paused }))?;
    let word = if paused { "is paused: nobody is told a new commit" } else { "goes on" };
    output::words(which.output.format, &[format!("roll-out {} {word}", which.name)]);
    Ok(Exit::Done)
}

/// What is bad is remembered by who leads, which hears of it from the database.
fn retry(here: &Here, machine: &Name, output: Output) -> Done {
    let path = format!("/admin/machines/{}/retry", admin::quoted(machine.as_str()));
    let _: Detail = admin::ask(here, "POST", &path, None::<&()>)?;
    let words = format!("{machine} tries its commit again as soon as the hub that leads has heard of it");
    output::words(output.format, &[words]);
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_nothing_moves() {
        use RolloutState::{Done, Paused, Rolling, Stopped};
        let stories = [
            ("one", "following", Done, 0, Some(Exit::Done)),
            ("one", "following", Rolling, 1, None),
            ("one", "following", Paused, 0, Some(Exit::Failed)),
            ("one", "following", Stopped, 1, None),
            ("one", "following", Stopped, 0, Some(Exit::Failed)),
            ("one", "unreachable", Done, 0, Some(Exit::Done)),
            ("two", "following", Done, 0, None),
            ("two", "refused", Done, 0, Some(Exit::Refused)),
            ("two", "held", Done, 0, Some(Exit::Refused)),
            ("", "following", Done, 0, Some(Exit::Done)),
        ];
        for (newest, state, of, unavailable, exit) in stories {
            let (name, why, waves) = ("all".to_owned(), String::new(), Vec::new());
            let rollout = Rollout { name, state: of, why, unavailable, unavailable_max: 1, waves };
            let (commit, newest, state) = ("one".to_owned(), newest.to_owned(), state.to_owned());
            let now = Rollouts { commit, newest, state, rollouts: vec![rollout], ..Rollouts::default() };
            assert_eq!(end(&now), exit, "{now:?}");
        }
    }
}
