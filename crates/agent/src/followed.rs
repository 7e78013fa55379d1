//! A source as the agent follows it: what its journal adds up to, what was told to the core, what waits to be told.

use crate::{
    api,
    journal::{Accepted, Journal, Lines, Record, Refused, State, Suspension, is_same_commit},
};
use abide_reconcile::{Complete, Fault, Kind, Permit, Revision, SourceId, Time, Wish};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

use crate::{driver::Driver, listen::Listener, telling::Telling};

/// What is done when a record is written, or could not be.
pub(crate) type Then = Box<dyn FnOnce(&mut Driver, Result<(), Fault>) + Send>;

/// A source.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) id: SourceId,
    /// What is written. Never ahead of the disk.
    pub(crate) state: State,
    pub(crate) desk: Desk,
    pub(crate) listener: Option<Listener>,
    /// Who else is told how it stands.
    pub(crate) telling: Option<Telling>,
    /// The repository is being opened, and looked at as soon as it is.
    pub(crate) is_opening: bool,
    /// What a listener said last: it says it again after it had lost the source.
    pub(crate) said: Option<(u64, String)>,
    /// What keeps the source from being followed, in words.
    pub(crate) trouble: Option<String>,
    /// The newest commit, if it is broken.
    pub(crate) refused: Option<Refused>,
    /// Wishes that the core was told of in this run, by generation.
    pub(crate) told: BTreeMap<u64, Told>,
    /// The number of the newest wish that the core was told of.
    pub(crate) generation: u64,
    /// The newest revision that the core wasn't told of.
    pub(crate) waiting: Option<Waiting>,
    /// What an earlier run accepted is to come into force before anything else is told: a newer wish may be held, and
    /// until somebody permits it the accepted one is what runs.
    pub(crate) restoring: Restoring,
    /// What became of the newest wish, if that is decided.
    pub(crate) outcome: Option<api::Outcome>,
    /// Whether it is being written that it settled.
    pub(crate) settling: bool,
    /// What was permitted because the source is down.
    pub(crate) permitted: Option<Permit>,
}

/// The records that are to be written, and what writes them.
#[derive(Default)]
pub(crate) struct Desk {
    /// Away while it writes; none if it can't be used.
    pub(crate) journal: Option<Journal>,
    pub(crate) queue: VecDeque<Entry>,
    /// Why what was to be written last could not be.
    pub(crate) unwritten: Option<String>,
    /// Why there is no journal, if there is none.
    pub(crate) broken: Option<Arc<str>>,
}

/// What is to be written, and then done.
pub(crate) struct Entry {
    pub(crate) records: Vec<Record>,
    pub(crate) lines: Lines,
    pub(crate) then: Then,
}

/// A revision that is to be told.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) revision: Revision,
    pub(crate) by: By,
}

/// Who wants a revision in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The source says it: a roll-back is over when it comes into force.
    Source,
    /// A person chose it.
    Person,
}

/// A wish that the core was told of.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) commit: String,
    pub(crate) summary: String,
    pub(crate) by: By,
    /// None if it was refused.
    pub(crate) complete: Option<Arc<Complete>>,
    pub(crate) at: Time,
}

/// How far a restart has got with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restoring {
    /// The accepted commit is being read.
    Reading,
    /// The core was told of it, and has yet to put it in force.
    Told,
    /// There is nothing to wait for.
    Over,
}

impl Followed {
    /// Without a journal nothing of it can be written.
    pub(crate) fn new(id: SourceId, loaded: Result<(Option<Journal>, State), String>) -> Self {
        let (desk, state, trouble) = match loaded {
            Ok((journal, state)) => (Desk { journal, ..Desk::default() }, state, None),
            Err(why) => (Desk { broken: Some(why.as_str().into()), ..Desk::default() }, State::default(), Some(why)),
        };
        Self {
            generation: state.accepted.as_ref().map_or(0, |accepted| accepted.generation),
            refused: state.refused.clone(),
            id,
            state,
            desk,
            listener: None,
            telling: None,
            is_opening: false,
            said: None,
            trouble,
            told: BTreeMap::new(),
            waiting: None,
            restoring: Restoring::Over,
            outcome: None,
            settling: false,
            permitted: None,
        }
    }

    /// The newest wish that the core was told of.
    pub(crate) fn newest(&self) -> Option<&Told> {
        self.told.get(&self.generation)
    }

    /// The commit that is in force or on its way there: the newest that is or will be told to the core.
    pub(crate) fn coming(&self) -> Option<&str> {
        let waiting = self.waiting.as_ref().map(|waiting| waiting.revision.commit.as_str());
        waiting.or_else(|| Some(self.newest()?.commit.as_str()))
    }

    /// The newest commit that the source is known to have said.
    pub(crate) fn newest_commit(&self) -> Option<&str> {
        let waiting = self.waiting.as_ref().map(|waiting| waiting.revision.commit.as_str());
        waiting.or(self.state.said())
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.state.registered.is_some()
    }

    /// It never said what is to run, nor why that isn't known.
    pub(crate) fn is_unheard(&self) -> bool {
        let said = self.state.said().is_some() || self.newest().is_some() || self.waiting.is_some();
        self.is_registered() && self.state.suspension == Suspension::No && !said && self.refused.is_none()
    }

    /// What the core is to be told of a revision: of a source that is down, only what holds data.
    pub(crate) fn wish(&self, revision: &Revision) -> Wish {
        match &revision.wish {
            Wish::Complete(complete) if self.state.suspension == Suspension::Down => {
                let volumes = complete.units().values().filter(|want| want.unit.kind() == Kind::Volume);
                match Complete::new(volumes.cloned()) {
                    Ok(volumes) => Wish::Complete(Arc::new(volumes.confirming(complete.confirmed().iter().cloned()))),
                    Err(invalid) => Wish::Refused(invalid.to_string().into()),
                }
            }
            wish => wish.clone(),
        }
    }

    /// Notes what the core is about to be told, under this number.
    pub(crate) fn note(&mut self, generation: u64, Waiting { revision, by }: &Waiting, wish: &Wish, at: Time) {
        let complete = match wish {
            Wish::Complete(complete) => Some(Arc::clone(complete)),
            Wish::Refused(_) | Wish::Withdrawn => None,
        };
        let (commit, summary) = (revision.commit.clone(), revision.summary.clone());
        let told = Told { commit, summary, by: *by, complete, at };
        self.generation = generation;
        self.told.insert(generation, told);
        self.outcome = None;
        // What is in force, what may be accepted just now, and the newest: no more can be asked for.
        let in_force = self.state.accepted.as_ref().map_or(0, |accepted| accepted.generation);
        self.told.retain(|number, _| *number >= in_force);
    }

    /// The commit that one would go back to: the last that settled and is not in force.
    pub(crate) fn last_good(&self) -> Option<&Accepted> {
        let present = self.state.accepted.as_ref().map_or("", |accepted| accepted.commit.as_str());
        self.state.history.iter().rev().find(|accepted| !is_same_commit(&accepted.commit, present))
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waiting, {:?}", self.queue.len(), self.journal)
    }
}
