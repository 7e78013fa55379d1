//! One namespace: which objects are as they should be, which fall back, and what follows for the others.
//!
//! ```text
//!   all stand as they are now ─► read together ─► mistakes: who came last falls back ─┐
//!            ▲                        │ none                                          │
//!            └────────────────────────┼───────────────────────────────────────────────┘
//!                                     ▼
//!                 whose needs aren't met falls back, too ─► what nobody living needs goes
//! ```
//!
//! Each object falls once at most: from now to before, or out if there is no before. So it ends.

use super::{DataName, DataState, Life, Object, Standing, World, tree, words};
use abide_reconcile::{Claim, SourceId, Want};
use abide_spec::{Context, Diagnostic, Scope, UnitId, kind::Grants, parse_apart};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

type Wants = BTreeMap<UnitId, Arc<Want>>;

/// A namespace as it was judged.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What is wished.
    pub(super) wants: Wants,
    pub(super) standings: BTreeMap<UnitId, Standing>,
    pub(super) unfinalized: BTreeSet<UnitId>,
    /// Somebody would have a host port that another namespace has.
    pub(super) wants_ports: bool,
}

impl Judged {
    pub(super) fn is_empty(&self) -> bool {
        self.wants.is_empty() && self.standings.is_empty()
    }
}

/// What is judged, and by what.
pub(super) struct Scene<'a> {
    scope: &'a Scope,
    /// The eldest first.
    objects: Vec<&'a Object>,
    /// Which place each has among them.
    places: BTreeMap<&'a UnitId, usize>,
    data: &'a BTreeMap<DataName, DataState>,
    /// What other sources of this machine wish.
    others: &'a BTreeMap<UnitId, SourceId>,
    before: &'a Wants,
    /// Host ports that other namespaces have.
    taken: &'a BTreeMap<Claim, UnitId>,
    grants: &'a Grants,
    falls: BTreeMap<UnitId, Fall>,
    /// Deleted, and needed by nobody: what they have is free for others.
    gone: BTreeSet<UnitId>,
    wants_ports: bool,
}

/// Why an object isn't wished as it is now.
#[derive(Clone, Debug)]
enum Fall {
    Pending(String),
    Mistaken(String),
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        world: &'a World,
        scope: &'a Scope,
        before: &'a Wants,
        taken: &'a BTreeMap<Claim, UnitId>,
        grants: &'a Grants,
    ) -> Self {
        let mut objects: Vec<&Object> = world.objects.values().filter(|object| object.id.scope == *scope).collect();
        objects.sort_by(|one, other| (&one.meta.created, &one.id).cmp(&(&other.meta.created, &other.id)));
        let places = objects.iter().enumerate().map(|(place, object)| (&object.id, place)).collect();
        let (falls, gone) = Default::default();
        let (data, others) = (&world.data, &*world.others);
        Self { scope, objects, places, data, others, before, taken, grants, falls, gone, wants_ports: false }
    }

    pub(super) fn judge(mut self) -> Judged {
        self.read_data();
        loop {
            let (now, mistakes) = self.read();
            if self.blame(&now, &mistakes) || self.yield_ports(&now) {
                continue;
            }
            let mut chosen = self.chosen(&now);
            if self.meet_needs(&mut chosen) {
                continue;
            }
            // Only what is right with all that it needs gets our finalizer, and what waits for that is not to blame.
            let unfinalized = self.unfinalized(&mut chosen);
            if self.meet_needs(&mut chosen) {
                continue;
            }
            let (wants, users) = self.needed(&chosen);
            if !self.yield_to_vanished(&wants) && !self.let_go(&wants) {
                return self.finish(wants, users, unfinalized);
            }
        }
    }

    /// Objects can't be judged before all that they name was heard of. What another source wishes is that one's.
    fn read_data(&mut self) {
        for object in self.objects.clone() {
            if let (Some(source), None) = (self.others.get(&object.id), self.before.get(&object.id)) {
                self.falls.insert(object.id.clone(), Fall::Mistaken(words::of_another(&object.id, source)));
                continue;
            }
            for name in &object.names {
                let fall = match self.data.get(name) {
                    None => Fall::Pending(format!("{name} is being read")),
                    Some(DataState::Unreadable(why)) => Fall::Pending(why.clone()),
                    Some(DataState::Forbidden) => Fall::Mistaken(words::forbidden(name)),
                    Some(DataState::There(_) | DataState::Absent) => continue,
                };
                self.falls.insert(object.id.clone(), fall);
            }
        }
    }

    /// Has the validator read all of them, each as it stands.
    fn read(&self) -> (Wants, Vec<Diagnostic>) {
        let mut folder = tree::Folder::default();
        for object in self.objects.iter().filter(|object| !self.gone.contains(&object.id)) {
            match (self.falls.contains_key(&object.id), self.before.get(&object.id)) {
                (false, _) => folder.add(&object.id, &object.document),
                (true, Some(before)) => folder.add(&object.id, &tree::kept(&before.unit)),
                (true, None) => folder.add(&object.id, &tree::broken(object)),
            }
        }
        let named: BTreeSet<&DataName> = self.objects.iter().flat_map(|object| &object.names).collect();
        for name in named {
            self.data.get(name).inspect(|state| folder.add_data(name, state));
        }
        let (parsed, mistakes) = parse_apart(&folder, Context::plain(self.scope, self.grants));
        let units = parsed.units.into_iter().filter(|unit| !self.falls.contains_key(&unit.id));
        let want = |unit: Arc<abide_spec::Unit>| match self.before.get(&unit.id) {
            Some(before) if before.unit == unit => Arc::clone(before),
            _ => Arc::new(Want::new(unit)),
        };
        (units.map(|unit| (unit.id.clone(), want(unit))).collect(), mistakes)
    }

    /// Has those fall that are to blame for the mistakes, and tells whether there are any. Who is to blame only together
    /// with somebody who falls now may be innocent: that is seen in the next round.
    fn blame(&mut self, now: &Wants, mistakes: &[Diagnostic]) -> bool {
        let mut alone: BTreeMap<UnitId, Vec<String>> = BTreeMap::new();
        let mut together: Vec<(UnitId, BTreeSet<UnitId>, &Diagnostic)> = Vec::new();
        for mistake in mistakes {
            let files = mistake.related.iter().map(|related| &related.file).chain([&mistake.file]);
            let concerned: BTreeSet<UnitId> = files.filter_map(|file| self.id(file)).collect();
            let standing = concerned.iter().filter(|id| !self.falls.contains_key(*id));
            let Some(last) = standing.max_by_key(|id| self.rank(id, now)).cloned() else { continue };
            let others: BTreeSet<UnitId> = concerned.into_iter().filter(|id| *id != last).collect();
            match others.is_empty() {
                true => alone.entry(last.clone()).or_default().push(words::mistake(mistake, &last)),
                false => together.push((last, others, mistake)),
            }
        }
        let doubtful: BTreeSet<UnitId> = together.iter().map(|(last, ..)| last).chain(alone.keys()).cloned().collect();
        for (last, others, mistake) in together {
            if others.is_disjoint(&doubtful) {
                alone.entry(last.clone()).or_default().push(words::mistake(mistake, &last));
            }
        }
        let is_any = !alone.is_empty();
        for (id, mistakes) in alone {
            self.falls.insert(id, Fall::Mistaken(words::together(mistakes)));
        }
        is_any
    }

    /// The greatest is to blame: what is as it was before is never it, then the younger one.
    fn rank(&self, id: &UnitId, now: &Wants) -> (bool, Option<usize>) {
        let is_new = match (now.get(id), self.before.get(id)) {
            (Some(now), Some(before)) => now != before,
            _ => true,
        };
        (is_new, self.places.get(id).copied())
    }

    fn id(&self, file: &str) -> Option<UnitId> {
        let unit = words::object(file)?;
        Some(UnitId { scope: self.scope.clone(), kind: unit.kind, name: unit.name, index: 0 })
    }

    /// Nobody gets a port that another namespace has.
    fn yield_ports(&mut self, now: &Wants) -> bool {
        let mut is_any = false;
        for want in now.values() {
            let claims = want.claims.iter().filter_map(|claim| Some((claim, self.taken.get(claim)?)));
            let taken: Vec<String> = claims
                .map(|(claim, by)| {
                    format!("{claim} is published by {}/{} of namespace {}; use another", by.kind, by.name, by.scope)
                })
                .collect();
            if !taken.is_empty() {
                self.falls.insert(want.unit.id.clone(), Fall::Mistaken(words::together(taken)));
                is_any = true;
            }
        }
        self.wants_ports |= is_any;
        is_any
    }

    /// Each object as it stands, those that nothing of can be wished left out.
    fn chosen(&self, now: &Wants) -> Wants {
        let chosen = self.objects.iter().filter_map(|object| {
            let before = self.before.get(&object.id);
            let is_lost = object.meta.life == Life::Terminating && before.is_none();
            let want = if self.falls.contains_key(&object.id) { before } else { now.get(&object.id) };
            let is_there = !is_lost && !self.gone.contains(&object.id);
            Some((object.id.clone(), Arc::clone(want.filter(|_| is_there)?)))
        });
        chosen.collect()
    }

    /// Finds what is to get our finalizer, and takes out what was not wished before: that has to wait for it.
    fn unfinalized(&self, chosen: &mut Wants) -> BTreeSet<UnitId> {
        let lacks = |object: &&&Object| object.meta.life == Life::Living && !object.meta.has_finalizer;
        let lacking = self.objects.iter().filter(lacks).map(|object| &object.id);
        let lacking: BTreeSet<UnitId> = lacking.filter(|id| chosen.contains_key(*id)).cloned().collect();
        chosen.retain(|id, _| !lacking.contains(id) || self.before.contains_key(id));
        lacking
    }

    /// Has those fall whose needs aren't there. True if what they fall back to has to be read with the others.
    fn meet_needs(&mut self, chosen: &mut Wants) -> bool {
        let mut again = false;
        loop {
            let is_there = |need: &UnitId| chosen.contains_key(need) || self.has_vanished(need);
            let unmet = |want: &Want| want.needs.keys().find(|need| !is_there(need)).cloned();
            let falling: Vec<(UnitId, UnitId)> =
                chosen.iter().filter_map(|(id, want)| Some((id.clone(), unmet(want)?))).collect();
            if falling.is_empty() {
                return again;
            }
            for (id, need) in falling {
                chosen.remove(&id);
                let fall = self.without(&need);
                if let Some(before) = self.before.get(&id).filter(|_| !self.falls.contains_key(&id)) {
                    chosen.insert(id.clone(), Arc::clone(before));
                    again = true;
                }
                self.falls.entry(id).or_insert(fall);
            }
        }
    }

    /// Was wished, and its object is not there any more.
    fn has_vanished(&self, id: &UnitId) -> bool {
        self.before.contains_key(id) && !self.places.contains_key(id)
    }

    /// What becomes of who needs something that isn't there.
    fn without(&self, need: &UnitId) -> Fall {
        let name = format!("{}/{}", need.kind, need.name);
        match self.falls.get(need) {
            Some(Fall::Mistaken(why)) => Fall::Mistaken(format!("needs {name}, which is mistaken: {why}")),
            Some(Fall::Pending(why)) => Fall::Pending(format!("needs {name}, which waits: {why}")),
            None => Fall::Pending(format!("needs {name}, which is only being set up or is being deleted")),
        }
    }

    /// Leaves out what is being deleted and nobody living needs, takes in what vanished and somebody does; and tells by whom
    /// each is needed.
    fn needed(&self, chosen: &Wants) -> (Wants, BTreeMap<UnitId, Vec<UnitId>>) {
        let living = self.objects.iter().filter(|object| object.meta.life == Life::Living);
        let mut todo: Vec<&UnitId> = living.map(|object| &object.id).filter(|id| chosen.contains_key(*id)).collect();
        let mut wants = Wants::new();
        let mut users: BTreeMap<UnitId, Vec<UnitId>> = BTreeMap::new();
        while let Some(id) = todo.pop() {
            let Some(want) = chosen.get(id).or_else(|| self.before.get(id)) else { continue };
            if wants.insert(id.clone(), Arc::clone(want)).is_some() {
                continue;
            }
            for need in want.needs.keys() {
                users.entry(need.clone()).or_default().push(id.clone());
                todo.push(need);
            }
        }
        (wants, users)
    }

    /// Nobody gets what something has that is kept for others, though its object is gone: the validator doesn't see that.
    fn yield_to_vanished(&mut self, wants: &Wants) -> bool {
        let vanished = wants.iter().filter(|(id, _)| !self.places.contains_key(id));
        let claims = vanished.flat_map(|(id, want)| want.claims.iter().map(move |claim| (claim, id)));
        let kept: BTreeMap<&Claim, &UnitId> = claims.collect();
        let mut falls = BTreeMap::new();
        for (id, want) in wants {
            let mut taken = want.claims.iter().filter_map(|claim| Some((claim, *kept.get(claim)?)));
            if let Some((claim, by)) = taken.find(|(_, by)| *by != id) {
                let text = format!("{claim} is still in the hands of {}/{}, which others need", by.kind, by.name);
                falls.insert(id.clone(), Fall::Mistaken(text));
            }
        }
        let is_any = !falls.is_empty();
        self.falls.append(&mut falls);
        is_any
    }

    /// Whether somebody who fell may have what is free now: all is judged again then.
    fn let_go(&mut self, wants: &Wants) -> bool {
        let before = self.gone.len();
        let terminating = self.objects.iter().filter(|object| object.meta.life == Life::Terminating);
        self.gone.extend(terminating.map(|object| &object.id).filter(|id| !wants.contains_key(*id)).cloned());
        let again = self.gone.len() > before && !self.falls.is_empty();
        if again {
            self.falls.clear();
            self.read_data();
        }
        again
    }

    fn finish(self, wants: Wants, mut users: BTreeMap<UnitId, Vec<UnitId>>, unfinalized: BTreeSet<UnitId>) -> Judged {
        let standing = |object: &&Object| {
            let id = &object.id;
            let standing = match (object.meta.life, users.remove(id), self.falls.get(id)) {
                (Life::Terminating, Some(mut by), _) => {
                    by.sort();
                    Standing::Needed(by)
                }
                (Life::Terminating, None, _) => Standing::Leaving,
                (Life::Living, _, Some(Fall::Mistaken(why))) => Standing::Mistaken(why.clone()),
                (Life::Living, _, Some(Fall::Pending(why))) => Standing::Pending(why.clone()),
                (Life::Living, ..) if !wants.contains_key(id) => Standing::Unfinalized,
                (Life::Living, ..) => Standing::Wished,
            };
            (id.clone(), standing)
        };
        let standings = self.objects.iter().map(standing).collect();
        Judged { wants, standings, unfinalized, wants_ports: self.wants_ports }
    }
}
