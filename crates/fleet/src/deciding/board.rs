//! How the roll-outs are, in the store: whichever hub is asked tells the same.

use crate::{
    admin::rollout::{Rollout, RolloutState, Rollouts, Wave},
    store::{Store, StoreError, Term},
};
use abide_agent::{Happened, Reporter, SourceReport, UnitReport};
use abide_reconcile::{GroupState, GroupStatus, UnitId, WaveStatus};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

/// What changes together is written together: this much may it be late.
const PAUSE: Duration = Duration::from_millis(200);

/// Keeps the roll-outs' status in the store, and writes it when it differs.
pub(super) struct Board {
    showing: Mutex<Showing>,
    bell: Condvar,
}

#[derive(Default)]
struct Showing {
    source: Option<SourceReport>,
    groups: Vec<GroupStatus>,
    /// Where the branch was at what the source was told last, and the name of that.
    judged: (String, String),
    /// What `judged` has, once the Reconciler was told of it.
    tip: String,
    /// Why the newest commit isn't rolled out, though nothing is wrong.
    waits: String,
    /// Something was told that was not written.
    is_news: bool,
    is_over: bool,
}

/// Ends the writing when dropped.
pub(super) struct Writing(Arc<Board>);

impl Board {
    /// Begins to write.
    pub(super) fn start(store: Arc<dyn Store>, term: Term) -> io::Result<(Arc<Self>, Writing)> {
        let board = Arc::new(Self { showing: Mutex::default(), bell: Condvar::new() });
        let writer = Arc::downgrade(&board);
        thread::Builder::new().name("roll-outs".to_owned()).spawn(move || write(&writer, &*store, &term))?;
        let writing = Writing(Arc::clone(&board));
        Ok((board, writing))
    }

    fn note(&self, note: impl FnOnce(&mut Showing)) {
        let mut showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut showing);
        showing.is_news = true;
        self.bell.notify_all();
    }

    /// Where the branch was when this revision was made, which is said next or was said already.
    pub(super) fn judged(&self, tip: &str, revision: &str) {
        self.note(|showing| {
            showing.judged = (tip.to_owned(), revision.to_owned());
            showing.settle_tip();
        });
    }

    /// Why the newest commit isn't rolled out, though nothing is wrong; empty if it is.
    pub(super) fn waits(&self, waits: &str) {
        self.note(|showing| waits.clone_into(&mut showing.waits));
    }

    /// The next thing to write; none if it is over.
    fn next(&self) -> Option<Rollouts> {
        let showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |showing: &mut Showing| !showing.is_news && !showing.is_over;
        let mut showing = self.bell.wait_while(showing, waits).unwrap_or_else(PoisonError::into_inner);
        if showing.is_over {
            return None;
        }
        showing.is_news = false;
        Some(rollouts(&showing))
    }
}

impl Showing {
    /// What is said of the roll-outs is about a tip as soon as what was made of it was told.
    fn settle_tip(&mut self) {
        let (tip, revision) = &self.judged;
        if self.source.as_ref().is_some_and(|source| source.told.as_ref() == Some(revision)) {
            self.tip.clone_from(tip);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.note(|showing| showing.is_over = true);
    }
}

impl Reporter for Board {
    fn everything(&self, _: BTreeMap<UnitId, UnitReport>) {}

    fn units(&self, _: BTreeMap<UnitId, Option<UnitReport>>) {}

    fn source(&self, source: SourceReport) {
        self.note(|showing| {
            showing.source = Some(source);
            showing.settle_tip();
        });
    }

    fn groups(&self, groups: Vec<GroupStatus>) {
        self.note(|showing| showing.groups = groups);
    }

    fn happened(&self, unit: &UnitId, what: Happened, text: &str) {
        if matches!(what, Happened::TakenBack | Happened::Failed) {
            tracing::info!(machine = %unit.name, text, "a machine's target");
        }
    }
}

fn write(board: &Weak<Board>, store: &dyn Store, term: &Term) {
    let (mut before, mut told) = (None, String::new());
    while let Some(next) = board.upgrade().and_then(|board| board.next()) {
        if before.as_ref() == Some(&next) {
            continue;
        }
        match put(store, term, &next) {
            Ok(()) => {
                before = Some(next);
                told.clear();
            }
            // Who leads next writes it anew.
            Err(StoreError::NotLeading { .. }) => return,
            Err(error) => {
                let error = error.to_string();
                // Once for each reason, or it fills the log while the database is away.
                if told != error {
                    tracing::warn!(error, "how the roll-outs are could not be written: that is tried again");
                    told = error;
                }
                if let Some(board) = board.upgrade() {
                    board.note(|_| ());
                }
            }
        }
        thread::sleep(PAUSE);
    }
}

fn put(store: &dyn Store, term: &Term, rollouts: &Rollouts) -> Result<(), StoreError> {
    let json = serde_json::to_string(rollouts).unwrap_or_default();
    if store.rollouts()?.as_ref() == Some(&json) {
        return Ok(());
    }
    store.put_rollouts(term, &json)
}

fn rollouts(showing: &Showing) -> Rollouts {
    let Showing { source, groups, tip, waits, .. } = showing;
    let source = source.as_ref();
    // What tells wishes of one commit apart is nothing to people.
    let commit = |revision: Option<&String>| {
        revision.and_then(|revision| revision.split('+').next()).unwrap_or_default().to_owned()
    };
    Rollouts {
        commit: commit(source.and_then(|source| source.in_force.as_ref())),
        newest: commit(source.and_then(|source| source.told.as_ref())),
        tip: tip.clone(),
        state: source.map_or("following", |source| source.state.as_str()).to_owned(),
        message: source.map(|source| &source.message).filter(|message| !message.is_empty()).unwrap_or(waits).clone(),
        rollouts: groups.iter().map(rollout).collect(),
    }
}

fn rollout(group: &GroupStatus) -> Rollout {
    let state = match group.state {
        GroupState::Rolling => RolloutState::Rolling,
        GroupState::Paused => RolloutState::Paused,
        GroupState::Stopped(_) => RolloutState::Stopped,
        GroupState::Passed => RolloutState::Done,
    };
    let wave = |wave: &WaveStatus| Wave {
        machines: wave.members,
        is_open: wave.is_open,
        pending: wave.pending,
        soaked: wave.soaked,
        proved: wave.proved,
        bad: wave.bad,
        away: wave.away,
    };
    Rollout {
        name: group.id.name.to_string(),
        state,
        why: why(group),
        unavailable: group.unavailable,
        unavailable_max: group.unavailable_max,
        waves: group.waves.iter().map(wave).collect(),
    }
}

/// What a roll-out waits for.
fn why(group: &GroupStatus) -> String {
    let of = group.waves.len();
    let passed = |wave: &&WaveStatus| wave.members == 0 || wave.proved > wave.pending;
    match group.state {
        GroupState::Passed => String::new(),
        GroupState::Paused => "nobody is told the new commit until `abide rollout resume`".to_owned(),
        GroupState::Stopped(n) => {
            let bad = group.waves.get(n.saturating_sub(1)).map_or(0, |wave| wave.bad);
            let machines = if bad == 1 { "1 machine".to_owned() } else { format!("{bad} machines") };
            format!(
                "{machines} of wave {n} of {of} failed with it: who took it goes back; push a commit that mends it, or `abide \
                 rollout retry MACHINE`"
            )
        }
        GroupState::Rolling => {
            let n = group.waves.iter().take_while(passed).count();
            let Some(wave) = group.waves.get(n) else { return String::new() };
            if wave.pending == 0 && wave.soaked + wave.proved == 0 {
                return format!(
                    "wave {} of {of}: none of its {} machines proves the commit: {} away, {} bad",
                    n + 1,
                    wave.members,
                    wave.away,
                    wave.bad
                );
            }
            format!("wave {} of {of}: {} of {} machines have yet to prove it", n + 1, wave.pending, wave.members)
        }
    }
}
