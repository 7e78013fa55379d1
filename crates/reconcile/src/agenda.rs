//! The agenda: units that are not settled, by what comes next for them.

use crate::{order::Step, plan::Next};
use abide_spec::UnitId;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(crate) struct Agenda {
    /// They have a step to take, and it wasn't ordered yet.
    pub(crate) steps: BTreeSet<UnitId>,
    /// Likewise, where the step is to prepare.
    pub(crate) prepares: BTreeSet<UnitId>,
    waiting: BTreeSet<UnitId>,
}

impl Agenda {
    /// For `unit`, something else comes next.
    pub(crate) fn change(&mut self, unit: &UnitId, old: &Next, new: &Next) {
        // A step that was ordered is on no list, though it is what comes next still.
        if matches!((old, new), (Next::Wait(_), Next::Wait(_))) {
            return;
        }
        if let Some(list) = self.list(old) {
            list.remove(unit);
        }
        if let Some(list) = self.list(new) {
            list.insert(unit.clone());
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &UnitId> {
        self.steps.iter().chain(&self.prepares).chain(&self.waiting)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn list(&mut self, next: &Next) -> Option<&mut BTreeSet<UnitId>> {
        match next {
            Next::Settled => None,
            Next::Step(Step::Prepare { .. }) => Some(&mut self.prepares),
            Next::Step(_) => Some(&mut self.steps),
            Next::Wait(_) => Some(&mut self.waiting),
        }
    }
}
