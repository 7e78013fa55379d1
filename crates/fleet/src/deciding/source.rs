//! The source: on which commit which machines are to be, as soon as either changes.
//!
//! ```text
//!  follower: the branch's tip ──► choice: what may follow, is read and signed ─┐
//!  roster: machines, labels, pauses ──────────────────────────────────────────┴─► wish ─► Reconciler
//! ```
//!
//! A tip that is broken, or that machines wouldn't take, is a wish that is refused: what is in force stays so, and is wished of
//! the machines that come meanwhile, and as who pauses a roll-out wants it.

use super::{
    bell::Bell,
    board::Board,
    choice::{Branch, Choice, NoChoice},
    commit::{Commit, NotRead},
    follower::{Follower, Sight, Tip},
    lineage::{self, Claims},
    roster::Roster,
    wish::{Wants, Wished, is_told},
};
use abide_agent::{Opening, journal::is_same_commit};
use abide_git::{Oid, cache};
use abide_reconcile::{Attend, Digest, Fault, Revision, Source, SourceId, Wish};
use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Who loses interest rings the bell; and should that be missed, this is soon enough.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// A look costs all machines. It may take this share of the time, one part in so many: where many machines come one by one,
/// what they change is wished together.
const SHARE: u32 = 20;

/// But no news waits for longer because of that.
const LATE_MAX: Duration = Duration::from_secs(2);

/// A cache that can't be read is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What is needed to say what is wished.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) source: SourceId,
    /// The fleet's identity, as its tree has it.
    pub(super) fleet: String,
    pub(super) follower: Arc<Follower>,
    pub(super) roster: Arc<Roster>,
    pub(super) bell: Arc<Bell>,
    pub(super) board: Arc<Board>,
}

/// Says where all machines are to be.
pub(super) struct FleetSource {
    means: Means,
    /// The commit that was said last to be good: the next one goes on from there.
    base: Option<Oid>,
    /// The tip as it was read, or why it isn't rolled out.
    read: Option<(Tip, Result<Commit, String>)>,
    /// The base as it was read, for when the tip is refused.
    kept: Option<Commit>,
    said: Option<String>,
    /// What was said last that wasn't refused.
    wished: Option<String>,
    trouble: Option<Arc<str>>,
    /// The last look failed.
    is_failed: bool,
    /// When it may be looked again.
    not_before: Instant,
    wants: Wants,
}

impl FleetSource {
    pub(super) fn new(means: Means, opening: &Opening) -> Self {
        let wished = opening.keep.first().cloned();
        Self {
            means,
            base: wished.as_deref().and_then(id),
            read: None,
            kept: None,
            said: opening.said.clone(),
            wished,
            trouble: None,
            is_failed: false,
            not_before: Instant::now(),
            wants: Wants::default(),
        }
    }

    /// What there is to say, if it is news.
    fn look(&mut self) -> Result<Option<Revision>, Fault> {
        let Sight { tip, trouble } = self.means.follower.sight();
        if trouble != self.trouble {
            self.trouble.clone_from(&trouble);
            match trouble {
                Some(trouble) => return Err(Fault::Again(trouble)),
                // What is said after a fault is said again, so that it is known to be over.
                None => self.said = None,
            }
        }
        let Some(tip) = tip else { return Ok(None) };
        let revision = match self.look_at(&tip) {
            Ok(revision) => revision,
            Err(fault) => {
                self.said = None;
                return Err(fault);
            }
        };
        if self.said.as_ref() == Some(&revision.commit) {
            return Ok(None);
        }
        self.said = Some(revision.commit.clone());
        // Who hears this takes the repository to be in reach: that it isn't is said once more.
        self.trouble = None;
        if matches!(revision.wish, Wish::Complete(_)) {
            self.base = id(&revision.commit);
            self.wished = Some(revision.commit.clone());
        }
        Ok(Some(revision))
    }

    /// What the tip says for the machines of now; where it is refused, before that what the base says for them, if it is news.
    fn look_at(&mut self, tip: &Tip) -> Result<Revision, Fault> {
        if self.read.as_ref().is_none_or(|(known, _)| known != tip) {
            let read = self.read(tip)?;
            // The tip before it may have become the base, and isn't read again.
            if let Some((_, Ok(before))) = self.read.replace((tip.clone(), read))
                && Some(before.id) == self.base
            {
                self.kept = Some(before);
            }
        }
        let revised = match &mut self.read {
            Some((_, Ok(commit))) => revise(&self.means, &mut self.wants, commit)?,
            Some((_, Err(why))) => Err(why.clone()),
            None => return Err(Fault::Again("the commit was not read yet".into())),
        };
        let revision = match revised {
            Ok(revision) => revision,
            Err(why) => match self.base_of_now()? {
                Some(revision) => return Ok(revision),
                None => refused(tip, why),
            },
        };
        self.means.board.judged(&tip.commit, &revision.commit);
        Ok(revision)
    }

    /// What the base says for the machines of now, if that is something else than was said last.
    fn base_of_now(&mut self) -> Result<Option<Revision>, Fault> {
        let Some(base) = self.base else { return Ok(None) };
        if self.kept.as_ref().is_none_or(|kept| kept.id != base) {
            self.kept = match Commit::read(self.means.follower.directory(), base, &self.means.fleet) {
                Ok(read) => Some(read),
                Err(NotRead::Broken(_)) => None,
                Err(error) => return Err(Fault::Again(error.to_string().into())),
            };
        }
        let Some(kept) = &mut self.kept else { return Ok(None) };
        let revised = revise(&self.means, &mut self.wants, kept)?;
        Ok(revised.ok().filter(|revision| self.wished.as_ref() != Some(&revision.commit)))
    }

    /// Reads a tip. Only a cache that can't be read is a fault.
    fn read(&self, tip: &Tip) -> Result<Result<Commit, String>, Fault> {
        let again = |text: String| Fault::Again(text.into());
        if let Some(absent) = &tip.absent {
            return Ok(Err(absent.to_string()));
        }
        let commit = id(&tip.commit).ok_or_else(|| again(format!("{:?} is no commit", tip.commit)))?;
        let read = self.follow(commit)?;
        let broken = read.as_ref().err().map(String::as_str);
        let (directory, fleet) = (self.means.follower.directory(), &self.means.fleet);
        match (Branch { directory, fleet, base: self.base, tip: commit, broken, tags: &tip.tags }).choose() {
            Ok(Choice { commit: chosen, waits }) => {
                self.means.board.waits(&waits);
                if chosen == commit { Ok(read) } else { self.follow(chosen) }
            }
            Err(NoChoice::Refused(why)) => Ok(Err(why)),
            Err(NoChoice::Cache(why)) => Err(again(why)),
        }
    }

    /// Reads a commit that the fleet may go on to.
    fn follow(&self, commit: Oid) -> Result<Result<Commit, String>, Fault> {
        let again = |text: String| Fault::Again(text.into());
        let directory = self.means.follower.directory();
        let read = match Commit::read(directory, commit, &self.means.fleet) {
            Ok(read) => read,
            Err(NotRead::Broken(why)) => return Ok(Err(why)),
            Err(error) => return Err(again(error.to_string())),
        };
        let spec = read.file.spec();
        let replaces: Vec<String> = spec.replaces.iter().map(ToString::to_string).collect();
        let floor = spec.floor.as_ref().map(ToString::to_string);
        let claims = Claims { floor: floor.as_deref(), replaces: &replaces };
        let cache = cache::open(directory).map_err(|error| again(error.to_string()))?;
        Ok(match lineage::refuse(&cache, self.base, commit, claims) {
            Some(why) => Err(why),
            None => Ok(read),
        })
    }
}

impl Source for FleetSource {
    fn next(&mut self, attend: &dyn Attend) -> Result<Revision, Fault> {
        loop {
            let rung = self.means.bell.rung();
            if attend.is_cancelled() {
                return Err(Fault::Cancelled);
            }
            if std::mem::take(&mut self.is_failed) {
                self.means.bell.wait(rung, AGAIN, attend);
                continue;
            }
            thread::sleep(self.not_before.saturating_duration_since(Instant::now()));
            let began = Instant::now();
            let looked = self.look();
            self.not_before = began + (began.elapsed() * SHARE).min(LATE_MAX);
            match looked {
                Ok(Some(revision)) => return Ok(revision),
                Ok(None) => self.means.bell.wait(rung, SLEEP_MAX, attend),
                Err(fault) => {
                    self.is_failed = true;
                    return Err(fault);
                }
            }
        }
    }
}

/// What a commit says for the machines of now, or what is wrong with it.
fn revise(means: &Means, wants: &mut Wants, commit: &mut Commit) -> Result<Result<Revision, String>, Fault> {
    let machines = means.roster.machines();
    let told: Vec<_> = machines.values().filter(|machine| is_told(&commit.file, machine)).collect();
    let mistakes = commit.mistakes(means.follower.directory(), told.iter().map(|machine| &machine.name));
    if let Some(mistakes) = mistakes.map_err(|error| Fault::Again(error.to_string().into()))? {
        return Ok(Err(mistakes));
    }
    let paused = means.roster.paused();
    let wished = wants.wish(&means.source, &commit.id.to_string(), &commit.file, &machines, &paused);
    let revision = |wished: Wished| Revision {
        commit: wished.name,
        summary: commit.summary.clone(),
        wish: Wish::Complete(Arc::new(wished.complete)),
        files: BTreeMap::new(),
    };
    Ok(wished.map(revision).map_err(|invalid| invalid.to_string()))
}

/// What is said of a tip that isn't rolled out.
fn refused(tip: &Tip, why: String) -> Revision {
    Revision {
        commit: told_apart(&tip.commit, &why),
        summary: tip.summary.clone(),
        wish: Wish::Refused(why.into()),
        files: BTreeMap::new(),
    }
}

/// What a commit that was said before says for the machines of now. It is told under the number that it had then.
pub(super) fn reopen(means: &Means, said: &str) -> Result<Revision, Fault> {
    let again = |text: String| Fault::Again(text.into());
    means.roster.refresh().map_err(|error| super::machines::fault(&error))?;
    let commit = id(said).ok_or_else(|| Fault::Never(format!("{said:?} is no commit").into()))?;
    let read =
        Commit::read(means.follower.directory(), commit, &means.fleet).map_err(|error| again(error.to_string()))?;
    let (machines, paused) = (means.roster.machines(), means.roster.paused());
    let wished = Wants::default().wish(&means.source, &commit.to_string(), &read.file, &machines, &paused);
    let wish = match wished {
        Ok(wished) => Wish::Complete(Arc::new(wished.complete)),
        Err(invalid) => Wish::Refused(invalid.to_string().into()),
    };
    debug_assert!(is_same_commit(said, &commit.to_string()), "a commit is named by its id");
    Ok(Revision { commit: said.to_owned(), summary: read.summary, wish, files: BTreeMap::new() })
}

/// A commit that is refused for this reason: for other machines, or with another tag, it may be another one.
fn told_apart(commit: &str, why: &str) -> String {
    if commit.is_empty() {
        return String::new();
    }
    let digest: String = Digest::of(why.as_bytes()).to_string().chars().take(12).collect();
    format!("{commit}+{digest}")
}

/// The commit of a revision.
fn id(revision: &str) -> Option<Oid> {
    let commit = revision.split_once('+').map_or(revision, |(commit, _)| commit);
    Oid::from_str(commit).ok().filter(|_| commit.len() == 40)
}
