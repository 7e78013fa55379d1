//! Who may be taken down next. Members that are available queue for a place, by their turn and then by name; one that isn't,
//! but may be at any moment, has one of its own, which it may use as long as the group isn't over its budget.

use crate::mutant::{self, Mutant};
use abide_spec::UnitId;
use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    /// Members that are unavailable.
    down: usize,
    /// The first of those that asked, as many as there are places.
    admitted: BTreeSet<(Turn, UnitId)>,
    /// The others that asked.
    queue: BTreeSet<(Turn, UnitId)>,
    /// Those that asked and are unavailable themselves.
    holders: BTreeSet<UnitId>,
}

/// When it is whose turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// Before all others: a person wants it tried again.
    First,
    /// As its name says.
    #[default]
    Usual,
}

/// Whose decision may be another now.
pub(crate) type Moved = BTreeSet<UnitId>;

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        let max = max + usize::from(mutant::is(Mutant::BudgetOffByOne));
        Self { max, down: 0, admitted: BTreeSet::new(), queue: BTreeSet::new(), holders: BTreeSet::new() }
    }

    pub(crate) fn down(&self) -> usize {
        self.down
    }

    /// `unit` wants to be taken down; whether it may.
    pub(crate) fn ask(&mut self, unit: &UnitId, turn: Turn, is_down: bool, moved: &mut Moved) -> bool {
        if is_down {
            if !self.holders.contains(unit) {
                self.forget(unit, moved);
                self.holders.insert(unit.clone());
            }
            return !self.is_over();
        }
        let asks = (turn, unit.clone());
        if !self.admitted.contains(&asks) && !self.queue.contains(&asks) {
            self.forget(unit, moved);
            self.queue.insert(asks.clone());
            self.settle(moved);
        }
        self.admitted.contains(&asks)
    }

    /// `unit` doesn't want to be taken down, or not as it did.
    pub(crate) fn forget(&mut self, unit: &UnitId, moved: &mut Moved) {
        self.holders.remove(unit);
        for turn in [Turn::First, Turn::Usual] {
            let asked = (turn, unit.clone());
            self.queue.remove(&asked);
            if self.admitted.remove(&asked) {
                self.settle(moved);
            }
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
            let is_late = self.queue.first() < self.admitted.last();
            let (from, to) = if self.admitted.len() > free {
                (self.admitted.pop_last(), &mut self.queue)
            } else if self.admitted.len() < free {
                (self.queue.pop_first(), &mut self.admitted)
            } else if free > 0 && !self.queue.is_empty() && is_late {
                (self.admitted.pop_last(), &mut self.queue)
            } else {
                return;
            };
            let Some(asked) = from else { return };
            moved.insert(asked.1.clone());
            to.insert(asked);
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
            places.ask(&unit(n), Turn::Usual, false, &mut moved);
        }
        assert!(
            places.ask(&unit(1), Turn::Usual, false, &mut moved)
                && places.ask(&unit(2), Turn::Usual, false, &mut moved)
        );
        assert!(!places.ask(&unit(3), Turn::Usual, false, &mut moved));
        moved.clear();
        places.forget(&unit(1), &mut moved);
        places.count(false, true, &mut moved);
        assert!(
            places.ask(&unit(2), Turn::Usual, false, &mut moved)
                && !places.ask(&unit(3), Turn::Usual, false, &mut moved)
        );
        moved.clear();
        places.count(true, false, &mut moved);
        assert_eq!(moved, [unit(3)].into());
        assert!(places.ask(&unit(3), Turn::Usual, false, &mut moved));
    }

    #[test]
    fn who_is_to_be_tried_again_goes_first() {
        let mut places = Places::new(1);
        let mut moved = Moved::new();
        let mut ask = |n, turn| {
            moved.clear();
            (places.ask(&unit(n), turn, false, &mut moved), moved.contains(&unit(1)))
        };
        assert_eq!(ask(1, Turn::Usual), (true, true));
        assert_eq!(ask(3, Turn::Usual), (false, false));
        assert_eq!(ask(3, Turn::First), (true, true), "the first by name gives its place back");
        assert_eq!(ask(1, Turn::Usual), (false, false));
        assert_eq!(ask(3, Turn::Usual), (false, true));
        assert_eq!(ask(1, Turn::Usual), (true, false));
    }

    #[test]
    fn who_is_down_uses_its_own_place_within_the_budget() {
        let mut places = Places::new(1);
        let mut moved = Moved::new();
        places.count(false, true, &mut moved);
        assert!(places.ask(&unit(1), Turn::Usual, true, &mut moved));
        assert!(!places.ask(&unit(2), Turn::Usual, false, &mut moved));
        places.count(false, true, &mut moved);
        assert!(moved.contains(&unit(1)));
        assert!(!places.ask(&unit(1), Turn::Usual, true, &mut moved));
    }
}
