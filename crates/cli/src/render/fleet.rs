//! A fleet in words: its machines, and how commits get to them.

use super::{
    count, short,
    style::{Style, Tone},
    table::{Cell, cell, table},
};
use abide_fleet::admin::{
    machine::{Machine, Machines, State},
    rollout::{Rollout, RolloutState, Rollouts, Wave},
};
use std::collections::BTreeMap;

/// Machines, a line each, and how many of them are how.
pub(crate) fn machines(machines: &Machines, style: Style) -> String {
    if machines.machines.is_empty() {
        return "no such machine: `abide hub token create` lets some in\n".to_owned();
    }
    let head = ["MACHINE", "STATE", "TOLD", "IN FORCE", "LABELS", ""].map(|text| cell(text).toned(Tone::Faint));
    let rows: Vec<[Cell; 6]> = machines.machines.iter().map(row).collect();
    let mut states: BTreeMap<State, usize> = BTreeMap::new();
    machines.machines.iter().for_each(|machine| *states.entry(machine.state).or_default() += 1);
    let states: Vec<String> = states.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    let summary = format!("{}: {}\n", count(machines.machines.len(), "machine"), states.join(", "));
    table("", &[&[head][..], &rows].concat(), style) + &summary
}

fn row(machine: &Machine) -> [Cell; 6] {
    let labels: Vec<String> = machine.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let commit = |commit: &str| if commit.is_empty() { "-".to_owned() } else { short(commit).to_owned() };
    [
        cell(&machine.name),
        cell(machine.state.as_str()).toned(tone(machine.state)),
        cell(commit(&machine.commit)),
        cell(commit(&machine.in_force)),
        cell(labels.join(",")),
        cell(machine.message.lines().next().unwrap_or_default()),
    ]
}

fn tone(state: State) -> Tone {
    match state {
        State::Ready => Tone::Good,
        State::Changing | State::Waiting => Tone::Waiting,
        State::Failed | State::Refused | State::Cloned => Tone::Bad,
        State::Suspended | State::Away | State::Revoked => Tone::Faint,
    }
}

/// Roll-outs, each with its waves.
pub(crate) fn rollouts(rollouts: &Rollouts, style: Style) -> String {
    let mut text = match rollouts.commit.as_str() {
        "" => "nothing was rolled out yet\n".to_owned(),
        commit => format!("commit {}\n", style.paint(Tone::Strong, short(commit))),
    };
    if !rollouts.message.is_empty() {
        let message = style.paint(Tone::Plain, &rollouts.message);
        text += &format!("{}: {message}\n", style.paint(Tone::Bad, &rollouts.state));
    }
    for rollout in &rollouts.rollouts {
        text += &format!("\n{}", self::rollout(rollout, style));
    }
    text
}

fn rollout(rollout: &Rollout, style: Style) -> String {
    let Rollout { name, state, why, unavailable, unavailable_max, waves } = rollout;
    let tone = match state {
        RolloutState::Done => Tone::Good,
        RolloutState::Rolling => Tone::Waiting,
        RolloutState::Paused => Tone::Faint,
        RolloutState::Stopped => Tone::Bad,
    };
    let mut text = format!(
        "{}  {}  {unavailable} unavailable, {unavailable_max} may be\n",
        style.paint(Tone::Strong, name),
        style.paint(tone, state.as_str())
    );
    if !why.is_empty() {
        text += &format!("  {why}\n");
    }
    let head = ["WAVE", "MACHINES", "PROVED", "SOAKED", "PENDING", "BAD", "AWAY", ""];
    let head = head.map(|text| cell(text).toned(Tone::Faint));
    let rows: Vec<[Cell; 8]> = waves.iter().enumerate().map(|(n, wave)| wave_row(n, wave)).collect();
    text + &table("  ", &[&[head][..], &rows].concat(), style)
}

fn wave_row(n: usize, wave: &Wave) -> [Cell; 8] {
    let Wave { machines, is_open, pending, soaked, proved, bad, away } = *wave;
    [
        cell((n + 1).to_string()),
        cell(machines.to_string()),
        cell(proved.to_string()),
        cell(soaked.to_string()),
        cell(pending.to_string()),
        cell(bad.to_string()).toned(if bad > 0 { Tone::Bad } else { Tone::Plain }),
        cell(away.to_string()),
        cell(if is_open { "" } else { "not yet" }).toned(Tone::Faint),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_as_people_see_it() {
        let machine = |name: &str, state, message: &str| Machine {
            name: name.to_owned(),
            state,
            message: message.to_owned(),
            commit: "6f1c2ab9c0ffee00000000000000000000000000".to_owned(),
            in_force: String::new(),
            labels: [("site".to_owned(), "berlin".to_owned())].into(),
            version: String::new(),
            enrolled_at: 0,
            heard_at: 0,
            silent_since: None,
        };
        let fleet = Machines {
            machines: vec![
                machine("till-1", State::Ready, ""),
                machine("till-2", State::Failed, "Container/web exited with 3\nand more"),
                machine("till-10", State::Ready, ""),
            ],
        };
        insta::assert_snapshot!("machines", machines(&fleet, Style::Plain));
    }

    #[test]
    fn roll_outs_as_people_see_them() {
        let wave = |machines, is_open, pending, proved, bad| Wave {
            machines,
            is_open,
            pending,
            soaked: 0,
            proved,
            bad,
            away: 0,
        };
        let tills = Rollout {
            name: "tills".to_owned(),
            state: RolloutState::Stopped,
            why: "1 machines of wave 1 of 2 failed with it".to_owned(),
            unavailable: 0,
            unavailable_max: 4,
            waves: vec![wave(1, false, 0, 0, 1), wave(19, false, 19, 0, 0)],
        };
        let shown = Rollouts {
            commit: "6f1c2ab9c0ffee00000000000000000000000000".to_owned(),
            newest: "7e57ab1e00000000000000000000000000000000".to_owned(),
            tip: "7e57ab1e00000000000000000000000000000000".to_owned(),
            state: "refused".to_owned(),
            message: "commit 7e57ab1e0000 is not in force: fleet.yaml:3:1: unknown field".to_owned(),
            rollouts: vec![tills],
        };
        insta::assert_snapshot!("rollouts", rollouts(&shown, Style::Plain));
        insta::assert_snapshot!("no_rollouts", rollouts(&Rollouts::default(), Style::Plain));
    }
}
