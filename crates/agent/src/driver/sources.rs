//! Sources: what they say, what the core is told of it, what is written about it.
//!
//! ```text
//!  journal ─► restore: accepted commit reopened from the cache ─► told under its old number ─► in force
//!                                                                                               │ then
//!  source's thread ─► said: revision ─► suspended? pinned? ─► waiting ─► told under the next number
//! ```
//!
//! | what a person does | what is written | what the core is told |
//! |---|---|---|
//! | `suspend` | no commits are taken | nothing: what is in force stays and is kept up |
//! | `down` | nothing is to run | the commit's volumes alone; the removals that follow are permitted, unless they delete data |
//! | `resume` | neither | the newest commit |
//! | `rollback` | pinned, and over what | the earlier commit, until another than `over` is said |
//! | `remove` | withdrawn | that it is withdrawn: what it owns runs on |

use super::{Driver, Reach};
use crate::{
    api,
    followed::{Followed, Restoring, Then},
    journal::{Journal, Origin, Record, Refused, State, Suspension},
    listen::Listener,
    news::About,
    port::{Opened, Opening},
};
use abide_reconcile::{
    Accepted, Event, Fault, Permit, Progress, Reclaim, Revision, SourceId, Wish, spec::kind::SourceSpec,
};
use std::{fs, path::Path, sync::Arc};

/// Records that become durable together; more would not fit a frame of the journal, if they are large.
const BATCH: usize = 8;

impl Driver {
    /// Takes up what an earlier run left: every journal, and the commits that were accepted.
    pub(super) fn restore(&mut self, ids: Vec<SourceId>) {
        for id in ids {
            let path = self.folder.join(id.to_string()).join("journal");
            let loaded = match self.reach {
                Reach::Look => Journal::look(&path).map(|state| (None, state)),
                _ => Journal::open(&path).map(|(journal, state)| (Some(journal), state)),
            };
            let loaded = loaded.map_err(|error| {
                tracing::error!(source = %id, %error, "its units are left alone");
                with_sources(&error)
            });
            self.followed.insert(id.clone(), Followed::new(id.clone(), loaded));
            self.restore_one(&id);
        }
    }

    fn restore_one(&mut self, id: &SourceId) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        if followed.desk.broken.is_some() {
            return;
        }
        let Some((spec, _)) = followed.state.registered.clone() else { return self.tell_withdrawn(id) };
        let Some(accepted) = followed.state.accepted.clone() else { return self.listen(id) };
        followed.restoring = Restoring::Reading;
        let now = self.clock.now();
        let restored = Accepted {
            generation: accepted.generation,
            owned_before: accepted.owned_before,
            removals: accepted.removals,
        };
        self.core.handle(now, Event::Restored { source: id.clone(), accepted: restored });
        let id = id.clone();
        let asked = id.clone();
        self.call(
            move |means| means.kept(means.factory.reopen(&asked, &spec, &accepted.commit)),
            move |driver, result| driver.reopened(&id, result),
        );
    }

    /// The accepted commit was read, or could not be.
    fn reopened(&mut self, id: &SourceId, result: Result<Revision, Fault>) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        match result {
            Ok(revision) if matches!(revision.wish, Wish::Complete(_)) => {
                // What is down was accepted as a whole or as its volumes alone; it is judged anew under the next number.
                let is_down = followed.state.suspension == Suspension::Down;
                followed.restoring = if is_down { Restoring::Over } else { Restoring::Told };
                let generation = followed.generation + u64::from(is_down);
                self.tell(id, generation, &revision);
                self.restore_pin(id);
            }
            Ok(Revision { wish, .. }) => {
                followed.restoring = Restoring::Over;
                let why = match wish {
                    Wish::Refused(why) => why,
                    Wish::Withdrawn | Wish::Complete(_) => "it says nothing".into(),
                };
                followed.trouble = Some(format!("this release doesn't take the commit that was in force: {why}"));
            }
            Err(fault) => {
                followed.restoring = Restoring::Over;
                tracing::warn!(source = %id, %fault, "the accepted commit can't be read");
                followed.trouble = Some(format!("the commit that was in force can't be read from the cache: {fault}"));
            }
        }
        self.listen(id);
    }

    /// A roll-back that was written, and not accepted any more before the agent ended.
    fn restore_pin(&mut self, id: &SourceId) {
        let Some(followed) = self.followed.get(id) else { return };
        let in_force = followed.state.accepted.as_ref().map(|accepted| &accepted.commit);
        let (Some((commit, _)), Some((spec, _))) = (&followed.state.pin, &followed.state.registered) else { return };
        if in_force == Some(commit) {
            return;
        }
        let (id, asked, spec, commit) = (id.clone(), id.clone(), spec.clone(), commit.clone());
        self.call(
            move |means| means.kept(means.factory.reopen(&asked, &spec, &commit)),
            move |driver, result| match (result, driver.followed.get_mut(&id)) {
                (Ok(revision), Some(followed)) if followed.waiting.is_none() => followed.waiting = Some(revision),
                (Err(fault), Some(followed)) => followed.trouble = Some(fault.to_string()),
                _ => {}
            },
        );
    }

    /// Begins to follow a repository, unless nobody wants to know.
    pub(super) fn listen(&mut self, id: &SourceId) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        let Some((spec, Origin::Repository)) = followed.state.registered.clone() else { return };
        if self.reach != Reach::Follow || followed.state.suspension != Suspension::No || followed.listener.is_some() {
            return;
        }
        let has_wish = followed.newest().is_some() || followed.refused.is_some();
        let said = followed.newest_commit().filter(|_| has_wish).map(str::to_owned);
        let opening = Opening { id: id.clone(), spec, said, keep: followed.state.keep() };
        let id = id.clone();
        self.call(
            move |means| means.factory.open(&opening),
            move |driver, opened| match opened {
                Ok(opened) => driver.start_listener(&id, opened),
                Err(fault) => driver.lost(&id, &fault),
            },
        );
    }

    pub(super) fn start_listener(&mut self, id: &SourceId, opened: Opened) {
        self.listeners += 1;
        let number = self.listeners;
        let started = Listener::start(id.clone(), number, opened, Arc::clone(&self.means), self.inbox.clone());
        let Some(followed) = self.followed.get_mut(id) else { return };
        match started {
            Ok(listener) => followed.listener = Some(listener),
            Err(error) => self.lost(id, &Fault::Again(format!("no thread for the source: {error}").into())),
        }
    }

    /// A source's thread said something.
    pub(super) fn said(&mut self, id: &SourceId, listener: u64, result: Result<Revision, Fault>) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        if followed.listener.as_ref().is_none_or(|present| present.number != listener) {
            return;
        }
        let revision = match result {
            Ok(revision) => revision,
            Err(fault) => return self.lost(id, &fault),
        };
        followed.trouble = None;
        match &followed.state.pin {
            Some((_, over)) if *over == revision.commit || revision.commit.is_empty() => {}
            Some(_) => self.write(id, Record::Unpinned, Self::wait_to_tell(id, revision)),
            None => followed.waiting = Some(revision),
        }
    }

    fn wait_to_tell(id: &SourceId, revision: Revision) -> impl FnOnce(&mut Self, Result<(), Fault>) + Send + use<> {
        let id = id.clone();
        move |driver, written| {
            let Some(followed) = driver.followed.get_mut(&id) else { return };
            match written {
                Ok(()) => followed.waiting = Some(revision),
                Err(fault) => followed.trouble = Some(fault.to_string()),
            }
        }
    }

    fn lost(&mut self, id: &SourceId, fault: &Fault) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        let text = fault.to_string();
        if followed.trouble.as_ref() != Some(&text) {
            tracing::warn!(source = %id, %fault, "a source can't be followed");
            followed.trouble = Some(text.clone());
            self.ring.tell("source", About { source: Some(id), ..About::default() }, text);
        }
    }

    pub(super) fn fetching(&mut self, id: &SourceId, progress: &Progress) {
        self.ring.tell("progress", About { source: Some(id), ..About::default() }, super::commands::percent(progress));
    }

    /// Tells the core what waits, of all sources whose accepted commit is back in force.
    pub(super) fn tell_waiting(&mut self) {
        for id in self.followed.keys().cloned().collect::<Vec<_>>() {
            let Some(followed) = self.followed.get_mut(&id) else { continue };
            if followed.restoring == Restoring::Told && self.core.in_force(&id).is_some() {
                followed.restoring = Restoring::Over;
            }
            if followed.restoring == Restoring::Over
                && let Some(revision) = followed.waiting.take()
            {
                let generation = followed.generation + 1;
                self.supersede(&id);
                self.tell(&id, generation, &revision);
            }
        }
    }

    fn supersede(&mut self, id: &SourceId) {
        let Some(followed) = self.followed.get(id).filter(|followed| followed.outcome.is_none()) else { return };
        let Some(old) = followed.newest() else { return };
        let message = "a newer commit took its place".to_owned();
        let outcome = self.outcome(old, api::Verdict::Superseded, message);
        self.ring.end(id, outcome);
    }

    /// Tells the core what a commit says.
    fn tell(&mut self, id: &SourceId, generation: u64, revision: &Revision) {
        let now = self.clock.now();
        let Some(followed) = self.followed.get_mut(id) else { return };
        let wish = followed.wish(revision);
        followed.note(generation, revision, &wish, now);
        let text = match &wish {
            Wish::Refused(why) => {
                let Revision { commit, summary, .. } = revision.clone();
                let refused = Refused { commit, summary, message: why.to_string() };
                followed.refused = Some(refused.clone());
                // A branch that is gone is nothing that a restart has to know: it will find out.
                if !refused.commit.is_empty() && self.reach != Reach::Look {
                    self.write(id, Record::Refused(refused), |_, _| ());
                }
                format!("refused: {why}")
            }
            Wish::Complete(_) | Wish::Withdrawn => {
                followed.refused = None;
                format!("commit {:.12}: {}", revision.commit, revision.summary)
            }
        };
        self.ring.tell("source", About { source: Some(id), commit: Some(&revision.commit), unit: None }, text);
        self.core.handle(now, Event::Wish { source: id.clone(), generation, wish });
    }

    pub(super) fn tell_withdrawn(&mut self, id: &SourceId) {
        let now = self.clock.now();
        let Some(followed) = self.followed.get_mut(id) else { return };
        followed.listener = None;
        followed.waiting = None;
        followed.restoring = Restoring::Over;
        followed.generation += 1;
        let generation = followed.generation;
        self.core.handle(now, Event::Wish { source: id.clone(), generation, wish: Wish::Withdrawn });
    }

    /// What the guard asks about sources that are down, and may go without further asking.
    pub(super) fn asked_by_down(&self) -> Vec<Permit> {
        let is_down =
            |id: &SourceId| self.followed.get(id).is_some_and(|followed| followed.state.suspension == Suspension::Down);
        let is_harmless = |permit: &Permit| permit.removals.values().all(|reclaim| *reclaim == Reclaim::Keep);
        if !self.followed.keys().any(is_down) {
            return Vec::new();
        }
        let plan = self.core.plan();
        let asked = plan.held.into_iter().chain(plan.late);
        asked.filter(|(id, permit)| is_down(id) && is_harmless(permit)).map(|(_, permit)| permit).collect()
    }

    /// Writes a record of a source, and then does what follows.
    pub(crate) fn write(
        &mut self,
        id: &SourceId,
        record: Record,
        then: impl FnOnce(&mut Driver, Result<(), Fault>) + Send + 'static,
    ) {
        self.write_all(id, vec![record], then);
    }

    /// Writes records that hold together or not at all.
    pub(crate) fn write_all(
        &mut self,
        id: &SourceId,
        records: Vec<Record>,
        then: impl FnOnce(&mut Driver, Result<(), Fault>) + Send + 'static,
    ) {
        let Some(followed) = self.followed.get_mut(id) else {
            return then(self, Err(Fault::Again(format!("there is no source {id}").into())));
        };
        if let Some(why) = followed.desk.broken.clone() {
            return then(self, Err(Fault::Again(why)));
        }
        followed.desk.queue.push_back((records, Box::new(then)));
        self.write_on(id);
    }

    /// Writes what waits, if nothing is being written.
    fn write_on(&mut self, id: &SourceId) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        let desk = &mut followed.desk;
        if desk.queue.is_empty() {
            return;
        }
        let Some(mut journal) = desk.journal.take() else { return };
        let batch = desk.queue.drain(..desk.queue.len().min(BATCH));
        let (records, thens): (Vec<Vec<Record>>, Vec<Then>) = batch.unzip();
        let records = records.concat();
        let id = id.clone();
        self.call(
            move |_| {
                let result = if records.is_empty() { Ok(()) } else { journal.append(&records) };
                (journal, records, result)
            },
            move |driver, (journal, records, result)| {
                let result = result.map_err(|error| {
                    tracing::error!(source = %id, %error, "a decision could not be written");
                    Fault::Again(with_sources(&error).into())
                });
                if let Some(followed) = driver.followed.get_mut(&id) {
                    followed.desk.journal = Some(journal);
                    if result.is_ok() {
                        records.into_iter().for_each(|record| followed.state.apply(record));
                    }
                }
                thens.into_iter().for_each(|then| then(driver, result.clone()));
                driver.write_on(&id);
            },
        );
    }

    /// Opens the journal of a source that was never heard of, and checks what its owner wrote.
    pub(super) fn prepare_source(
        &self,
        id: SourceId,
        spec: SourceSpec,
        then: impl FnOnce(&mut Driver, Result<Opened, Fault>) + Send + 'static,
    ) {
        let folder = self.folder.join(id.to_string());
        let is_known = self.followed.contains_key(&id);
        let opening = Opening { id: id.clone(), spec, said: None, keep: Vec::new() };
        self.call(
            move |means| {
                let opened = means.factory.open(&opening)?;
                let journal = if is_known { None } else { Some(begin(&folder)?) };
                Ok((opened, journal))
            },
            move |driver, result: Result<_, Fault>| {
                let opened = result.map(|(opened, journal)| {
                    driver.enter(&id, journal);
                    opened
                });
                then(driver, opened);
            },
        );
    }

    /// Enters a source whose journal was opened, unless somebody else was faster.
    pub(super) fn enter(&mut self, id: &SourceId, journal: Option<(Journal, State)>) {
        if let Some((journal, state)) = journal {
            let loaded = Ok((Some(journal), state));
            self.followed.entry(id.clone()).or_insert_with(|| Followed::new(id.clone(), loaded));
        }
    }
}

/// A source's folder and journal, new.
pub(super) fn begin(folder: &Path) -> Result<(Journal, State), Fault> {
    let failed = |what: &str, why: &dyn std::fmt::Display| Fault::Again(format!("{what}: {why}").into());
    fs::create_dir_all(folder).map_err(|error| failed(&format!("creating {}", folder.display()), &error))?;
    Journal::open(&folder.join("journal")).map_err(|error| Fault::Again(with_sources(&error).into()))
}

/// An error with all that caused it, in a line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
