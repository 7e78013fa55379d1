//! What [`abide_reconcile::preview`] says would happen must be what happens, where nothing goes wrong.

use crate::world::{Landed, World};
use abide_reconcile::{
    Preview, Reclaim, Record, Role, SourceId, Step, UnitId,
    preview::{Action, Change, Fate, Handover},
};
use std::collections::{BTreeMap, BTreeSet};

/// What was said of the wishes that are to come true, and of which units it has.
#[derive(Debug, Default)]
pub(crate) struct Forecast {
    previews: BTreeMap<SourceId, Preview>,
    done: BTreeSet<UnitId>,
}

impl Forecast {
    pub(crate) fn add(&mut self, source: &SourceId, preview: Preview) {
        self.previews.insert(source.clone(), preview);
    }

    /// What the guard asks is what it was said to ask.
    pub(crate) fn check_held(&self, plan: &abide_reconcile::Plan) -> Result<(), String> {
        for (source, preview) in &self.previews {
            let foretold = preview.held.as_ref().map(|held| &held.permit);
            if plan.held.get(source) != foretold {
                return Err(format!("{source}: foretold to be held: {foretold:?}, but it is {:?}", plan.held));
            }
        }
        Ok(())
    }

    /// A step took effect.
    pub(crate) fn check(&mut self, landed: &Landed) -> Result<(), String> {
        let Landed { unit, step, before, .. } = landed;
        let Some(change) =
            self.previews.values().map(|preview| preview.changes.get(unit)).find(Option::is_some).flatten()
        else {
            return if is_harmless(before, step) { Ok(()) } else { Err(format!("{unit}: {step:?} was not foretold")) };
        };
        if !is_foretold(change, before, step) {
            return Err(format!("{unit}: {step:?} of {before:#?}, but foretold was {change:?}"));
        }
        if matches!(step, Step::Start { .. } | Step::Update { .. }) {
            self.done.insert(unit.clone());
        }
        Ok(())
    }

    /// All is settled.
    pub(crate) fn check_end(&self, world: &World) -> Result<(), String> {
        let changes = self.previews.values().flat_map(|preview| &preview.changes);
        for (unit, Change { action, .. }) in changes {
            let is_live = world.units.get(unit).is_some_and(|record| record.live().next().is_some());
            let came_true = match action {
                Action::Create | Action::Start | Action::Replace(_) | Action::Update => self.done.contains(unit),
                Action::End => !is_live,
                Action::Remove(_) => !world.units.contains_key(unit),
            };
            if !came_true {
                return Err(format!("{unit}: foretold was {action:?}, and that has not happened"));
            }
        }
        Ok(())
    }
}

/// Nothing starts, stops or changes by it.
fn is_harmless(before: &Record, step: &Step) -> bool {
    match step {
        Step::Start { .. } | Step::Update { .. } | Step::Forget { .. } | Step::Kill { .. } | Step::Adopt(_) => false,
        Step::Stop { instance } => !before.live().any(|seen| seen.instance == *instance),
        Step::Prepare { .. } | Step::Activate { .. } | Step::Mark(_) | Step::Fence => true,
    }
}

fn is_foretold(change: &Change, before: &Record, step: &Step) -> bool {
    let is_serving = before.live().any(|seen| seen.role == Role::Active);
    match (step, &change.action) {
        (Step::Start { .. }, Action::Create | Action::Start) => before.live().next().is_none(),
        (Step::Start { .. }, Action::Replace(Handover::Surge)) => is_serving,
        (Step::Start { .. }, Action::Replace(Handover::Swap(_))) => before.live().next().is_none(),
        (Step::Update { .. } | Step::Adopt(_), Action::Update) => true,
        (Step::Stop { .. }, Action::Replace(_) | Action::Remove(_) | Action::End) => true,
        (Step::Forget { reclaim }, Action::Remove(fate)) => (*reclaim == Reclaim::Delete) == (*fate == Fate::Deleted),
        _ => is_harmless(before, step),
    }
}
