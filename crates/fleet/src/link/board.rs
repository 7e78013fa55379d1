//! What the machine knows of itself, as the agent and the link say it, and what of that the hub has yet to hear.

use super::standing::{self, Said, Standing, Taking, line};
use crate::protocol::{HAPPENINGS_MAX, Happening, Report, Target};
use abide_agent::{Happened, Reporter, SourceReport, UnitReport};
use abide_reconcile::UnitId;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};
use tokio::sync::Notify;

/// Happenings that wait for the hub, in memory: of more, the oldest get lost, and it is told how many.
const RING_MAX: usize = 1000;

/// What a machine's reports are made of.
#[derive(Debug)]
pub(super) struct Board {
    session: String,
    version: String,
    state: Mutex<State>,
    /// Rung whenever there may be something to tell.
    pub(super) bell: Notify,
    /// Rung when the hub is heard again: who couldn't tell it something needn't wait longer.
    pub(super) again: Notify,
}

#[derive(Debug, Default)]
struct State {
    standing: Standing,
    /// The agent has told everything: before that, all would seem to be gone.
    is_whole: bool,
    /// The hub was heard since the start: only then the target's number is known.
    is_heard: bool,
    /// What is true now, and since when; of which target.
    said: Option<(Option<u64>, Said)>,
    since: Option<Instant>,
    /// What the hub has heard.
    told: Option<(Option<u64>, Said)>,
    happened: VecDeque<Happening>,
    lost: u64,
}

/// A report that is on its way.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) report: Report,
    said: (Option<u64>, Said),
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Things happened, and came to the same.
    Happenings,
    /// The machine is in another state.
    State,
}

impl Board {
    pub(super) fn new(session: &str, version: &str) -> Self {
        let (session, version) = (session.to_owned(), version.to_owned());
        Self { session, version, state: Mutex::default(), bell: Notify::new(), again: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.judge();
        drop(state);
        self.bell.notify_one();
    }

    /// The hub was heard again after it was not: it may be another one, which knows less.
    pub(super) fn heard(&self) {
        self.change(|state| {
            state.is_heard = true;
            state.told = None;
        });
        self.again.notify_one();
    }

    /// Another target.
    pub(super) fn target(&self, target: Target) {
        self.change(|state| {
            let is_same = state.standing.target.as_ref().is_some_and(|known| known.commit == target.commit);
            if !is_same {
                state.standing.taking = Taking::UnderWay;
            }
            state.standing.target = Some(target);
        });
    }

    /// How far this target has been taken, unless there is another one by now.
    pub(super) fn taking(&self, target: &Target, taking: Taking) {
        self.change(|state| {
            if state.standing.target.as_ref().is_some_and(|present| present.commit == target.commit) {
                state.standing.taking = taking;
            }
        });
    }

    /// Something happened to the machine.
    pub(super) fn note(&self, text: &str) {
        self.change(|state| state.happened(String::new(), text));
    }

    pub(super) fn due(&self) -> Due {
        let state = self.state();
        if !state.is_whole || !state.is_heard {
            Due::Nothing
        } else if state.said != state.told {
            Due::State
        } else if !state.happened.is_empty() || state.lost > 0 {
            Due::Happenings
        } else {
            Due::Nothing
        }
    }

    /// What is to be told now. Its number is given when it is sent.
    pub(super) fn draft(&self) -> Option<Draft> {
        if self.due() == Due::Nothing {
            return None;
        }
        let state = self.state();
        let (target, said) = state.said.clone()?;
        let state_for = state.since.map_or(0, |since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
        let Said { state: word, message, in_force, units, troubles } = said.clone();
        let report = Report {
            session: self.session.clone(),
            sequence: 0,
            target,
            in_force,
            state: word,
            state_for,
            message,
            version: self.version.clone(),
            units,
            troubles,
            happened: state.happened.iter().take(HAPPENINGS_MAX).cloned().collect(),
            lost: state.lost,
        };
        Some(Draft { report, said: (target, said) })
    }

    /// The hub has heard it.
    pub(super) fn told(&self, Draft { report, said }: Draft) {
        let mut state = self.state();
        state.told = Some(said);
        // What got lost meanwhile was at the front.
        let lost_since = state.lost - report.lost;
        let heard = (report.happened.len() as u64).saturating_sub(lost_since);
        state.lost = lost_since.saturating_sub(report.happened.len() as u64);
        state.happened.drain(..usize::try_from(heard).unwrap_or(usize::MAX));
    }
}

impl State {
    /// Notes what is true now, and since when.
    fn judge(&mut self) {
        let number = self.standing.target.as_ref().map(|target| target.number);
        let said = standing::said(&self.standing);
        let is_same = self.said.as_ref().is_some_and(|(of, known)| *of == number && known.state == said.state);
        if !is_same {
            self.since = Some(Instant::now());
        }
        self.said = Some((number, said));
    }

    fn happened(&mut self, unit: String, text: &str) {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        self.happened.push_back(Happening { at, unit, text: line(text) });
        if self.happened.len() > RING_MAX {
            self.happened.pop_front();
            self.lost += 1;
        }
    }
}

/// What the agent says.
impl Reporter for Board {
    fn everything(&self, units: BTreeMap<UnitId, UnitReport>) {
        self.change(|state| {
            state.is_whole = true;
            state.standing.units = units;
        });
    }

    fn units(&self, changed: BTreeMap<UnitId, Option<UnitReport>>) {
        self.change(|state| {
            for (unit, report) in changed {
                match report {
                    Some(report) => drop(state.standing.units.insert(unit, report)),
                    None => drop(state.standing.units.remove(&unit)),
                }
            }
        });
    }

    fn source(&self, source: SourceReport) {
        self.change(|state| state.standing.source = Some(source));
    }

    fn happened(&self, unit: &UnitId, what: Happened, text: &str) {
        // What is on its way is told by how it ends.
        let is_news = match what {
            Happened::Preparing | Happened::Prepared | Happened::Starting | Happened::Serving | Happened::Stopping => {
                false
            }
            Happened::Started
            | Happened::Updated
            | Happened::Stopped
            | Happened::Killing
            | Happened::Exited
            | Happened::Completed
            | Happened::TakenBack
            | Happened::Removed
            | Happened::Failed => true,
        };
        if is_news {
            self.change(|state| state.happened(standing::name(unit), text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MachineState;
    use abide_reconcile::spec::Kind;

    fn board() -> Board {
        let board = Board::new("s", "0.1.0");
        board.everything(BTreeMap::new());
        board.heard();
        board
    }

    fn tell(board: &Board) -> Report {
        let draft = board.draft().expect("something to tell");
        let report = draft.report.clone();
        board.told(draft);
        report
    }

    fn target(number: u64) -> Target {
        Target { number, commit: "2".repeat(40).parse().unwrap(), tag: None, rotations: Vec::new(), spread: 4 }
    }

    #[test]
    fn nothing_is_told_before_all_is_known_and_nothing_twice() {
        let board = Board::new("s", "0.1.0");
        assert_eq!(board.due(), Due::Nothing);
        board.heard();
        assert_eq!(board.due(), Due::Nothing, "the agent has yet to look");
        board.everything(BTreeMap::new());
        assert_eq!(board.due(), Due::State);
        assert_eq!(tell(&board).target, None);
        board.everything(BTreeMap::new());
        assert_eq!((board.due(), board.draft().is_some()), (Due::Nothing, false));
        board.target(target(7));
        let report = tell(&board);
        assert_eq!((report.target, report.state), (Some(7), MachineState::Changing));
        board.heard();
        assert_eq!(tell(&board).target, Some(7), "who was away may have forgotten");
    }

    #[test]
    fn another_number_for_the_same_commit_is_taken_already() {
        let board = board();
        board.target(target(7));
        board.taking(&target(7), Taking::Refused("a fork".to_owned()));
        board.target(target(8));
        let report = tell(&board);
        assert_eq!((report.target, report.state), (Some(8), MachineState::Refused));
        let other = Target { commit: "3".repeat(40).parse().unwrap(), ..target(9) };
        board.target(other);
        board.taking(&target(8), Taking::Refused("late".to_owned()));
        assert_eq!(tell(&board).state, MachineState::Changing);
    }

    #[test]
    fn happenings_are_told_in_order_and_those_that_get_lost_are_counted() {
        let board = board();
        tell(&board);
        let unit =
            UnitId { scope: "fleet".parse().unwrap(), kind: Kind::Container, name: "web".parse().unwrap(), index: 0 };
        board.happened(&unit, Happened::Preparing, "no news");
        assert_eq!(board.due(), Due::Nothing);
        for n in 0..1050 {
            board.happened(&unit, Happened::Exited, &n.to_string());
        }
        assert_eq!(board.due(), Due::Happenings);
        let first = board.draft().unwrap();
        assert_eq!((first.report.lost, first.report.happened[0].text.as_str()), (50, "50"));
        // 30 more get lost while it is on its way, all of them in it.
        for n in 1050..1080 {
            board.happened(&unit, Happened::Exited, &n.to_string());
        }
        board.told(first);
        let second = tell(&board);
        assert_eq!((second.lost, second.happened[0].text.as_str(), second.happened.len()), (0, "150", 100));
        let (mut last, mut count) = (second, 200);
        while board.due() != Due::Nothing {
            last = tell(&board);
            count += last.happened.len();
        }
        assert_eq!((last.happened.last().unwrap().text.as_str(), count), ("1079", 1030));
    }
}
