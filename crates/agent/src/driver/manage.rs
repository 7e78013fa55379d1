//! What people ask about sources: which there are, which are followed, and where they stay.

use super::{
    Driver, Reach,
    requests::{outcome, say, send, words},
    sources::begin,
};
use crate::{
    api::{self, Reply},
    followed::{By, Restoring, Waiting},
    journal::{Origin, Record, Suspension},
    port::{Opened, Opening},
    talk::{Answer, Respond},
};
use abide_reconcile::{
    Fault, Revision, SourceId, Wish,
    spec::kind::{Follow, SourceSpec},
};
use std::path::Path;
use tokio::sync::oneshot;

impl Driver {
    pub(super) fn add_source(&mut self, answer: Respond, name: &str, spec: SourceSpec) {
        let id = match name.parse() {
            Ok(name) => SourceId(name),
            Err(error) => return say(answer, Err(error.to_string().into())),
        };
        let kept = spec.clone();
        self.prepare_source(id.clone(), spec, move |driver, opened| {
            let opened = match opened {
                Ok(opened) => opened,
                Err(fault) => return say(answer, Err(fault.into())),
            };
            let mut records = vec![Record::Registered { spec: Box::new(kept), origin: Origin::Followed }];
            let state = driver.followed.get(&id).map(|followed| &followed.state);
            records.extend(state.and_then(|state| state.pin.as_ref()).map(|_| Record::Unpinned));
            // What was said of a source before it was given up is over.
            let was_given_up = state.is_some_and(|state| state.registered.is_none());
            records.extend(was_given_up.then_some(Record::Suspended { how: Suspension::No }));
            driver.write_all(&id.clone(), records, move |driver, written| {
                if written.is_ok() {
                    driver.start_listener(&id, opened, None);
                }
                say(answer, words(written, &format!("source {id} is followed")));
            });
        });
    }

    /// Registers the source that this agent is there for, if it isn't as it is to be: once it is known what an earlier run
    /// left of it.
    pub(super) fn follow_purpose(&mut self) {
        let is_restored = |id: &SourceId| {
            let followed = self.followed.get(id);
            followed.is_none_or(|followed| followed.restoring == Restoring::Over && !followed.is_opening)
        };
        let Some((id, spec)) = self.purpose.take_if(|(id, _)| is_restored(id)) else { return };
        let in_vain = self.in_vain.take();
        if let Some(why) = self.followed.get(&id).and_then(|followed| followed.desk.broken.clone()) {
            if let Some(tell) = in_vain {
                tell(why.to_string());
            }
            return;
        }
        let registered = self.followed.get(&id).and_then(|followed| followed.state.registered.clone());
        if registered == Some((spec.clone(), Origin::Followed)) || self.reach != Reach::Follow {
            return;
        }
        let (answer, answered) = oneshot::channel();
        self.add_source(answer, &id.to_string(), spec);
        tokio::spawn(async move {
            let Ok(Answer::Replies(replies)) = answered.await else { return };
            let refused = replies.into_iter().find_map(|reply| match reply {
                Reply::Refused { message } | Reply::Failed { message } => Some(message),
                _ => None,
            });
            let Some(message) = refused else { return };
            tracing::error!(source = %id, message, "the source that this agent is there for can't be followed");
            if let Some(tell) = in_vain {
                tell(message);
            }
        });
    }

    pub(super) fn remove_source(&mut self, answer: Respond, name: &str) {
        let id = match self.registered(Some(name)) {
            Ok(id) => id,
            Err(text) => return say(answer, Err(text.into())),
        };
        self.write(&id.clone(), Record::Withdrawn, move |driver, written| {
            if written.is_ok() {
                driver.tell_withdrawn(&id);
            }
            say(answer, words(written, &format!("source {id} is given up; what it owns runs on")));
        });
    }

    pub(super) fn suspend(&mut self, answer: Respond, name: &str) {
        let id = match self.registered(Some(name)) {
            Ok(id) => id,
            Err(text) => return say(answer, Err(text.into())),
        };
        let suspension = self.followed.get(&id).map(|followed| followed.state.suspension);
        if suspension != Some(Suspension::No) {
            return say(answer, Ok(format!("source {id} is suspended already")));
        }
        self.write(&id.clone(), Record::Suspended { how: Suspension::Commits }, move |driver, written| {
            if let (Ok(()), Some(followed)) = (&written, driver.followed.get_mut(&id)) {
                followed.listener = None;
                // It was not told to the core, so it is said again when the source is followed again.
                followed.waiting = None;
            }
            say(answer, words(written, &format!("source {id} takes no new commits; what runs, runs on")));
        });
    }

    /// Follows again. After `down` and `rollback` the core has to be told of the newest commit once more.
    pub(super) fn resume(&mut self, answer: Respond, name: &str) {
        let id = match self.registered(Some(name)) {
            Ok(id) => id,
            Err(text) => return say(answer, Err(text.into())),
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
                Err(fault) => say(answer, Err(fault.into())),
            },
        );
    }

    fn resume_with(&mut self, answer: Respond, id: SourceId, records: Vec<Record>, revision: Option<Revision>) {
        self.write_all(&id.clone(), records, move |driver, written| {
            if let (Ok(()), Some(followed)) = (&written, driver.followed.get_mut(&id)) {
                let chosen = revision.map(|revision| Waiting { revision, by: By::Person });
                followed.waiting = chosen.or(followed.waiting.take());
                driver.listen(&id);
            }
            say(answer, words(written, &format!("source {id} is followed again")));
        });
    }

    pub(super) fn roll_back(&mut self, answer: Respond, source: Option<&str>, commit: Option<&str>) {
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
            Err(text) => return say(answer, Err(text.into())),
        };
        let asked = id.clone();
        self.call(
            move |means| means.kept(means.factory.reopen(&asked, &spec, &target)),
            move |driver, reopened| match reopened {
                Ok(Revision { wish: Wish::Refused(why), commit, .. }) => {
                    say(answer, Err(format!("commit {commit:.12} can't be in force: {why}").into()));
                }
                Ok(revision) => driver.pin(answer, id, revision, over),
                Err(fault) => say(answer, Err(fault.into())),
            },
        );
    }

    fn pin(&mut self, answer: Respond, id: SourceId, revision: Revision, over: String) {
        let record = Record::Pinned { commit: revision.commit.clone(), over };
        self.write(&id.clone(), record, move |driver, written| {
            if let Err(fault) = written {
                return say(answer, Err(fault.into()));
            }
            let commit = revision.commit.clone();
            driver.wait_to_tell(&id, Waiting { revision, by: By::Person });
            send(answer, driver.stream([(id, commit)]));
        });
    }

    pub(super) fn apply(&mut self, answer: Respond, source: &str, path: String, mut spec: SourceSpec) {
        let id = match source.parse() {
            Ok(name) => SourceId(name),
            Err(error) => return say(answer, Err(error.to_string().into())),
        };
        if !Path::new(&path).is_absolute() {
            return say(answer, Err(format!("{path:?} is no absolute path").into()));
        }
        let registered = self.followed.get(&id).and_then(|followed| followed.state.registered.as_ref());
        if let Some((other, Origin::Followed)) = registered {
            let text = format!("source {id} follows {}: apply the folder under another name", other.follow);
            return say(answer, Err(text.into()));
        }
        let Follow::Git(git) = &mut spec.follow else {
            return say(
                answer,
                Err(format!("{path} is a folder, and the request says to follow {}", spec.follow).into()),
            );
        };
        git.url = path;
        let (asked, kept) = (id.clone(), spec.clone());
        let is_known = self.followed.contains_key(&id);
        self.call(
            move |means| {
                let journal = if is_known { None } else { Some(begin(&*means.journals, &asked)?) };
                Ok((means.kept(means.factory.commit_folder(&asked, &spec))?, journal))
            },
            move |driver, result: Result<_, Fault>| match result {
                Ok((Revision { wish: Wish::Refused(why), commit, .. }, _)) => {
                    let refused = outcome(&commit, api::Verdict::Refused, why.to_string());
                    send(answer, Answer::Replies(vec![refused]));
                }
                Ok((revision, journal)) => {
                    driver.enter(&id, journal);
                    driver.register_folder(answer, id, kept, revision);
                }
                Err(fault) => say(answer, Err(fault.into())),
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
                return say(answer, Err(fault.into()));
            }
            let commit = revision.commit.clone();
            driver.wait_to_tell(&id, Waiting { revision, by: By::Person });
            send(answer, driver.stream([(id, commit)]));
        });
    }

    /// Opens a source as its owner wrote it, and its journal if it was never heard of. What is known of it is not said again:
    /// what it may refer to may be another by now.
    fn prepare_source(
        &self,
        id: SourceId,
        spec: SourceSpec,
        then: impl FnOnce(&mut Driver, Result<Opened, Fault>) + Send + 'static,
    ) {
        let known = self.followed.get(&id);
        let is_known = known.is_some();
        let keep = known.map(|followed| followed.state.keep()).unwrap_or_default();
        let opening = Opening { id: id.clone(), spec, said: None, keep };
        self.call(
            move |means| {
                let opened = means.factory.open(&opening)?;
                let journal = if is_known { None } else { Some(begin(&*means.journals, &opening.id)?) };
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
}
