//! The one task that knows the cluster: what it hears becomes a world, and that a wish.
//!
//! ```text
//!   watches ─ Heard ─► hear ─► World ─┐ quiet for a moment, every kind's list whole,
//!   found, read ─────► (one by one)   │ nothing missed that was not asked for
//!                                     ▼
//!                      judge ─► finalizers ─► snapshot on disk ─► mailbox: the wish
//!                        └────► board: how each object stands
//! ```
//!
//! Nothing is said while a list is under way or somebody is being asked for: half of what is gone would be few enough for
//! the guard to let it go.

mod objects;
#[cfg(test)]
mod tests;

use super::{
    board::{Board, Others, Subject},
    object::Seen,
    snapshot::{Missing, Snapshot, Snapshots},
    watch::{Heard, Means, Trouble, Watch},
    write,
};
use crate::{
    api,
    documents::{DataName, DataState, Documents, Share, World},
};
use abide_agent::Mailbox;
use abide_reconcile::{Complete, Fault, Revision, Want, Wish, with_causes};
use abide_spec::{Kind, Scope, UnitId};
use objects::{Absence, List};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc::Receiver, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout},
};

/// What comes one after the other in this time is one change. Of many objects it is longer: as long as it took to judge
/// them, so that half of the time is left for hearing.
const QUIET: Duration = Duration::from_millis(4);
const QUIET_MAX: Duration = Duration::from_millis(200);
/// And this is how long a change is waited for to end, as a multiple of that.
const COALESCED_MAX: u32 = 8;
/// When the disk is asked again that could not keep a wish.
const KEEP_AGAIN: Duration = Duration::from_secs(5);
/// Requests at once.
const REQUESTS_MAX: usize = 8;

/// What the follower begins with.
pub(crate) struct Begin {
    pub(crate) means: Means,
    pub(crate) heard: Receiver<Heard>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) board: Arc<Board>,
    pub(crate) snapshots: Snapshots,
    pub(crate) grants: abide_spec::kind::Grants,
    /// What was said last.
    pub(crate) last: Option<Snapshot>,
    /// Snapshots that must not get lost.
    pub(crate) needed: BTreeSet<String>,
}

pub(crate) struct Follower {
    means: Means,
    heard: Receiver<Heard>,
    mailbox: Arc<Mailbox>,
    board: Arc<Board>,
    others: watch::Receiver<Others>,
    snapshots: Snapshots,
    needed: BTreeSet<String>,
    world: World,
    /// The objects as they were heard, with what the world has no use for.
    seen: BTreeMap<UnitId, Arc<Seen>>,
    documents: Documents,
    lists: BTreeMap<Kind, List>,
    troubles: BTreeMap<Watch, String>,
    /// Objects that are missed, and being asked for.
    missed: BTreeMap<UnitId, Absence>,
    /// Those of which nobody could say what became of them.
    missing: Missing,
    /// What was said of when the node had another name: nobody takes that away by giving this one nothing, and it isn't this
    /// one's to let go of.
    foreign: BTreeSet<UnitId>,
    changed: BTreeSet<Scope>,
    said: Option<Said>,
    /// Something was said before, and what can't be known any more.
    is_blind: bool,
    fault: Option<String>,
    data: BTreeMap<DataName, AbortHandle>,
    tasks: JoinSet<()>,
    requests: Arc<Semaphore>,
    again: Option<Instant>,
    /// Objects whose finalizer is being set, by uid.
    finalizing: BTreeMap<UnitId, String>,
    /// How long to wait for more to be heard.
    quiet: Duration,
}

/// A wish that was said.
struct Said {
    wants: Vec<Arc<Want>>,
    confirmed: BTreeSet<UnitId>,
    missing: Missing,
    revision: Revision,
}

impl Follower {
    pub(crate) fn new(begin: Begin) -> Self {
        let Begin { means, heard, mailbox, board, snapshots, grants, last, needed } = begin;
        let is_blind = last.is_none() && !needed.is_empty();
        let Snapshot { node, units, confirmed, missing, .. } =
            last.unwrap_or_else(|| Snapshot::new(&means.node, Vec::new(), BTreeSet::new()));
        let all = units.iter().map(|unit| &unit.id).chain(&confirmed);
        let foreign = all.filter(|_| node != means.node).cloned().collect();
        let documents = Documents::new(grants, units.into_iter().map(|unit| Arc::new(Want::new(unit))));
        let world = World { left: confirmed, ..World::default() };
        Self {
            means,
            heard,
            mailbox,
            others: board.others.subscribe(),
            board,
            snapshots,
            needed,
            world,
            seen: BTreeMap::new(),
            documents,
            lists: Kind::WRITTEN.into_iter().map(|kind| (kind, List::default())).collect(),
            troubles: BTreeMap::new(),
            missed: BTreeMap::new(),
            missing,
            foreign,
            changed: BTreeSet::new(),
            said: None,
            is_blind,
            fault: None,
            data: BTreeMap::new(),
            tasks: JoinSet::new(),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            again: None,
            finalizing: BTreeMap::new(),
            quiet: QUIET,
        }
    }

    /// Goes on until it is dropped, with all that it began.
    pub(crate) async fn run(mut self) {
        for kind in Kind::WRITTEN {
            self.tasks.spawn(self.means.clone().watch_kind(kind));
        }
        // What left while nobody looked, or was being let go of: another node may have it, with our finalizer.
        for unit in self.world.left.difference(&self.foreign).cloned().collect::<Vec<_>>() {
            self.ask(unit, Absence::Unexplained);
        }
        loop {
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(heard) => self.hear_all(heard).await,
                    None => return,
                },
                changed = self.others.changed() => match changed {
                    Ok(()) => self.hear_of_others(),
                    Err(_) => return,
                },
                () = api::until(self.again) => self.again = None,
            }
            while self.tasks.try_join_next().is_some() {}
            let begun = Instant::now();
            self.turn().await;
            self.quiet = begun.elapsed().clamp(QUIET, QUIET_MAX);
        }
    }

    async fn hear_all(&mut self, first: Heard) {
        let end = Instant::now() + self.quiet * COALESCED_MAX;
        self.hear(first);
        while Instant::now() < end
            && let Ok(Some(heard)) = timeout(self.quiet, self.heard.recv()).await
        {
            self.hear(heard);
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Objects(kind, objects) => self.hear_objects(kind, objects),
            Heard::Read(seen) if seen.is_over() => self.over(&seen),
            Heard::Read(seen) => self.put(*seen),
            Heard::Found(unit, found) => self.found(&unit, found.map(|found| *found)),
            Heard::Data(name, state) => {
                if self.data.contains_key(&name) && self.world.data.get(&name) != Some(&state) {
                    self.changed.insert(name.scope.clone());
                    self.world.data.insert(name, state);
                }
            }
            Heard::Trouble(watch, trouble) => {
                if let (Watch::Data(name), Trouble::Words(words)) = (&watch, &trouble) {
                    self.hear_unreadable(name, words);
                }
                if let (Watch::Kind(kind), true) = (&watch, trouble != Trouble::Over) {
                    self.lists.insert(*kind, List::default());
                }
                match trouble {
                    Trouble::Over => self.troubles.remove(&watch),
                    Trouble::Anew => None,
                    Trouble::Words(words) => self.troubles.insert(watch, words),
                };
            }
        }
    }

    /// A ConfigMap or Secret that was never read can't be for now: what waits for it waits alone.
    fn hear_unreadable(&mut self, name: &DataName, words: &str) {
        let known = self.world.data.get(name);
        if self.data.contains_key(name) && matches!(known, None | Some(DataState::Unreadable(_))) {
            self.leave_unread(name, words);
        }
    }

    fn leave_unread(&mut self, name: &DataName, words: &str) {
        let state = DataState::Unreadable(words.to_owned());
        if self.world.data.get(name) != Some(&state) {
            self.changed.insert(name.scope.clone());
            self.world.data.insert(name.clone(), state);
        }
    }

    /// Other sources of this machine wish something else: whose objects are concerned is judged anew.
    fn hear_of_others(&mut self) {
        let others = Arc::clone(&self.others.borrow_and_update());
        let before = std::mem::replace(&mut self.world.others, others);
        let units = before.keys().chain(self.world.others.keys());
        let is_other = |unit: &UnitId| before.get(unit) != self.world.others.get(unit);
        let concerned = units.filter(|unit| self.world.objects.contains_key(*unit) && is_other(unit));
        self.changed.extend(concerned.map(|unit| unit.scope.clone()).collect::<Vec<_>>());
    }

    /// Does what follows from what was heard.
    async fn turn(&mut self) {
        self.watch_data();
        let is_whole = self.lists.values().all(|list| list.is_whole) && self.missed.is_empty();
        let is_first = self.said.is_none();
        if !is_whole || (is_first && self.is_awaited()) {
            return self.complain();
        }
        if !self.changed.is_empty() || is_first {
            self.documents.judge(&self.world, &std::mem::take(&mut self.changed));
            self.finalize();
            self.speak().await;
        }
        if self.again.is_none() {
            self.reassure();
        }
        self.tell_board();
    }

    /// Whether something has yet to be read before anything is said. Where nobody knows what was wished before, also what can't
    /// be read just now: who needs it would be taken for unwanted.
    fn is_awaited(&self) -> bool {
        let is_unread = |state: &DataState| matches!(state, DataState::Unreadable(_));
        !self.world.unheard().is_empty() || (self.is_blind && self.world.data.values().any(is_unread))
    }

    /// Watches what is named, as far as that isn't too much, and nothing else.
    fn watch_data(&mut self) {
        let Share { read: names, left_out } = self.world.share(|name| self.data.contains_key(name));
        for name in names.iter().filter(|name| !self.data.contains_key(*name)).cloned().collect::<Vec<_>>() {
            self.world.data.remove(&name);
            let task = self.tasks.spawn(self.means.clone().watch_data(name.clone()));
            self.data.insert(name, task);
        }
        for name in self.data.keys().filter(|name| !names.contains(*name)).cloned().collect::<Vec<_>>() {
            self.data.remove(&name).inspect(AbortHandle::abort);
            self.world.data.remove(&name);
            self.troubles.remove(&Watch::Data(name));
        }
        self.world.data.retain(|name, _| names.contains(name) || left_out.contains_key(name));
        for (name, words) in &left_out {
            self.leave_unread(name, words);
        }
    }

    /// Says why nothing can be said.
    fn complain(&mut self) {
        let unheard = self.world.unheard();
        let is_in_the_way = |watch: &Watch| match watch {
            Watch::Kind(_) => true,
            Watch::Data(name) => unheard.contains(name),
        };
        let trouble = self.troubles.iter().find(|(watch, _)| is_in_the_way(watch)).map(|(_, words)| words.clone());
        if trouble.is_some() && trouble != self.fault {
            self.fault.clone_from(&trouble);
            self.mailbox.put(Err(Fault::Again(trouble.unwrap_or_default().into())));
        }
    }

    /// Says once more what is wished, for whoever shows that the cluster was lost.
    fn reassure(&mut self) {
        if self.fault.take().is_some()
            && let Some(said) = &self.said
        {
            self.mailbox.put(Ok(said.revision.clone()));
        }
    }

    /// Has our finalizer set where it is missing.
    fn finalize(&mut self) {
        for unit in self.documents.unfinalized() {
            let Some(seen) = self.seen.get(unit).cloned() else { continue };
            let uid = seen.object.meta.uid.clone();
            if self.finalizing.insert(unit.clone(), uid.clone()) == Some(uid) {
                continue;
            }
            let (means, requests) = (self.means.clone(), Arc::clone(&self.requests));
            self.tasks.spawn(async move { write::finalize(&means, &requests, &seen).await });
        }
    }

    /// Says the wish, if it is another one.
    async fn speak(&mut self) {
        let wants: Vec<Arc<Want>> = self.documents.wants().cloned().collect();
        let confirmed = self.documents.confirmed(&self.world);
        // One that is back may have yet to get our finalizer: it isn't missing when it is wished again, and not before.
        let is_missing = |unit: &UnitId| self.documents.want(unit).is_none() && !confirmed.contains(unit);
        self.missing.units.retain(|unit| is_missing(unit) && !self.board.is_gone(unit));
        self.missing.count();
        let missing = &self.missing;
        let is_said = |said: &Said| said.confirmed == confirmed && said.missing == *missing && said.wants == wants;
        if self.said.as_ref().is_some_and(is_said) {
            return;
        }
        let units = wants.iter().map(|want| Arc::clone(&want.unit)).collect();
        let missing = missing.clone();
        let snapshot = Snapshot::new(&self.means.node, units, confirmed.clone()).without(missing.clone());
        match self.keep(&snapshot).await {
            Ok(commit) => {
                let revision = revision(commit, &snapshot, wants.iter().cloned());
                self.board.said(&revision.commit, wants.iter().map(|want| want.unit.id.clone()).collect());
                self.mailbox.put(Ok(revision.clone()));
                self.said = Some(Said { wants, confirmed, missing, revision });
                self.fault = None;
            }
            Err(why) => {
                self.again = Some(Instant::now() + KEEP_AGAIN);
                // It is judged anew then, which costs little and changes nothing.
                self.changed.extend(self.world.objects.keys().map(|unit| unit.scope.clone()));
                self.fault = Some(why.clone());
                self.mailbox.put(Err(Fault::Again(why.into())));
            }
        }
    }

    async fn keep(&self, snapshot: &Snapshot) -> Result<String, String> {
        let (name, bytes) = snapshot.seal();
        let (snapshots, mut needed) = (self.snapshots.clone(), self.needed.clone());
        needed.extend(self.board.needed());
        let kept = tokio::task::spawn_blocking(move || snapshots.keep(name, &bytes, &needed)).await;
        match kept {
            Ok(Ok(())) => Ok(name.to_string()),
            Ok(Err(error)) => {
                Err(format!("the wish can't be kept on disk: {}; it is tried again", with_causes(&error)))
            }
            Err(error) => Err(format!("the wish can't be kept on disk: {error}; it is tried again")),
        }
    }

    /// Tells how each object stands.
    fn tell_board(&mut self) {
        let subject = |(unit, standing): (&UnitId, &crate::documents::Standing)| {
            let seen = Arc::clone(self.seen.get(unit)?);
            let wanted = self.documents.want(unit).map(|want| want.digest);
            Some((unit.clone(), Subject { seen, standing: standing.clone(), wanted }))
        };
        self.board.stand(self.documents.standings().filter_map(subject).collect());
        let is_over = |unit: &UnitId| self.documents.want(unit).is_none() && self.board.is_gone(unit);
        // It is only left out when something else changes: a wish of its own would say nothing new.
        if !self.changed.is_empty() {
            self.world.left.retain(|unit| !is_over(unit));
        }
    }
}

/// A wish of these units.
pub(crate) fn revision(commit: String, snapshot: &Snapshot, wants: impl IntoIterator<Item = Arc<Want>>) -> Revision {
    let wish = match Complete::new(wants) {
        Ok(complete) => Wish::Complete(Arc::new(
            complete.confirming(snapshot.confirmed.iter().cloned()).missing(snapshot.missing.at_once),
        )),
        Err(invalid) => Wish::Refused(invalid.to_string().into()),
    };
    Revision { commit, summary: snapshot.summary(), wish, files: BTreeMap::new() }
}
