//! Who may be taken down next. Members that are available queue for a place by name; one that isn't, but may be at any
//! moment, has one of its own, which it may use as long as the group isn't over its budget.

use crate::mutant::{self, Mutant};
use abide_spec::UnitId;
use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    /// Members that are unavailable.
    down: usize,
    /// The first of those that asked, as many as there are places.
    admitted: BTreeSet<UnitId>,
    /// The others that asked.
    queue: BTreeSet<UnitId>,
    /// Those that asked and are unavailable themselves.
    holders: BTreeSet<UnitId>,
}

/// Whose decision may be another now.
pub(crate) type Moved = BTreeSet<UnitId>;

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        let none = BTreeSet::new;
        let max = max + usize::from(mutant::is(Mutant::BudgetOffByOne));
        Self { max, down: 0, admitted: none(), queue: none(), holders: none() }
    }

    pub(crate) fn down(&self) -> usize {
        self.down
    }

    /// `unit` wants to be taken down; whether it may.
    pub(crate) fn ask(&mut self, unit: &UnitId, is_down: bool, moved: &mut Moved) -> bool {
        if is_down {
            if !self.holders.contains(unit) {
                self.forget(unit, moved);
                self.holders.insert(unit.clone());
            }
        } else if !self.admitted.contains(unit) && self.queue.insert(unit.clone()) {
            self.holders.remove(unit);
            self.settle(moved);
        }
        self.admitted.contains(unit) || self.holders.contains(unit) && !self.is_over()
    }

    /// `unit` doesn't want to be taken down, or not as it did.
    pub(crate) fn forget(&mut self, unit: &UnitId, moved: &mut Moved) {
        self.holders.remove(unit);
        self.queue.remove(unit);
        if self.admitted.remove(unit) {
            self.settle(moved);
        }
    }

    /// A member goes down, or one comes up.
    pub(crate) fn count(&mut self, was_down: bool, is_down: bool, moved: &mut Moved) {
        let was_over = self.is_over();
        self.down = self.down + usize::from(is_down) - usize::from(was_down);
        if self.is_over() != was_over {
            moved.extend(self.holders.iter().cloned());
        }
        self.settle(moved);
    }

    fn is_over(&self) -> bool {
        self.down > self.max
    }

    /// Makes the admitted the first of those that asked, as many as there are places.
    fn settle(&mut self, moved: &mut Moved) {
        let free = self.max.saturating_sub(self.down);
        loop {
            let is_late = |queue: &BTreeSet<UnitId>, admitted: &BTreeSet<UnitId>| queue.first() < admitted.last();
            let (from, to) = if self.admitted.len() > free {
                (self.admitted.pop_last(), &mut self.queue)
            } else if self.admitted.len() < free {
                (self.queue.pop_first(), &mut self.admitted)
            } else if free > 0 && !self.queue.is_empty() && is_late(&self.queue, &self.admitted) {
                (self.admitted.pop_last(), &mut self.queue)
            } else {
                return;
            };
            let Some(unit) = from else { return };
            moved.insert(unit.clone());
            to.insert(unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Kind, Name};

    fn unit(n: usize) -> UnitId {
        let name = |text: &str| Name::new(text).unwrap();
        UnitId { scope: name("a"), kind: Kind::Container, name: name(&format!("u{n}")), index: 0 }
    }

    #[test]
    fn the_first_that_ask_get_the_places() {
        let mut places = Places::new(2);
        let mut moved = Moved::new();
        for n in [3, 2, 1] {
            places.ask(&unit(n), false, &mut moved);
        }
        assert!(places.ask(&unit(1), false, &mut moved) && places.ask(&unit(2), false, &mut moved));
        assert!(!places.ask(&unit(3), false, &mut moved));
        moved.clear();
        places.forget(&unit(1), &mut moved);
        places.count(false, true, &mut moved);
        assert!(places.ask(&unit(2), false, &mut moved) && !places.ask(&unit(3), false, &mut moved));
        moved.clear();
        places.count(true, false, &mut moved);
        assert_eq!(moved, [unit(3)].into());
        assert!(places.ask(&unit(3), false, &mut moved));
    }

    #[test]
    fn who_is_down_uses_its_own_place_within_the_budget() {
        let mut places = Places::new(1);
        let mut moved = Moved::new();
        places.count(false, true, &mut moved);
        assert!(places.ask(&unit(1), true, &mut moved));
        assert!(!places.ask(&unit(2), false, &mut moved));
        places.count(false, true, &mut moved);
        assert!(moved.contains(&unit(1)));
        assert!(!places.ask(&unit(1), true, &mut moved));
    }
}
