//! What happened, for people: the last happenings, and whoever listens for more.
//!
//! Best effort: nothing is decided by it, and who listens too slowly misses some.

use crate::{
    api::{Happening, Outcome},
    clock::wall_clock_ms,
};
use abide_reconcile::{SourceId, UnitId};
use std::collections::VecDeque;
use tokio::sync::broadcast;

/// How many happenings are kept for who asks later.
const KEPT: usize = 1000;

/// How far a listener may lag behind.
const BACKLOG: usize = 1024;

/// What listeners hear.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Happened(Happening),
    /// What became of a source's newest commit.
    Ended(SourceId, Outcome),
    Looked(Looked),
}

/// A source was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    pub(crate) source: SourceId,
    /// After it had been asked for so often.
    pub(crate) number: u64,
    /// The commit that is in force or on its way there; empty if there is none.
    pub(crate) coming: String,
    /// Why it could not be looked at.
    pub(crate) trouble: Option<String>,
}

/// The last happenings, and the way to all listeners.
#[derive(Debug)]
pub(crate) struct Ring {
    last: VecDeque<Happening>,
    listeners: broadcast::Sender<News>,
}

/// What a happening is about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    pub(crate) source: Option<&'a SourceId>,
    pub(crate) commit: Option<&'a str>,
    pub(crate) unit: Option<&'a UnitId>,
}

/// A unit as its source's people call it.
pub(crate) fn called(unit: &UnitId, source: &SourceId) -> String {
    let scope = if unit.scope == source.0 { String::new() } else { format!("{}:", unit.scope) };
    format!("{scope}{}/{}", unit.kind, unit.name)
}

impl Ring {
    pub(crate) fn new() -> Self {
        Self { last: VecDeque::new(), listeners: broadcast::Sender::new(BACKLOG) }
    }

    /// All that is kept, oldest first.
    pub(crate) fn last(&self) -> Vec<Happening> {
        self.last.iter().cloned().collect()
    }

    /// All from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<News> {
        self.listeners.subscribe()
    }

    /// `kind` is one of [`Happening::kind`]. Progress is told and not kept: there is too much of it.
    pub(crate) fn tell(&mut self, kind: &str, about: About<'_>, text: String) {
        let happening = Happening {
            at: wall_clock_ms(),
            source: about.source.map(SourceId::to_string),
            commit: about.commit.map(str::to_owned),
            unit: about.unit.map(|unit| match about.source {
                Some(source) => called(unit, source),
                None => unit.to_string(),
            }),
            kind: kind.to_owned(),
            text,
        };
        if kind != "progress" {
            self.last.push_back(happening.clone());
            if self.last.len() > KEPT {
                self.last.pop_front();
            }
        }
        // Nobody listening is no mistake.
        drop(self.listeners.send(News::Happened(happening)));
    }

    pub(crate) fn end(&mut self, source: &SourceId, outcome: Outcome) {
        drop(self.listeners.send(News::Ended(source.clone(), outcome)));
    }

    pub(crate) fn looked(&mut self, looked: Looked) {
        drop(self.listeners.send(News::Looked(looked)));
    }
}
