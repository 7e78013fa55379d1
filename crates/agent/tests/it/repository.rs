//! Repositories in memory: commits of YAML, and sources that follow their tips.

use crate::recorder::Recorder;
use abide_agent::{Opened, Opening, SourceFactory};
use abide_reconcile::{
    Attend, Complete, Digest, Fault, Kind, Name, Revision, Source, SourceId, UnitId, Want, Wish,
    spec::{Context, MemoryTree, kind::SourceSpec, parse},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex},
};

#[derive(Debug, Default)]
struct State {
    /// YAML by commit, of all repositories.
    commits: BTreeMap<String, String>,
    /// Tips by URL; a folder's content likewise.
    tips: BTreeMap<String, String>,
    /// Servers that are away.
    away: bool,
    /// Opening a repository takes until this is over.
    slow: bool,
    wakes: usize,
}

/// All repositories there are.
#[derive(Debug, Default)]
pub(crate) struct Repositories {
    state: Mutex<State>,
    changed: Condvar,
    /// Who is told how it stands with every source that is opened.
    pub(crate) recorder: Arc<Recorder>,
}

impl Repositories {
    /// Pushes this content, and returns its commit.
    pub(crate) fn push(&self, url: &str, yaml: &str) -> String {
        let commit = commit_of(yaml);
        let mut state = self.state.lock().unwrap();
        state.commits.insert(commit.clone(), yaml.to_owned());
        state.tips.insert(url.to_owned(), commit.clone());
        self.changed.notify_all();
        commit
    }

    pub(crate) fn slow(&self, is_slow: bool) {
        self.state.lock().unwrap().slow = is_slow;
        self.changed.notify_all();
    }

    pub(crate) fn away(&self, is_away: bool) {
        self.state.lock().unwrap().away = is_away;
        self.changed.notify_all();
    }
}

pub(crate) fn commit_of(yaml: &str) -> String {
    Digest::of(yaml.as_bytes()).to_string().chars().take(40).collect()
}

/// What a commit says. A line `#scope NAME` says in which scope the documents behind it are, and `#confirms KIND/NAME` that
/// somebody wants that unit of it to go.
fn revision(id: &SourceId, spec: &SourceSpec, commit: &str, yaml: &str) -> Revision {
    let wish = match read(id, spec, yaml) {
        Ok(complete) => Wish::Complete(Arc::new(complete)),
        Err(mistakes) => Wish::Refused(mistakes.into()),
    };
    Revision { commit: commit.to_owned(), summary: format!("about {commit:.6}"), wish, files: BTreeMap::new() }
}

fn read(id: &SourceId, spec: &SourceSpec, yaml: &str) -> Result<Complete, String> {
    let (mut wants, mut confirmed) = (Vec::new(), Vec::new());
    for part in format!("#scope {id}\n{yaml}").split("#scope ").skip(1) {
        let (scope, yaml) = part.split_once('\n').unwrap();
        let scope: Name = scope.parse().unwrap();
        let tree = MemoryTree([("all.yaml".to_owned(), yaml.as_bytes().into())].into());
        let parsed = parse(&tree, Context::plain(&scope, &spec.grants));
        let parsed =
            parsed.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        wants.extend(parsed.units.into_iter().map(|unit| Arc::new(Want::new(unit))));
        let gone = yaml.lines().filter_map(|line| line.strip_prefix("#confirms ")?.split_once('/'));
        confirmed.extend(gone.map(|(kind, name)| UnitId {
            scope: scope.clone(),
            kind: Kind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap(),
            name: name.parse().unwrap(),
            index: 0,
        }));
    }
    Ok(Complete::new(wants).unwrap().confirming(confirmed))
}

fn url(spec: &SourceSpec) -> Result<String, Fault> {
    let git = spec.git().ok_or_else(|| Fault::Never(format!("{} can't be followed", spec.follow).into()))?;
    Ok(git.url.clone())
}

/// Makes sources of them.
#[derive(Debug)]
pub(crate) struct Factory(pub(crate) Arc<Repositories>);

impl SourceFactory for Factory {
    fn open(&self, opening: &Opening) -> Result<Opened, Fault> {
        let url = url(&opening.spec)?;
        if url.starts_with("ssh") {
            return Err(Fault::Never("ssh can't be followed".into()));
        }
        drop(self.0.changed.wait_while(self.0.state.lock().unwrap(), |state| state.slow).unwrap());
        let Opening { id, spec, said, .. } = opening.clone();
        let source = Followed { repositories: Arc::clone(&self.0), id, spec, url, said, woken: 0, was_away: false };
        let repositories = Arc::clone(&self.0);
        let wake = move || {
            repositories.state.lock().unwrap().wakes += 1;
            repositories.changed.notify_all();
        };
        Ok(Opened {
            source: Box::new(source),
            wake: Box::new(wake),
            reporter: Some(self.0.recorder.clone()),
            contact: None,
        })
    }

    fn reopen(&self, id: &SourceId, spec: &SourceSpec, commit: &str) -> Result<Revision, Fault> {
        let state = self.0.state.lock().unwrap();
        let yaml = state.commits.get(commit);
        let yaml = yaml.ok_or_else(|| Fault::Never(format!("commit {commit} is not in the cache").into()))?;
        Ok(revision(id, spec, commit, yaml))
    }

    fn commit_folder(&self, id: &SourceId, spec: &SourceSpec) -> Result<Revision, Fault> {
        let commit = self.0.state.lock().unwrap().tips.get(&url(spec)?).cloned();
        self.reopen(id, spec, &commit.ok_or_else(|| Fault::Never("there is no such folder".into()))?)
    }
}

struct Followed {
    repositories: Arc<Repositories>,
    id: SourceId,
    spec: SourceSpec,
    url: String,
    said: Option<String>,
    woken: usize,
    was_away: bool,
}

impl Source for Followed {
    fn next(&mut self, attend: &dyn Attend) -> Result<Revision, Fault> {
        let mut state = self.repositories.state.lock().unwrap();
        loop {
            if attend.is_cancelled() {
                return Err(Fault::Cancelled);
            }
            attend.looks();
            if state.away && (!self.was_away || self.woken != state.wakes) {
                (self.was_away, self.woken) = (true, state.wakes);
                return Err(Fault::Again("the server is away".into()));
            }
            let tip = state.tips.get(&self.url).cloned().filter(|_| !state.away);
            if let Some(tip) = tip.filter(|tip| self.said.as_ref() != Some(tip) || self.was_away) {
                self.was_away = false;
                self.said = Some(tip.clone());
                return Ok(revision(&self.id, &self.spec, &tip, &state.commits[&tip]));
            }
            self.woken = state.wakes;
            if !state.away {
                attend.found_nothing();
            }
            state = self.repositories.changed.wait(state).unwrap();
        }
    }
}
