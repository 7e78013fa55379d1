//! What a wish would change here, before it is anybody's wish: for `abide plan`, and for a push that is still to be judged.
//!
//! Told by the rules that the core acts by ([`crate::handover`], [`crate::guard`], [`crate::seen::Record::target`]), of the
//! world as it was last seen. A unit is compared with what runs of it, not with how it was written; one that is in force
//! already as the wish has it is not a change, however far it has come.

use crate::{
    guard::{Held, Moment},
    handover::{contender, shared, yielded},
    id::SourceId,
    plan::Why,
    reconciler::Reconciler,
    seen::{Phase, Record},
    source::Source,
    want::{Claim, Complete, Want},
};
use abide_spec::{Digest, FieldChange, Kind, UnitId, change, kind::Reclaim};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// What a wish would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// How many units the wish has.
    pub units: usize,
    /// What would change, unit by unit. Units without a change are left out.
    pub changes: BTreeMap<UnitId, Change>,
    /// Units of which this wished version is known to be bad: the last good one stays until the unit changes or
    /// `abide retry`. How they get from what runs to that one, if they have to, is among the changes.
    pub known_bad: BTreeMap<UnitId, Digest>,
    /// Why the wish would not come into force before somebody permits what it removes.
    pub held: Option<Held>,
}

/// What would change in a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What would be done.
    pub action: Action,
    /// The fields that differ; secrets are masked. None of what is created or removed.
    pub fields: Vec<FieldChange>,
    /// Another source's unit that it would wait for, or its group.
    pub waits: Option<Why>,
    /// Units that need this one: they feel it if there is downtime.
    pub dependents: BTreeSet<UnitId>,
}

/// What would be done to a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// There is nothing of it.
    Create,
    /// It is known, but nothing of it runs.
    Start,
    /// A new instance takes the place of the old one.
    Replace(Handover),
    /// What runs is changed in place.
    Update,
    /// What runs is stopped and not started again: this version has run to its end before.
    End,
    /// It goes.
    Remove(Fate),
}

/// How a new instance takes the place of an old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The old one serves until the new one has proved itself and takes over.
    Surge,
    /// The old one stops first: there is downtime.
    Swap(Because),
}

/// Why two versions can't run side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// Both need this for themselves.
    Shares(Claim),
    /// The old one has this, and another unit waits for it.
    Yields(Claim),
}

/// What becomes of the data of a unit that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has none that would outlive it.
    NoData,
    /// It stays, and is listed as orphaned.
    Kept,
    /// It is deleted: the volume says `reclaim: Delete`.
    Deleted,
}

/// What this wish of a source would change. Costs the wish and what the source owns.
pub fn preview(core: &Reconciler, source: &SourceId, wish: &Complete) -> Preview {
    let nothing = Source::default();
    let owner = core.board.sources.get(source).unwrap_or(&nothing);
    let foresight = Foresight::new(core, source, wish);
    let mut changes: BTreeMap<UnitId, Change> =
        wish.units().iter().filter_map(|(id, want)| Some((id.clone(), foresight.change(id, want)?))).collect();
    let removals = owner.removals(Some(wish));
    for id in &removals {
        let is_wanted_elsewhere = foresight.wish_in_force(id).is_some_and(|(other, _)| other != source);
        if !is_wanted_elsewhere {
            let fate = Fate::of(id, owner.owned.get(id).copied().unwrap_or_default());
            changes.insert(id.clone(), foresight.bare(id, Action::Remove(fate)));
        }
    }
    let known_bad = wish.units().iter().filter(|(id, want)| foresight.record(id).target(want).digest != want.digest);
    let permits = &core.board.permits;
    Preview {
        units: wish.units().len(),
        changes,
        known_bad: known_bad.map(|(id, want)| (id.clone(), want.digest)).collect(),
        held: owner.guard(source, wish, &removals, Moment::Before, permits, &core.limits).err(),
    }
}

/// The wish as if it were in force.
struct Foresight<'a> {
    core: &'a Reconciler,
    source: &'a SourceId,
    /// Whose target would want a claim.
    claimants: BTreeMap<&'a Claim, BTreeSet<&'a UnitId>>,
    /// Who would need a unit.
    users: BTreeMap<&'a UnitId, BTreeSet<UnitId>>,
    /// Whose group would let it wait.
    gated: BTreeMap<UnitId, Why>,
}

impl<'a> Foresight<'a> {
    fn new(core: &'a Reconciler, source: &'a SourceId, wish: &'a Complete) -> Self {
        let mut foresight =
            Self { core, source, claimants: BTreeMap::new(), users: BTreeMap::new(), gated: core.gated(source, wish) };
        for (id, want) in wish.units() {
            for need in want.needs.keys() {
                foresight.users.entry(need).or_default().insert(id.clone());
            }
            let target = core.board.units.get(id).map_or(want, |entry| entry.record.target(want));
            for claim in &target.claims {
                foresight.claimants.entry(claim).or_default().insert(id);
            }
        }
        foresight
    }

    fn record(&self, id: &UnitId) -> &'a Record {
        static NOTHING: Record = Record::NOTHING;
        self.core.board.units.get(id).map_or(&NOTHING, |entry| &*entry.record)
    }

    fn wish_in_force(&self, id: &UnitId) -> Option<&'a (SourceId, Arc<Want>)> {
        self.core.board.units.get(id)?.wish.as_ref()
    }

    fn change(&self, id: &UnitId, want: &Arc<Want>) -> Option<Change> {
        let in_force = self.wish_in_force(id).map(|(_, want)| want);
        if in_force == Some(want) {
            return None;
        }
        let record = self.record(id);
        let target = record.target(want);
        let Some(old) = record.standing() else { return self.bring_in(id, record, in_force, target) };
        let action = if record.has_completed(target) {
            Action::End
        } else if old.want.digest == target.digest {
            return None;
        } else if old.want.shape == target.shape {
            Action::Update
        } else {
            Action::Replace(self.handover(id, &old.want, target))
        };
        Some(Change { fields: fields(&old.want, target), waits: self.waits(target), ..self.bare(id, action) })
    }

    /// Nothing of it runs.
    fn bring_in(&self, id: &UnitId, record: &Record, old: Option<&Arc<Want>>, target: &Want) -> Option<Change> {
        let last = record.exited().max_by_key(|seen| seen.instance);
        let is_over = last.filter(|seen| seen.want.digest == target.digest).is_some_and(|seen| match seen.phase {
            Phase::Exited { code, .. } => target.is_completed_by(code) || target.is_failed_by(code),
            Phase::Running { .. } | Phase::Away { .. } => false,
        });
        if record.has_completed(target) || is_over {
            return None;
        }
        let old = old.or(last.map(|seen| &seen.want));
        let action = if old.is_none() && *record == Record::NOTHING { Action::Create } else { Action::Start };
        let fields = old.map_or_else(Vec::new, |old| fields(old, target));
        Some(Change { fields, waits: self.waits(target), ..self.bare(id, action) })
    }

    fn handover(&self, id: &UnitId, old: &Want, new: &Want) -> Handover {
        let is_waited_for =
            |claim: &Claim| self.claimants.get(claim).is_some_and(|units| units.iter().any(|unit| *unit != id));
        let yields = yielded(old, new, is_waited_for).cloned().map(Because::Yields);
        let because = shared(old, new).cloned().map(Because::Shares).or(yields);
        because.map_or(Handover::Surge, Handover::Swap)
    }

    /// Host ports are all that units of two sources can both want.
    fn waits(&self, target: &Want) -> Option<Why> {
        if let Some(why) = self.gated.get(&target.unit.id) {
            return Some(why.clone());
        }
        let is_other = |unit: &UnitId| self.wish_in_force(unit).is_some_and(|(source, _)| source != self.source);
        let mut ports = target.claims.iter().filter(|claim| claim.is_movable());
        ports.find_map(|port| contender(self.core.board.claims.get(port), port, is_other))
    }

    fn bare(&self, id: &UnitId, action: Action) -> Change {
        let dependents = self.users.get(id).cloned().unwrap_or_default();
        Change { action, fields: Vec::new(), waits: None, dependents }
    }
}

fn fields(old: &Want, new: &Want) -> Vec<FieldChange> {
    match change(&old.unit, &new.unit) {
        abide_spec::Change::None => Vec::new(),
        abide_spec::Change::Live(fields) | abide_spec::Change::Replace(fields) => fields,
    }
}

impl Fate {
    fn of(id: &UnitId, reclaim: Reclaim) -> Self {
        match (id.kind, reclaim) {
            (Kind::Volume, Reclaim::Keep) => Self::Kept,
            (Kind::Volume, Reclaim::Delete) => Self::Deleted,
            (Kind::Container | Kind::VirtualMachine | Kind::Machine, _) => Self::NoData,
        }
    }
}

impl Preview {
    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Action {
    /// One word: `create`, `start`, `replace`, `update`, `end` or `remove`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Replace(_) => "replace",
            Self::Update => "update",
            Self::End => "end",
            Self::Remove(_) => "remove",
        }
    }
}

impl fmt::Display for Action {
    /// How it is done, and what that costs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("new"),
            Self::Start => f.write_str("nothing of it runs"),
            Self::Replace(handover) => handover.fmt(f),
            Self::Update => f.write_str("in place, without a restart"),
            Self::End => f.write_str("this version has run to its end before, so what runs is stopped"),
            Self::Remove(Fate::NoData) => f.write_str("stopped and removed"),
            Self::Remove(Fate::Kept) => f.write_str("its data is kept"),
            Self::Remove(Fate::Deleted) => f.write_str("its data is deleted (reclaim: Delete)"),
        }
    }
}

impl fmt::Display for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = match self {
            Self::Surge => return f.write_str("surge: the old one serves until the new one has proved itself"),
            Self::Swap(Because::Shares(claim)) => format!("both need {claim}"),
            Self::Swap(Because::Yields(claim)) => format!("another unit waits for {claim}"),
        };
        write!(f, "swap: {because}, so the old one stops first; down until the new one is ready")
    }
}
