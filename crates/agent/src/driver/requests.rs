//! What people and hooks ask, and what they are answered: never before what it rests on is written.

use super::{Driver, snapshot::preview, sources::begin};
use crate::{
    api::{self, Reply, Request},
    journal::{Origin, Record, Suspension},
    may,
    talk::{Answer, Asked, Respond, Until},
};
use abide_reconcile::{
    Complete, Event, Fault, Permit, Revision, SourceId, Unit, UnitId, Want, Wish, spec::kind::SourceSpec,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Held plans that were shown to somebody, who may say yes before the commit comes.
const PREVIEWED_MAX: usize = 64;

/// An answer in words, good or bad.
type Words = Result<String, String>;

impl Driver {
    pub(super) fn asked(&mut self, Asked { request, answer }: Asked) {
        match request {
            Request::Get => send(answer, Answer::Snapshot(self.snapshot())),
            Request::Events { follow } => send(answer, self.events(follow)),
            Request::Preview { source, units } => send(answer, self.preview(&source, units)),
            Request::Follow { source, commit } => send(answer, self.follow(source.as_deref(), &commit)),
            Request::Wake { source } => say(answer, self.wake(&source)),
            Request::SourcesOf { repository } => send(answer, self.sources_of(Path::new(&repository))),
            Request::Apply { source, path, spec } => self.apply(answer, &source, path, *spec),
            Request::SourceAdd { name, spec } => self.add_source(answer, &name, *spec),
            Request::SourceRemove { name } => self.remove_source(answer, &name),
            Request::SourceSuspend { name } => self.suspend(answer, &name),
            Request::SourceResume { name } => self.resume(answer, &name),
            Request::Allow { plan, source } => self.allow(answer, &plan, source.as_deref()),
            Request::Retry { unit } => say(answer, self.retry(&unit)),
            Request::Rollback { source, commit } => self.roll_back(answer, source.as_deref(), commit.as_deref()),
            Request::Down => self.down(answer),
        }
    }

    fn events(&self, follow: bool) -> Answer {
        let first = self.ring.last();
        if follow {
            Answer::Stream { first, news: self.ring.listen(), until: Until::HangUp }
        } else {
            Answer::Replies(first.into_iter().map(Reply::Happened).collect())
        }
    }

    fn sources_of(&self, repository: &Path) -> Answer {
        let registered = self.followed.values().filter_map(|followed| {
            let (spec, Origin::Repository) = followed.state.registered.as_ref()? else { return None };
            let is_it = may::repository(&spec.git.url) == Some(repository);
            is_it.then(|| api::Registered { name: followed.id.to_string(), spec: spec.clone() })
        });
        Answer::Replies(vec![Reply::Sources { sources: registered.collect() }])
    }

    fn preview(&mut self, source: &str, units: Vec<Unit>) -> Answer {
        let Ok(name) = source.parse() else { return refusal(format!("{source:?} is no source's name")) };
        if let Some(stranger) = units.iter().find(|unit| unit.id.scope != name) {
            return refusal(format!("{} is not of source {source}", stranger.id));
        }
        let wants = units.into_iter().map(|unit| Arc::new(Want::new(Arc::new(unit))));
        let complete = match Complete::new(wants) {
            Ok(complete) => complete,
            Err(invalid) => return refusal(invalid.to_string()),
        };
        let found = abide_reconcile::preview(&self.core, &SourceId(name), &complete);
        if let Some(held) = &found.held {
            self.previewed.retain(|permit| *permit != held.permit);
            self.previewed.push_back(held.permit.clone());
            if self.previewed.len() > PREVIEWED_MAX {
                self.previewed.pop_front();
            }
        }
        Answer::Replies(vec![Reply::Preview(preview(&found))])
    }

    fn follow(&self, source: Option<&str>, commit: &str) -> Answer {
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return refusal(format!("{commit:?} is no commit: write its id, or how it begins"));
        }
        let is_it = |id: &str| id.starts_with(commit);
        let knows = |followed: &&crate::followed::Followed| {
            let told = followed.newest().is_some_and(|told| is_it(&told.commit));
            let refused = followed.refused.as_ref().is_some_and(|refused| is_it(&refused.commit));
            told || refused || followed.state.keep().iter().any(|kept| is_it(kept))
        };
        let followed = match source {
            Some(name) => self.followed.values().find(|followed| followed.id.0.as_str() == name),
            None => self.followed.values().find(knows),
        };
        let Some(followed) = followed else {
            return refusal(match source {
                Some(name) => format!("there is no source {name}; `abide source list` shows all"),
                None => format!("no source is at commit {commit} or was; `abide source list` shows all"),
            });
        };
        let outcome =
            |told: &crate::followed::Told, result, message: &str| self.outcome(told, result, message.to_owned());
        if let Some(told) = followed.newest().filter(|told| is_it(&told.commit)) {
            if let Some(outcome) = &followed.outcome {
                return Answer::Replies(vec![Reply::Outcome(outcome.clone())]);
            }
            return self.stream([(followed.id.clone(), told.commit.clone())], true);
        }
        let refused = followed.refused.as_ref().filter(|refused| is_it(&refused.commit));
        if let (Some(refused), Some(told)) = (refused, followed.newest()) {
            let told = crate::followed::Told { commit: refused.commit.clone(), ..told.clone() };
            return Answer::Replies(vec![Reply::Outcome(outcome(&told, api::Verdict::Refused, &refused.message))]);
        }
        if knows(&followed)
            && let Some(told) = followed.newest()
        {
            let message = format!("commit {:.12} took its place", told.commit);
            let told = crate::followed::Told { commit: commit.to_owned(), ..told.clone() };
            return Answer::Replies(vec![Reply::Outcome(outcome(&told, api::Verdict::Superseded, &message))]);
        }
        self.stream([(followed.id.clone(), commit.to_owned())], false)
    }

    fn stream(&self, commits: impl IntoIterator<Item = (SourceId, String)>, known: bool) -> Answer {
        let until = Until::Ended { commits: commits.into_iter().collect(), known };
        Answer::Stream { first: Vec::new(), news: self.ring.listen(), until }
    }

    fn wake(&self, source: &str) -> Words {
        let id = self.registered(Some(source))?;
        match self.followed.get(&id).and_then(|followed| followed.listener.as_ref()) {
            Some(listener) => {
                (listener.wake)();
                Ok(format!("source {id} is looked at"))
            }
            None => Err(format!("source {id} is not followed at the moment: `abide source list` says why")),
        }
    }

    fn retry(&mut self, text: &str) -> Words {
        let now = self.clock.now();
        let status = self.core.status(now);
        let is_it = |unit: &&UnitId| {
            let index = if unit.index == 0 { String::new() } else { format!("#{}", unit.index) };
            let short = format!("{}/{}{index}", unit.kind, unit.name);
            [unit.to_string(), short, format!("{}{index}", unit.name)].iter().any(|known| known == text)
        };
        let found: Vec<UnitId> = status.units.iter().map(|unit| &unit.id).filter(is_it).cloned().collect();
        match &found[..] {
            [unit] => {
                self.core.handle(now, Event::Retry(unit.clone()));
                Ok(format!("{unit} is tried again"))
            }
            [] => Err(format!("there is no unit {text}; `abide get` shows all")),
            several => {
                let names: Vec<String> = several.iter().map(UnitId::to_string).collect();
                Err(format!("{text} could be any of {}", names.join(", ")))
            }
        }
    }

    fn allow(&mut self, answer: Respond, plan: &str, source: Option<&str>) {
        let shown = self.core.plan();
        let asked = shown.held.into_values().chain(shown.late.into_values()).chain(self.previewed.iter().cloned());
        let is_it = |permit: &Permit| {
            permit.id().to_string() == plan && source.is_none_or(|source| permit.source.0.as_str() == source)
        };
        let Some(permit) = asked.into_iter().find(is_it) else {
            let text = format!(
                "nothing waits for a yes to {plan}: a plan's id changes with each commit; `abide get` shows it"
            );
            return say(answer, Err(text));
        };
        let id = permit.source.clone();
        let units = permit.removals.keys().cloned().collect();
        self.write(&id, Record::Allowed { permit }, move |driver, written| {
            let now = driver.clock.now();
            driver.core.handle(now, Event::Changed(units));
            say(answer, words(written, "allowed"));
        });
    }

    fn add_source(&mut self, answer: Respond, name: &str, spec: SourceSpec) {
        let id = match name.parse() {
            Ok(name) => SourceId(name),
            Err(error) => return say(answer, Err(format!("{error}"))),
        };
        let kept = spec.clone();
        self.prepare_source(id.clone(), spec, move |driver, opened| {
            let opened = match opened {
                Ok(opened) => opened,
                Err(fault) => return say(answer, Err(fault.to_string())),
            };
            let mut records = vec![Record::Registered { spec: Box::new(kept), origin: Origin::Repository }];
            records.extend(
                driver.followed.get(&id).and_then(|followed| followed.state.pin.as_ref()).map(|_| Record::Unpinned),
            );
            driver.write_all(&id.clone(), records, move |driver, written| {
                if written.is_ok() {
                    let suspension = driver.followed.get(&id).map(|followed| followed.state.suspension);
                    if suspension == Some(Suspension::No) {
                        driver.start_listener(&id, opened);
                    }
                }
                say(answer, words(written, &format!("source {id} is followed")));
            });
        });
    }

    fn remove_source(&mut self, answer: Respond, name: &str) {
        let id = match self.registered(Some(name)) {
            Ok(id) => id,
            Err(text) => return say(answer, Err(text)),
        };
        self.write(&id.clone(), Record::Withdrawn, move |driver, written| {
            if written.is_ok() {
                driver.tell_withdrawn(&id);
            }
            say(answer, words(written, &format!("source {id} is given up; what it owns runs on")));
        });
    }

    fn suspend(&mut self, answer: Respond, name: &str) {
        let id = match self.registered(Some(name)) {
            Ok(id) => id,
            Err(text) => return say(answer, Err(text)),
        };
        let suspension = self.followed.get(&id).map(|followed| followed.state.suspension);
        if suspension != Some(Suspension::No) {
            return say(answer, Ok(format!("source {id} is suspended already")));
        }
        self.write(&id.clone(), Record::Suspended { how: Suspension::Commits }, move |driver, written| {
            if let (Ok(()), Some(followed)) = (&written, driver.followed.get_mut(&id)) {
                followed.listener = None;
            }
            say(answer, words(written, &format!("source {id} takes no new commits; what runs, runs on")));
        });
    }

    /// Follows again. After `down` and `rollback` the core has to be told of the newest commit once more.
    fn resume(&mut self, answer: Respond, name: &str) {
        let id = match self.registered(Some(name)) {
            Ok(id) => id,
            Err(text) => return say(answer, Err(text)),
        };
        let Some(followed) = self.followed.get(&id) else { return };
        let mut records = Vec::new();
        if followed.state.suspension != Suspension::No {
            records.push(Record::Suspended { how: Suspension::No });
        }
        records.extend(followed.state.pin.iter().map(|_| Record::Unpinned));
        if records.is_empty() {
            return say(answer, Ok(format!("source {id} is followed already")));
        }
        let over = followed.state.pin.as_ref().map(|(_, over)| over.clone());
        let is_down = followed.state.suspension == Suspension::Down;
        let accepted = followed.state.accepted.as_ref().map(|accepted| accepted.commit.clone());
        let commit = over.or(accepted.filter(|_| is_down)).filter(|commit| !commit.is_empty());
        let spec = followed.state.registered.clone().map(|(spec, _)| spec);
        let asked = id.clone();
        self.call(
            move |means| {
                let (commit, spec) = (commit?, spec?);
                Some(means.kept(means.factory.reopen(&asked, &spec, &commit)))
            },
            move |driver, reopened| match reopened.transpose() {
                Ok(revision) => driver.resume_with(answer, id, records, revision),
                Err(fault) => say(answer, Err(fault.to_string())),
            },
        );
    }

    fn resume_with(&mut self, answer: Respond, id: SourceId, records: Vec<Record>, revision: Option<Revision>) {
        self.write_all(&id.clone(), records, move |driver, written| {
            if let (Ok(()), Some(followed)) = (&written, driver.followed.get_mut(&id)) {
                followed.waiting = revision.or(followed.waiting.take());
                driver.listen(&id);
            }
            say(answer, words(written, &format!("source {id} is followed again")));
        });
    }

    fn roll_back(&mut self, answer: Respond, source: Option<&str>, commit: Option<&str>) {
        let chosen = self.registered(source).and_then(|id| {
            let followed = self.followed.get(&id).ok_or("no such source")?;
            if followed.state.suspension == Suspension::Down {
                return Err(format!("source {id} is down: `abide source resume {id}` first"));
            }
            let known = followed.state.keep();
            let target = match commit {
                Some(commit) => known.into_iter().find(|known| known.starts_with(commit)).or(Some(commit.to_owned())),
                None => followed.last_good().map(|accepted| accepted.commit.clone()),
            };
            let target =
                target.ok_or_else(|| format!("no commit before the present one of source {id} settled here"))?;
            let over = followed.newest_commit().unwrap_or_default().to_owned();
            let (spec, _) = followed.state.registered.clone().ok_or("no such source")?;
            Ok((id, target, over, spec))
        });
        let (id, target, over, spec) = match chosen {
            Ok(chosen) => chosen,
            Err(text) => return say(answer, Err(text)),
        };
        let asked = id.clone();
        self.call(
            move |means| means.kept(means.factory.reopen(&asked, &spec, &target)),
            move |driver, reopened| match reopened {
                Ok(Revision { wish: Wish::Refused(why), commit, .. }) => {
                    say(answer, Err(format!("commit {commit:.12} can't be in force: {why}")));
                }
                Ok(revision) => driver.pin(answer, id, revision, over),
                Err(fault) => say(answer, Err(fault.to_string())),
            },
        );
    }

    fn pin(&mut self, answer: Respond, id: SourceId, revision: Revision, over: String) {
        let record = Record::Pinned { commit: revision.commit.clone(), over };
        self.write(&id.clone(), record, move |driver, written| {
            if let Err(fault) = written {
                return say(answer, Err(fault.to_string()));
            }
            let commit = revision.commit.clone();
            if let Some(followed) = driver.followed.get_mut(&id) {
                followed.waiting = Some(revision);
            }
            send(answer, driver.stream([(id, commit)], true));
        });
    }

    fn apply(&mut self, answer: Respond, source: &str, path: String, mut spec: SourceSpec) {
        let id = match source.parse() {
            Ok(name) => SourceId(name),
            Err(error) => return say(answer, Err(format!("{error}"))),
        };
        if !Path::new(&path).is_absolute() {
            return say(answer, Err(format!("{path:?} is no absolute path")));
        }
        let registered = self.followed.get(&id).and_then(|followed| followed.state.registered.as_ref());
        if registered.is_some_and(|(_, origin)| *origin == Origin::Repository) {
            return say(answer, Err(format!("source {id} follows a repository: apply the folder under another name")));
        }
        spec.git.url = path;
        let (folder, asked, kept) = (self.folder.join(id.to_string()), id.clone(), spec.clone());
        let is_known = self.followed.contains_key(&id);
        self.call(
            move |means| {
                let journal = if is_known { None } else { Some(begin(&folder)?) };
                Ok((means.kept(means.factory.commit_folder(&asked, &spec))?, journal))
            },
            move |driver, result: Result<_, Fault>| match result {
                Ok((Revision { wish: Wish::Refused(why), commit, .. }, _)) => {
                    let message = why.to_string();
                    let outcome = api::Outcome { commit, result: api::Verdict::Refused, message, took_ms: 0 };
                    send(answer, Answer::Replies(vec![Reply::Outcome(outcome)]));
                }
                Ok((revision, journal)) => {
                    driver.enter(&id, journal);
                    driver.register_folder(answer, id, kept, revision);
                }
                Err(fault) => say(answer, Err(fault.to_string())),
            },
        );
    }

    fn register_folder(&mut self, answer: Respond, id: SourceId, spec: SourceSpec, revision: Revision) {
        let Some(followed) = self.followed.get(&id) else { return };
        let registered = (spec, Origin::Folder);
        let mut records = Vec::new();
        if followed.state.registered.as_ref() != Some(&registered) {
            records.push(Record::Registered { spec: Box::new(registered.0), origin: registered.1 });
        }
        if followed.state.suspension != Suspension::No {
            records.push(Record::Suspended { how: Suspension::No });
        }
        records.extend(followed.state.pin.iter().map(|_| Record::Unpinned));
        self.write_all(&id.clone(), records, move |driver, written| {
            if let Err(fault) = written {
                return say(answer, Err(fault.to_string()));
            }
            let commit = revision.commit.clone();
            if let Some(followed) = driver.followed.get_mut(&id) {
                followed.waiting = Some(revision);
            }
            send(answer, driver.stream([(id, commit)], true));
        });
    }

    /// Stops everything: each source is told to want its volumes alone.
    fn down(&mut self, answer: Respond) {
        let registered = self.followed.values().filter(|followed| followed.is_registered());
        let up = registered.filter(|followed| followed.state.suspension != Suspension::Down);
        let up: Vec<SourceId> = up.map(|followed| followed.id.clone()).collect();
        self.down_next(answer, up, BTreeMap::new());
    }

    fn down_next(&mut self, answer: Respond, mut left: Vec<SourceId>, mut stopping: BTreeMap<SourceId, String>) {
        let Some(id) = left.pop() else {
            if stopping.is_empty() {
                return say(answer, Ok("nothing runs that a source wants".to_owned()));
            }
            return send(answer, self.stream(stopping, true));
        };
        self.write(&id.clone(), Record::Suspended { how: Suspension::Down }, move |driver, written| {
            if let Err(fault) = written {
                return say(answer, Err(fault.to_string()));
            }
            stopping.extend(driver.put_down(&id));
            driver.down_next(answer, left, stopping);
        });
    }

    fn put_down(&mut self, id: &SourceId) -> Option<(SourceId, String)> {
        let followed = self.followed.get_mut(id)?;
        followed.listener = None;
        followed.permitted = None;
        let accepted = followed.state.accepted.as_ref()?;
        let told = followed.told.get(&accepted.generation)?;
        let revision = Revision {
            commit: told.commit.clone(),
            summary: told.summary.clone(),
            wish: Wish::Complete(told.complete.clone()?),
            files: BTreeMap::new(),
        };
        let commit = revision.commit.clone();
        followed.waiting = Some(revision);
        Some((id.clone(), commit))
    }

    /// The source that is meant: this one, or the only one.
    fn registered(&self, name: Option<&str>) -> Result<SourceId, String> {
        let mut all = self.followed.values().filter(|followed| followed.is_registered()).map(|followed| &followed.id);
        match name {
            Some(name) => all
                .find(|id| id.0.as_str() == name)
                .cloned()
                .ok_or_else(|| format!("there is no source {name}; `abide source list` shows all")),
            None => match (all.next(), all.next()) {
                (Some(only), None) => Ok(only.clone()),
                (None, _) => Err("there is no source".to_owned()),
                (Some(_), Some(_)) => Err("there are several sources: say which".to_owned()),
            },
        }
    }
}

fn words(written: Result<(), Fault>, done: &str) -> Words {
    written.map(|()| done.to_owned()).map_err(|fault| fault.to_string())
}

fn say(answer: Respond, words: Words) {
    let reply = match words {
        Ok(message) => Reply::Done { message },
        Err(message) => Reply::Refused { message },
    };
    send(answer, Answer::Replies(vec![reply]));
}

fn refusal(message: String) -> Answer {
    Answer::Replies(vec![Reply::Refused { message }])
}

/// Who asked may have hung up.
fn send(answer: Respond, reply: Answer) {
    drop(answer.send(reply));
}
