//! What becomes of targets: each is judged, what it needs is brought, and the agent is told.
//!
//! A newer target ends the taking of an older one. What can't be brought now is tried again; what is refused stays so
//! until there is another target.

use super::{
    board::Board,
    line::Line,
    pace::{self, BackOff},
    remote::Remote,
    standing::Taking,
    voice::Voice,
};
use crate::protocol::Target;
use abide_reconcile::{Attend, Progress, Revision, Wish};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{runtime::Handle, sync::watch, time::sleep};

/// Failures in a row after which people are told.
pub(super) const TOLD_AFTER: u32 = 2;

/// What was taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) revision: Revision,
    /// When the commit was made, as it says: seconds since 1970.
    pub(super) committed_at: Option<i64>,
}

/// Why a target was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It may not be.
    Refused(String),
    /// It may be another time.
    Again(String),
    /// The hub has said it before, and it would lead back.
    Earlier,
    /// There is another one.
    Cancelled,
}

/// Who says whether a target may be taken. It blocks, and asks the hub for what it lacks.
pub(super) trait Judge: Send + Sync + 'static {
    fn take(&self, target: &Target, hub: &Remote, attend: &dyn Attend) -> Result<Taken, NotTaken>;

    /// Whether the hub has said something later than this target.
    fn is_earlier(&self, target: &Target) -> bool;
}

/// Takes targets.
pub(super) struct Taker {
    pub(super) judge: Arc<dyn Judge>,
    pub(super) targets: watch::Receiver<Option<Target>>,
    pub(super) line: Arc<Line>,
    pub(super) board: Arc<Board>,
    pub(super) voice: Arc<Voice>,
    pub(super) handle: Handle,
}

/// Goes on for as long as the target is the newest, and somebody says targets.
struct Newest(watch::Receiver<Option<Target>>);

impl Attend for Newest {
    fn progress(&self, progress: Progress) {
        tracing::debug!(what = &*progress.what, done = progress.done, "taking a target");
    }

    fn is_cancelled(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }
}

impl Taker {
    /// Goes on until nobody says targets any more.
    pub(super) async fn run(mut self) {
        let mut back_off = BackOff::default();
        loop {
            let target = self.targets.borrow_and_update().clone();
            let pause = match target {
                Some(target) => self.take(target, &mut back_off).await,
                None => None,
            };
            let changed = match pause {
                Some(pause) => {
                    tokio::select! { changed = self.targets.changed() => changed, () = sleep(pause) => Ok(()) }
                }
                None => self.targets.changed().await,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Takes a target, or says when to try again.
    async fn take(&self, target: Target, back_off: &mut BackOff) -> Option<std::time::Duration> {
        // What a hub said earlier is the target only once it is known to go forward: one that was restored from an old
        // backup learns what it forgot from what it is told of the later one.
        let is_earlier = self.judge.is_earlier(&target);
        if !is_earlier {
            self.board.target(target.clone());
        }
        let (judge, asked) = (Arc::clone(&self.judge), target.clone());
        let hub = Remote::new(Arc::clone(&self.line), self.handle.clone());
        let newest = Newest(self.targets.clone());
        let taken = tokio::task::spawn_blocking(move || judge.take(&asked, &hub, &newest)).await;
        match taken.unwrap_or_else(|error| Err(NotTaken::Again(format!("judging the target: {error}")))) {
            Ok(Taken { revision, committed_at }) => {
                back_off.reset();
                self.board.target(target.clone());
                self.line.contact().committed(committed_at.unwrap_or(0));
                self.board.taking(&target, Taking::taken(&revision));
                self.voice.say(revision);
                None
            }
            Err(NotTaken::Refused(why)) => {
                back_off.reset();
                tracing::warn!(commit = %target.commit, why, "the hub's target is refused; what runs, runs on");
                self.board.target(target.clone());
                self.board.note(&format!("refused commit {}: {why}", target.commit));
                self.board.taking(&target, Taking::Refused(why.clone()));
                let commit = target.commit.to_string();
                let (summary, files) = (String::new(), BTreeMap::new());
                self.voice.say(Revision { commit, summary, wish: Wish::Refused(why.into()), files });
                None
            }
            Err(NotTaken::Earlier) => {
                back_off.reset();
                tracing::warn!(commit = %target.commit, "the hub says what it said earlier: nobody is sent back by that");
                None
            }
            Err(NotTaken::Again(why)) => {
                let pause = back_off.fail(pace::draw());
                if back_off.failures() >= TOLD_AFTER {
                    self.voice.lost(why.clone());
                }
                if !is_earlier {
                    self.board.taking(&target, Taking::Interrupted(why));
                }
                Some(pause)
            }
            // Then the targets have changed, or end.
            Err(NotTaken::Cancelled) => None,
        }
    }
}
