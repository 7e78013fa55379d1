//! Requests that come before the agent knows what it has to: they wait. Before the world was seen once and the accepted
//! commits are back in force, a plan would show nonsense, and `get` would say that nothing runs.

use super::{Driver, Reach};
use crate::{
    api::{Reply, Request},
    followed::Restoring,
    talk::{Answer, Asked},
};
use abide_reconcile::Time;

/// How long a request may wait.
const WAIT_MAX: Time = Time::from_secs(20);

/// Requests that wait, and until when.
#[derive(Debug)]
pub(super) struct Early {
    waiting: Vec<Asked>,
    until: Time,
    /// Whether everything was seen once.
    pub(super) has_seen_all: bool,
    /// Why the last look failed, if it did.
    pub(super) blind: Option<String>,
}

/// What must be known to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Nothing,
    /// The commits that were in force have been read.
    Sources,
    /// And they are in force again, over a world that was seen.
    World,
}

impl Early {
    pub(super) fn new(now: Time) -> Self {
        Self { waiting: Vec::new(), until: now + WAIT_MAX, has_seen_all: false, blind: None }
    }

    /// When those that wait are told that it takes too long.
    pub(super) fn wake_at(&self) -> Option<Time> {
        (!self.waiting.is_empty()).then_some(self.until)
    }
}

impl Driver {
    /// Answers now if enough is known, or later.
    pub(super) fn asked_early(&mut self, asked: Asked) {
        let is_look = matches!(asked.request, Request::Get | Request::Preview { .. } | Request::SourcesOf { .. });
        if self.reach == Reach::Look && !is_look {
            let message = "this is only a look: nothing is done or written".to_owned();
            return answer(asked, Reply::Refused { message });
        }
        if needs(&asked.request) <= self.known() {
            return self.asked(asked);
        }
        self.early.waiting.push(asked);
    }

    /// Answers what waited, as soon as enough is known or it took too long.
    pub(super) fn answer_early(&mut self, now: Time) {
        if self.early.waiting.is_empty() {
            return;
        }
        let known = self.known();
        let is_late = now >= self.early.until;
        for asked in std::mem::take(&mut self.early.waiting) {
            match needs(&asked.request) <= known {
                true => self.asked(asked),
                false if is_late => answer(asked, Reply::Failed { message: self.why_so_late() }),
                false => self.early.waiting.push(asked),
            }
        }
    }

    fn known(&self) -> Needs {
        let is_any = |what| self.followed.values().any(|followed| followed.restoring == what);
        match (is_any(Restoring::Reading), is_any(Restoring::Told), self.early.has_seen_all) {
            (true, _, _) => Needs::Nothing,
            (false, false, true) => Needs::World,
            (false, _, _) => Needs::Sources,
        }
    }

    fn why_so_late(&self) -> String {
        let reading = self.followed.values().find(|followed| followed.restoring == Restoring::Reading);
        match (reading, &self.early.blind) {
            (Some(followed), _) => format!("source {} is still being read from its cache: try again", followed.id),
            (None, Some(why)) => format!("what runs could not be looked at so far: {why}; it is tried again"),
            (None, None) => "what runs has not been looked at so far: try again in a moment".to_owned(),
        }
    }
}

fn needs(request: &Request) -> Needs {
    match request {
        Request::Events { .. } | Request::SourcesOf { .. } => Needs::Nothing,
        Request::SourceAdd { .. }
        | Request::SourceRemove { .. }
        | Request::SourceSuspend { .. }
        | Request::Wake { .. } => Needs::Sources,
        Request::Get
        | Request::Preview { .. }
        | Request::Follow { .. }
        | Request::Apply { .. }
        | Request::SourceResume { .. }
        | Request::Allow { .. }
        | Request::Retry { .. }
        | Request::Rollback { .. }
        | Request::Down => Needs::World,
    }
}

fn answer(asked: Asked, reply: Reply) {
    // Who asked may have hung up.
    drop(asked.answer.send(Answer::Replies(vec![reply])));
}
