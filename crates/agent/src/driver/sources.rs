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
    followed::{By, Followed, Restoring, Waiting},
    journal::{Journal, Journals, Origin, Record, Refused, State, Suspension, is_same_commit},
    listen::Listener,
    news::{About, Looked},
    port::{Opened, Opening},
    telling::Telling,
};
use abide_reconcile::{Accepted, Event, Fault, Progress, Revision, SourceId, UnitId, Wish, with_causes};
use std::sync::Arc;

impl Driver {
    /// Takes up what an earlier run left: every journal, and the commits that were accepted.
    pub(super) fn restore(&mut self, ids: Vec<SourceId>) {
        for id in ids {
            let journals = &*self.means.journals;
            let loaded = match self.reach {
                Reach::Look => Journal::look(journals, &id).map(|state| (None, state)),
                _ => Journal::open(journals, &id).map(|(journal, state)| (Some(journal), state)),
            };
            let loaded = loaded.map_err(|error| {
                tracing::error!(source = %id, %error, "its units are left alone");
                with_causes(&error)
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
        let Some(followed) = self.followed.get_mut(id).filter(|followed| followed.restoring == Restoring::Reading)
        else {
            return;
        };
        match result {
            Ok(revision) if matches!(revision.wish, Wish::Complete(_)) => {
                // What is down was accepted as a whole or as its volumes alone; it is judged anew under the next number.
                let is_down = followed.state.suspension == Suspension::Down;
                followed.restoring = if is_down { Restoring::Over } else { Restoring::Told };
                let generation = followed.generation + u64::from(is_down);
                self.tell(id, generation, &Waiting { revision, by: By::Person });
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
        if in_force == Some(commit) || self.reach == Reach::Look {
            return;
        }
        let (id, asked, spec, commit) = (id.clone(), id.clone(), spec.clone(), commit.clone());
        self.call(
            move |means| means.kept(means.factory.reopen(&asked, &spec, &commit)),
            move |driver, result| match (result, driver.followed.get_mut(&id)) {
                (Ok(revision), Some(followed)) if followed.waiting.is_none() => {
                    followed.waiting = Some(Waiting { revision, by: By::Person });
                }
                (Err(fault), Some(followed)) => followed.trouble = Some(fault.to_string()),
                _ => {}
            },
        );
    }

    /// Begins to follow a source, unless nobody wants to know.
    pub(super) fn listen(&mut self, id: &SourceId) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        let Some((spec, Origin::Followed)) = followed.state.registered.clone() else { return };
        let is_heard = followed.listener.is_some() || followed.is_opening;
        if self.reach != Reach::Follow || followed.state.suspension != Suspension::No || is_heard {
            return;
        }
        followed.is_opening = true;
        // A commit that an earlier release refused may be one that this release takes.
        let is_known = followed.newest().is_some() && followed.refused.is_none();
        let said = followed.newest_commit().filter(|_| is_known).map(str::to_owned);
        let opening = Opening { id: id.clone(), spec, said: said.clone(), keep: followed.state.keep() };
        let id = id.clone();
        self.call(
            move |means| means.factory.open(&opening),
            move |driver, opened| {
                if let Some(followed) = driver.followed.get_mut(&id) {
                    followed.is_opening = false;
                }
                match opened {
                    Ok(opened) => driver.start_listener(&id, opened, said),
                    Err(fault) => driver.lost(&id, &fault),
                }
            },
        );
    }

    /// Listens to what was opened, unless nobody wants to know any more. `said` is the commit that it was opened with.
    pub(super) fn start_listener(&mut self, id: &SourceId, opened: Opened, said: Option<String>) {
        let is_followed = |followed: &Followed| followed.is_registered() && followed.state.suspension == Suspension::No;
        if self.reach != Reach::Follow || !self.followed.get(id).is_some_and(is_followed) {
            return;
        }
        self.listeners += 1;
        let number = self.listeners;
        let telling = opened.reporter.clone().map(|reporter| Telling::new(reporter, number));
        let started = Listener::start(id.clone(), number, opened, Arc::clone(&self.means), self.inbox.clone());
        let Some(followed) = self.followed.get_mut(id) else { return };
        match started {
            Ok(listener) => {
                followed.listener = Some(listener);
                followed.telling = telling;
                self.wishes_changed = true;
                followed.said = said.map(|commit| (number, commit));
            }
            Err(error) => self.lost(id, &Fault::Again(format!("no thread for the source: {error}").into())),
        }
    }

    /// A source's thread said something. Who waits for a commit hears of each look: the commit may not be there.
    pub(super) fn said(
        &mut self,
        id: &SourceId,
        listener: u64,
        look: Option<u64>,
        result: Result<Option<Revision>, Fault>,
    ) {
        let Some(followed) = self.followed.get(id) else { return };
        if followed.listener.as_ref().is_none_or(|present| present.number != listener) {
            return;
        }
        let trouble = result.as_ref().err().map(Fault::to_string);
        match result {
            Ok(Some(revision)) => self.heard(id, listener, revision),
            Ok(None) => {}
            Err(fault) => self.lost(id, &fault),
        }
        let coming = self.followed.get(id).and_then(Followed::coming).unwrap_or_default().to_owned();
        if let Some(number) = look {
            self.ring.looked(Looked { source: id.clone(), number, coming, trouble });
        }
    }

    fn heard(&mut self, id: &SourceId, listener: u64, revision: Revision) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        followed.trouble = None;
        let said = Some((listener, revision.commit.clone()));
        if followed.said == said {
            return;
        }
        followed.said = said;
        if followed.state.pin.as_ref().is_none_or(|(_, over)| !is_same_commit(over, &revision.commit)) {
            self.wait_to_tell(id, Waiting { revision, by: By::Source });
        }
    }

    /// Has the core told of a revision as soon as it may be.
    pub(super) fn wait_to_tell(&mut self, id: &SourceId, waiting: Waiting) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        followed.waiting = Some(waiting);
    }

    fn lost(&mut self, id: &SourceId, fault: &Fault) {
        let Some(followed) = self.followed.get_mut(id) else { return };
        let text = fault.to_string();
        if followed.trouble.as_ref() != Some(&text) {
            tracing::warn!(source = %id, %fault, "a source can't be followed");
            followed.trouble = Some(text.clone());
            self.ring.tell("failed", About { source: Some(id), ..About::default() }, text);
        }
    }

    pub(super) fn fetching(&mut self, id: &SourceId, progress: &Progress) {
        self.ring.tell("progress", About { source: Some(id), ..About::default() }, super::commands::percent(progress));
    }

    /// Tells the core what waits, of all sources whose accepted commit is back in force.
    pub(super) fn tell_waiting(&mut self) {
        self.note_restored();
        for id in self.followed.keys().cloned().collect::<Vec<_>>() {
            let Some(followed) = self.followed.get_mut(&id) else { continue };
            if followed.restoring == Restoring::Over
                && let Some(waiting) = followed.waiting.take()
            {
                let generation = followed.generation + 1;
                self.supersede(&id, &waiting.revision.commit);
                self.tell(&id, generation, &waiting);
            }
        }
    }

    /// Notes which accepted commits are back in force: who asks is answered by that.
    pub(super) fn note_restored(&mut self) {
        for (id, followed) in &mut self.followed {
            if followed.restoring == Restoring::Told && self.core.in_force(id).is_some() {
                followed.restoring = Restoring::Over;
            }
        }
    }

    fn supersede(&mut self, id: &SourceId, commit: &str) {
        let Some(followed) = self.followed.get(id).filter(|followed| followed.outcome.is_none()) else { return };
        let Some(old) = followed.newest().filter(|old| old.commit != commit) else { return };
        let message = format!("commit {commit:.12} took its place");
        let outcome = self.outcome(old, api::Verdict::Superseded, message);
        self.ring.end(id, outcome);
    }

    /// Tells the core what a commit says.
    fn tell(&mut self, id: &SourceId, generation: u64, waiting: &Waiting) {
        let now = self.clock.now();
        let revision = &waiting.revision;
        let contested = self.contested(id, &revision.wish);
        let Some(followed) = self.followed.get_mut(id) else { return };
        let wish = match (followed.wish(revision), contested) {
            (Wish::Complete(_), Some(why)) => Wish::Refused(why.into()),
            (wish, _) => wish,
        };
        followed.note(generation, waiting, &wish, now);
        let text = match &wish {
            Wish::Refused(why) => {
                let Revision { commit, summary, .. } = revision.clone();
                let refused = Refused { commit, summary, message: why.to_string() };
                followed.refused = Some(refused.clone());
                let is_known = followed.state.refused.as_ref() == Some(&refused);
                // A branch that is gone is nothing that a restart has to know: it will find out.
                if !refused.commit.is_empty() && !is_known {
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
        self.wishes_changed = true;
        self.core.handle(now, Event::Wish { source: id.clone(), generation, wish });
    }

    /// Why two sources can't both have their way, if they can't: a namespace of a cluster may be called as a source is.
    fn contested(&self, id: &SourceId, wish: &Wish) -> Option<String> {
        let Wish::Complete(wish) = wish else { return None };
        let (unit, name) = self.wishes_of_others(id).find(|(unit, _)| wish.units().contains_key(*unit))?;
        Some(format!(
            "{unit} is wished by source {name} too: rename one, or give that source up (`abide source remove {name}`)"
        ))
    }

    /// What the other sources wish, in force or about to be. What is refused of them is nobody's wish.
    pub(super) fn wishes_of_others(&self, id: &SourceId) -> impl Iterator<Item = (&UnitId, &SourceId)> {
        let others = self.followed.values().filter(move |other| other.id != *id && other.is_registered());
        others.flat_map(|other| {
            let in_force = other.state.accepted.as_ref().map_or(0, |accepted| accepted.generation);
            let told = other.told.range(in_force..).filter_map(|(_, told)| told.complete.as_ref());
            told.flat_map(|complete| complete.units().keys()).map(|unit| (unit, &other.id))
        })
    }

    pub(super) fn tell_withdrawn(&mut self, id: &SourceId) {
        let now = self.clock.now();
        let Some(followed) = self.followed.get_mut(id) else { return };
        self.wishes_changed = true;
        followed.listener = None;
        followed.telling = None;
        followed.waiting = None;
        followed.restoring = Restoring::Over;
        followed.generation += 1;
        let generation = followed.generation;
        self.core.handle(now, Event::Wish { source: id.clone(), generation, wish: Wish::Withdrawn });
    }

    /// Enters a source whose journal was opened, unless somebody else was faster.
    pub(super) fn enter(&mut self, id: &SourceId, journal: Option<(Journal, State)>) {
        if let Some((journal, state)) = journal {
            let loaded = Ok((Some(journal), state));
            self.followed.entry(id.clone()).or_insert_with(|| Followed::new(id.clone(), loaded));
        }
    }
}

/// The journal of a source that was never heard of.
pub(super) fn begin(journals: &dyn Journals, id: &SourceId) -> Result<(Journal, State), Fault> {
    Journal::open(journals, id).map_err(|error| Fault::Again(with_causes(&error).into()))
}
