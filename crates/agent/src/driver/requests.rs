//! What people and hooks ask, and what they are answered: never before what it rests on is written.

use super::{
    Driver,
    snapshot::{preview, state_of},
};
use crate::{
    api::{self, Reply, Request},
    followed::Followed,
    journal::{Origin, Record},
    may,
    talk::{Answer, Asked, Respond, Until},
};
use abide_reconcile::{Complete, Event, Fault, Permit, SourceId, Unit, UnitId, Want};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// Held plans of one source that were shown to somebody, who may say yes before the commit comes. Who looks at many plans
/// of one source makes those of another no shorter-lived.
const PREVIEWED_MAX: usize = 16;

/// How long to wait for a source to come to a commit that it was never seen at.
const UNSEEN_MAX: Duration = Duration::from_secs(30);

/// How long to wait for a source to come to a commit again that it was at before.
const AGAIN_MAX: Duration = Duration::from_secs(3);

/// An answer in words, good or bad.
pub(super) type Words = Result<String, No>;

/// Why something isn't done.
pub(super) enum No {
    /// It is not to be.
    Refused(String),
    /// It could not be, and may be another time.
    Failed(String),
}

impl From<String> for No {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl From<&Fault> for No {
    fn from(fault: &Fault) -> Self {
        match fault {
            Fault::Never(why) => Self::Refused(why.to_string()),
            Fault::Again(_) | Fault::Unprepared | Fault::Cancelled => Self::Failed(fault.to_string()),
        }
    }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> Self {
        Self::from(&fault)
    }
}

impl From<No> for Reply {
    fn from(no: No) -> Self {
        match no {
            No::Refused(message) => Self::Refused { message },
            No::Failed(message) => Self::Failed { message },
        }
    }
}

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
            Request::Retry { unit } => self.retry(answer, &unit),
            Request::Rollback { source, commit } => self.roll_back(answer, source.as_deref(), commit.as_deref()),
            Request::Down => self.down(answer),
        }
    }

    fn events(&self, follow: bool) -> Answer {
        let first = self.ring.last().into_iter().map(Reply::Happened).collect();
        if follow {
            Answer::Stream { first, news: self.ring.listen(), until: Until::HangUp }
        } else {
            Answer::Replies(first)
        }
    }

    fn sources_of(&self, repository: &Path) -> Answer {
        let registered = self.followed.values().filter_map(|followed| {
            let (spec, Origin::Followed) = followed.state.registered.as_ref()? else { return None };
            let is_it = may::repository(spec) == Some(repository);
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
        let source = SourceId(name);
        let complete = match Complete::new(wants) {
            Ok(complete) => complete,
            Err(invalid) => return refusal(invalid.to_string()),
        };
        let found = abide_reconcile::preview(&self.core, &source, &complete);
        if let Some(held) = &found.held {
            self.remember_shown(held.permit.clone());
        }
        Answer::Replies(vec![Reply::Preview(preview(&source, &found))])
    }

    fn remember_shown(&mut self, permit: Permit) {
        self.previewed.retain(|shown| *shown != permit);
        let of_source = self.previewed.iter().filter(|shown| shown.source == permit.source).count();
        if of_source >= PREVIEWED_MAX
            && let Some(oldest) = self.previewed.iter().position(|shown| shown.source == permit.source)
        {
            self.previewed.remove(oldest);
        }
        self.previewed.push_back(permit);
    }

    fn follow(&self, source: Option<&str>, commit: &str) -> Answer {
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return refusal(format!("{commit:?} is no commit: write its id, or how it begins"));
        }
        let followed = match self.who_has(source, commit) {
            Ok(followed) => followed,
            Err(message) => return refusal(message),
        };
        let id = followed.id.clone();
        let is_it = |known: &str| known.starts_with(commit);
        if let Some(coming) = followed.coming().filter(|coming| is_it(coming)) {
            return self.stream([(id, coming.to_owned())]);
        }
        if let Some(refused) = followed.refused.as_ref().filter(|refused| is_it(&refused.commit)) {
            return Answer::Replies(vec![outcome(&refused.commit, api::Verdict::Refused, refused.message.clone())]);
        }
        let was_here = followed.newest().filter(|_| followed.state.keep().iter().any(|kept| is_it(kept)));
        let superseded = was_here.map(|told| {
            let message = format!("commit {:.12} took its place", told.commit);
            outcome(commit, api::Verdict::Superseded, message)
        });
        let look = match &followed.listener {
            // It may be on its way here, again or for the first time.
            Some(listener) => listener.wake(),
            // Its first look tells.
            None if followed.is_opening => 0,
            None => {
                return superseded.map_or_else(
                    || refusal(takes_none(followed, commit)),
                    |superseded| Answer::Replies(vec![superseded]),
                );
            }
        };
        let (within, or) = match superseded {
            Some(superseded) => (AGAIN_MAX, superseded),
            None => (UNSEEN_MAX, never_came(&id, commit)),
        };
        let until = Until::Seen { source: id, commit: commit.to_owned(), look, within, or: Box::new(or) };
        Answer::Stream { first: Vec::new(), news: self.ring.listen(), until }
    }

    /// The source that has a commit, or may yet come to it.
    fn who_has(&self, source: Option<&str>, commit: &str) -> Result<&Followed, String> {
        if source.is_none() {
            let knows = |followed: &&Followed| {
                let refused = followed.refused.as_ref().map(|refused| &refused.commit);
                let kept = followed.state.keep();
                let mut all = followed
                    .coming()
                    .into_iter()
                    .chain(refused.map(String::as_str))
                    .chain(kept.iter().map(String::as_str));
                all.any(|known| known.starts_with(commit))
            };
            if let Some(followed) = self.followed.values().find(knows) {
                return Ok(followed);
            }
        }
        let id = self.registered(source).map_err(|why| match source {
            Some(_) => why,
            None => format!("no source is at commit {commit} or was; `abide source list` shows all"),
        })?;
        self.followed.get(&id).ok_or_else(|| format!("there is no source {id}"))
    }

    /// What follows until it is known what becomes of these commits, as far as it isn't.
    pub(super) fn stream(&self, commits: impl IntoIterator<Item = (SourceId, String)>) -> Answer {
        let mut over = Vec::new();
        let mut open = BTreeMap::new();
        for (id, commit) in commits {
            let outcome = self.followed.get(&id).filter(|followed| followed.waiting.is_none());
            let outcome = outcome.and_then(|followed| followed.outcome.as_ref());
            match outcome.filter(|outcome| outcome.commit.starts_with(&commit)) {
                Some(outcome) => over.push(outcome.clone()),
                None => drop(open.insert(id, commit)),
            }
        }
        let until = Until::Ended(open);
        Answer::Stream { first: over.into_iter().map(Reply::Outcome).collect(), news: self.ring.listen(), until }
    }

    fn wake(&self, source: &str) -> Words {
        let id = self.registered(Some(source))?;
        let followed = self.followed.get(&id);
        match followed.and_then(|followed| followed.listener.as_ref()) {
            Some(listener) => {
                listener.wake();
                Ok(format!("source {id} is looked at"))
            }
            None if followed.is_some_and(|followed| followed.is_opening) => Ok(format!("source {id} is looked at")),
            None => Err(format!("source {id} is not followed at the moment: `abide source list` says why").into()),
        }
    }

    /// It is written at once, not only when the core comes to it: who asked has been told.
    fn retry(&mut self, answer: Respond, text: &str) {
        let unit = match self.unit_called(text) {
            Ok(unit) => unit,
            Err(text) => return say(answer, Err(text.into())),
        };
        let source = self.source_of(&unit);
        let record = Record::Retried { id: unit.clone() };
        let tried = move |driver: &mut Driver, written: Result<(), Fault>| {
            if written.is_ok() {
                let now = driver.clock.now();
                driver.core.handle(now, Event::Retry(unit.clone()));
            }
            say(answer, words(written, &format!("{unit} is tried again")));
        };
        match self.followed.contains_key(&source) {
            true => self.write(&source, record, tried),
            // Nothing is remembered of a unit whose source was never heard of.
            false => tried(self, Ok(())),
        }
    }

    fn unit_called(&self, text: &str) -> Result<UnitId, String> {
        let status = self.core.status(self.clock.now());
        let is_it = |unit: &&UnitId| {
            let index = if unit.index == 0 { String::new() } else { format!("#{}", unit.index) };
            let short = format!("{}/{}{index}", unit.kind, unit.name);
            [unit.to_string(), short, format!("{}{index}", unit.name)].iter().any(|known| known == text)
        };
        let found: Vec<UnitId> = status.units.iter().map(|unit| &unit.id).filter(is_it).cloned().collect();
        match &found[..] {
            [unit] => Ok(unit.clone()),
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
            return say(answer, Err(text.into()));
        };
        let id = permit.source.clone();
        let units = permit.removals.keys().cloned().collect();
        self.write(&id, Record::Allowed { permit }, move |driver, written| {
            let now = driver.clock.now();
            driver.core.handle(now, Event::Changed(units));
            say(answer, words(written, "allowed"));
        });
    }

    /// The source that is meant: this one, or the only one.
    pub(super) fn registered(&self, name: Option<&str>) -> Result<SourceId, String> {
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

pub(super) fn words(written: Result<(), Fault>, done: &str) -> Words {
    written.map(|()| done.to_owned()).map_err(No::from)
}

pub(super) fn say(answer: Respond, words: Words) {
    let reply = words.map_or_else(Reply::from, |message| Reply::Done { message });
    send(answer, Answer::Replies(vec![reply]));
}

pub(super) fn refusal(message: String) -> Answer {
    Answer::Replies(vec![Reply::Refused { message }])
}

/// What became of a commit, decided before it was asked.
pub(super) fn outcome(commit: &str, result: api::Verdict, message: String) -> Reply {
    Reply::Outcome(api::Outcome { commit: commit.to_owned(), result, message, took_ms: 0 })
}

/// Why a source that nobody listens to doesn't come to a commit.
fn takes_none(followed: &Followed, commit: &str) -> String {
    let (id, why) = (&followed.id, state_of(followed, None).1);
    if why.is_empty() {
        format!(
            "source {id} neither is nor was at commit {commit:.12}, and nobody looks for it: `abide apply` commits folders, an agent follows repositories"
        )
    } else {
        format!("source {id} takes no commits at the moment: {why}")
    }
}

fn never_came(source: &SourceId, commit: &str) -> Reply {
    let seconds = UNSEEN_MAX.as_secs();
    let message = format!(
        "commit {commit:.12} did not come to source {source} within {seconds} s: `abide source list` shows where it is"
    );
    Reply::Refused { message }
}

/// Who asked may have hung up.
pub(super) fn send(answer: Respond, reply: Answer) {
    drop(answer.send(reply));
}
