//! Stories: each file of `stories` tells what happens, and beside it stands what the core does about it.
//!
//! A line that begins with `|` was written by the core: what it orders, and then what its plan says. `ABIDE_UPDATE=1` writes
//! those lines anew. Every other line is a comment (`#`), a unit or group of the wish above it (indented, see [`crate::notation`]), or
//! one of:
//!
//! | line | what happens |
//! |---|---|
//! | `wish SOURCE GENERATION`, `preview SOURCE` | a source wishes, or would wish, the units below |
//! | `refused SOURCE GENERATION`, `withdrawn SOURCE GENERATION` | it says something else |
//! | `pass SECONDS` | time passes, and the core is woken when it wants to be |
//! | `exit UNIT CODE`, `unready UNIT`, `ready UNIT`, `failing UNIT` | something happens to its newest instance that runs |
//! | `away UNIT`, `back UNIT` | it is out of reach; it is not, and not ready yet |
//! | `hang UNIT`, `hang looks`, `land UNIT`, `land looks` | orders, or looks, are not answered; are carried out at last |
//! | `fault UNIT again WHY`, `fault UNIT never WHY`, `no fault UNIT` | orders fail; do no more |
//! | `appears UNIT`, `full`, `space` | a unit of source a turns up; nothing can be written; it can again |
//! | `allow`, `retry UNIT` | a person says yes to all that is held; wants it tried again |
//! | `restart`, `restart unheard`, `reboot` | the agent dies and is started again; no source says anything then; the machine is |
//! | `status` | is shown |

use crate::{
    machine::Machine,
    notation::{self, NOW, short},
};
use abide_reconcile::{
    Command, Complete, Event, Fault, GroupStatus, Limits, Phase, Reconciler, Record, SourceId, Time, WaveStatus, Wish,
    preview,
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Set to rewrite what is expected.
const UPDATE: &str = "ABIDE_UPDATE";

struct Story {
    now: Time,
    epoch: u64,
    core: Reconciler,
    machine: Machine,
    wishes: BTreeMap<SourceId, BTreeMap<u64, Arc<Complete>>>,
    text: String,
}

#[test]
fn stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/stories");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 20, "{paths:?}");
    let differing: Vec<String> = paths.iter().filter_map(|path| tell(path)).collect();
    assert!(differing.is_empty(), "{UPDATE}=1 rewrites these:\n{}", differing.join("\n"));
}

/// What is wrong with a story, if anything.
fn tell(path: &Path) -> Option<String> {
    let expected = fs::read_to_string(path).unwrap();
    let mut story = Story {
        now: NOW,
        epoch: 1,
        core: Reconciler::new(Limits::default(), 1),
        machine: Machine::default(),
        wishes: BTreeMap::new(),
        text: String::new(),
    };
    let lines: Vec<&str> = expected.lines().filter(|line| !line.starts_with('|')).collect();
    let mut at = 0;
    while at < lines.len() {
        let count = 1 + lines[at + 1..].iter().take_while(|line| line.starts_with("  ")).count();
        let (event, units) = lines[at..at + count].split_first().unwrap();
        lines[at..at + count].iter().for_each(|line| story.text += &format!("{line}\n"));
        if !event.is_empty() && !event.starts_with('#') {
            story.happen(event, units);
        }
        at += count;
    }
    if std::env::var_os(UPDATE).is_some() {
        fs::write(path, &story.text).unwrap();
        return None;
    }
    (story.text != expected).then(|| format!("{} should be:\n{}", path.display(), story.text))
}

impl Story {
    fn happen(&mut self, line: &str, units: &[&str]) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let event = match words[..] {
            ["wish", source, generation] => Some(self.wish(source, generation, units)),
            ["refused", source, generation] => Some(says(source, generation, Wish::Refused("bad.yaml:3:1".into()))),
            ["withdrawn", source, generation] => Some(says(source, generation, Wish::Withdrawn)),
            ["preview", source] => return self.preview(source, units),
            ["status"] => return self.status(),
            ["pass", seconds] => return self.pass(Time::from_secs(seconds.parse().unwrap())),
            ["exit", unit, code] => {
                let (at, code) = (self.now, code.parse().unwrap());
                Some(self.machine.set_phase(&notation::unit(unit), |started| Phase::Exited { started, at, code }))
            }
            ["unready", unit] => Some(self.probe(unit, None, false)),
            ["ready", unit] => Some(self.probe(unit, Some(self.now), false)),
            ["failing", unit] => Some(self.probe(unit, None, true)),
            ["away", unit] => Some(self.reach(unit, Phase::Away { since: self.now })),
            ["back", unit] => Some(self.reach(unit, Phase::Running { started: self.now, ready: None, failing: false })),
            ["allow"] => return self.allow(),
            ["retry", unit] => Some(self.machine.forgive(&notation::unit(unit))),
            _ => self.trouble(&words),
        };
        event.into_iter().for_each(|event| self.core.handle(self.now, event));
        self.obey();
        self.show_plan();
    }

    /// What is wrong with the machine, or the agent.
    fn trouble(&mut self, words: &[&str]) -> Option<Event> {
        let hung = |what: &str| (what != "looks").then(|| notation::unit(what));
        match *words {
            ["hang", what] => drop(self.machine.hung.insert(hung(what), Vec::new())),
            ["land", what] => {
                for event in self.machine.land(self.now, &hung(what)) {
                    self.core.handle(self.now, event);
                }
            }
            ["fault", unit, kind, why] => {
                let fault = if kind == "never" { Fault::Never(why.into()) } else { Fault::Again(why.into()) };
                self.machine.faults.insert(notation::unit(unit), fault);
            }
            ["no", "fault", unit] => drop(self.machine.faults.remove(&notation::unit(unit))),
            ["full"] => self.machine.disk_is_full = true,
            ["space"] => self.machine.disk_is_full = false,
            ["appears", unit] => {
                let line = format!("{unit} {{image: other:1}} is active good");
                let unit = notation::unit(unit);
                let found = notation::world(&notation::source("a"), &line);
                self.machine.units.extend(found.units.into_iter().map(|(unit, record)| (unit, (*record).clone())));
                return Some(Event::Changed([unit].into()));
            }
            ["restart"] => self.restart(true),
            ["restart", "unheard"] => self.restart(false),
            ["reboot"] => {
                self.machine.reboot();
                self.restart(true);
            }
            _ => panic!("nothing like this happens in stories: {words:?}"),
        }
        None
    }

    fn wish(&mut self, source: &str, generation: &str, units: &[&str]) -> Event {
        let source = notation::source(source);
        let complete = notation::wish(&source, units.iter().copied());
        let generation = generation.parse().unwrap();
        self.wishes.entry(source.clone()).or_default().insert(generation, Arc::clone(&complete));
        Event::Wish { source, generation, wish: Wish::Complete(complete) }
    }

    fn preview(&mut self, source: &str, units: &[&str]) {
        let source = notation::source(source);
        let wish = notation::wish(&source, units.iter().copied());
        self.show(&notation::preview(&preview(&self.core, &source, &wish)));
    }

    fn probe(&mut self, unit: &str, ready: Option<Time>, failing: bool) -> Event {
        let phase = |started| Phase::Running { started, ready, failing };
        self.machine.set_phase(&notation::unit(unit), phase)
    }

    fn reach(&mut self, unit: &str, phase: Phase) -> Event {
        let unit = notation::unit(unit);
        let record = self.machine.units.get_mut(&unit).unwrap();
        record.instances.iter_mut().for_each(|seen| Arc::make_mut(seen).phase = phase);
        Event::Changed([unit].into())
    }

    fn allow(&mut self) {
        let plan = self.core.plan();
        self.machine.permits.extend(plan.held.into_values().chain(plan.late.into_values()).map(Arc::new));
        self.core.handle(self.now, Event::Changed([].into()));
        let anything = self.machine.units.keys().next().unwrap().clone();
        self.core.handle(self.now, Event::Changed([anything].into()));
        self.obey();
        self.show_plan();
    }

    fn restart(&mut self, is_told: bool) {
        self.epoch += 1;
        self.core = Reconciler::new(Limits::default(), self.epoch);
        for (source, accepted) in self.machine.accepted.clone() {
            let generation = accepted.generation;
            let wish = Wish::Complete(Arc::clone(&self.wishes[&source][&generation]));
            self.core.handle(self.now, Event::Restored { source: source.clone(), accepted });
            if is_told {
                self.core.handle(self.now, Event::Wish { source, generation, wish });
            }
        }
    }

    fn pass(&mut self, time: Time) {
        let end = self.now + time;
        while let Some(at) = self.core.wake_at(self.now).filter(|at| *at <= end) {
            assert!(at > self.now, "waking in the past is a busy loop");
            self.now = at;
            self.obey();
        }
        self.now = end;
        self.obey();
        self.show_plan();
    }

    fn obey(&mut self) {
        let nothing = Record::NOTHING;
        for n in 0.. {
            assert!(n < 1_000, "poll never ends:\n{}", self.text);
            let Some(command) = self.core.poll(self.now) else { break };
            let line = match &command {
                Command::Run { unit, step, .. } => {
                    let record = self.machine.units.get(unit).unwrap_or(&nothing);
                    Some(format!("{}: {}", short(unit), notation::step(record, step)))
                }
                Command::Accept { source, accepted, .. } => {
                    let removals: String =
                        accepted.removals.keys().map(|unit| format!(", without {}", short(unit))).collect();
                    Some(format!("accept {source} {}{removals}", accepted.generation))
                }
                Command::Cancel(_) => Some("cancel".to_owned()),
                Command::Observe { .. } => self.machine.hung.contains_key(&None).then(|| "look".to_owned()),
            };
            let at = (self.now - NOW).as_secs_f32();
            line.into_iter().for_each(|line| writeln!(self.text, "| {at:>5.1} {line}").unwrap());
            if let Some(event) = self.machine.obey(self.now, command) {
                self.core.handle(self.now, event);
            }
        }
        let kept = self.core.plan();
        assert_eq!(kept, self.core.plan_from_scratch(self.now), "the plan is kept up to date");
    }

    fn show_plan(&mut self) {
        self.show(&notation::plan(&self.core.plan(), &self.machine.units, self.now));
    }

    fn show(&mut self, text: &str) {
        text.lines().for_each(|line| writeln!(self.text, "|       {}", line.trim_end()).unwrap());
    }

    fn status(&mut self) {
        let status = self.core.status(self.now);
        let mut text = format!("{}\n", if status.settled { "all is settled" } else { "not settled" });
        for source in &status.sources {
            let state = format!("{:?}", source.state);
            let state = state.split(['(', ' ']).next().unwrap();
            let outcome = format!("{:?}", self.core.source_outcome(&source.id));
            let outcome = outcome.split(['(', ' ']).next().unwrap();
            let taken_back: String =
                source.taken_back.iter().map(|unit| format!(", without {}", short(unit))).collect();
            let message = source.message.split("`abide allow").next().unwrap();
            let _ =
                writeln!(text, "source {} {}: {state}, {outcome}{taken_back} {message}", source.id, source.generation);
        }
        for group in &status.groups {
            let GroupStatus { id, state, waves, unavailable, unavailable_max } = group;
            let _ = writeln!(text, "group {} {state:?}, {unavailable} of {unavailable_max} unavailable", id.name);
            for WaveStatus { members, is_open, pending, soaked, proved, bad, away } in waves {
                let word = if *is_open { "open" } else { "closed" };
                let _ = writeln!(
                    text,
                    "  {members} {word}: {pending} pending, {soaked} soaked, {proved} proved, {bad} bad, {away} away"
                );
            }
        }
        for unit in &status.units {
            let ready = if unit.ready { "ready" } else { "not ready" };
            let instances: Vec<String> =
                unit.instances.iter().map(|it| format!("{:?} {:?}", it.role, it.activity)).collect();
            let restarts = if unit.restarts == 0 { String::new() } else { format!(", {} restarts", unit.restarts) };
            let message = notation::because(&unit.message);
            let _ = writeln!(
                text,
                "{} {:?}, {ready}{restarts} [{}] {message}",
                short(&unit.id),
                unit.state,
                instances.join(", ")
            );
        }
        self.show(&text);
    }
}

fn says(source: &str, generation: &str, wish: Wish) -> Event {
    Event::Wish { source: notation::source(source), generation: generation.parse().unwrap(), wish }
}
