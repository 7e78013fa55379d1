//! Whose turn it is: orders of one unit are carried out one after the other, and none that is out of date.
//!
//! An order that was given up may still wait for its turn while the Reconciler has ordered something else. Kept in memory
//! alone: an agent's orders die with it, and those of another epoch are never taken.

use abide_reconcile::{Fault, Order, Ticket, UnitId};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

#[derive(Debug)]
pub(crate) struct Fences {
    epoch: u64,
    /// The newest order of each unit that was heard of in this epoch.
    units: Mutex<BTreeMap<UnitId, Arc<Mutex<Ticket>>>>,
}

impl Fences {
    pub(crate) fn new(epoch: u64) -> Self {
        Self { epoch, units: Mutex::default() }
    }

    /// Carries the order out when it is its turn, unless a later one was before it.
    pub(crate) fn in_turn<T>(&self, order: &Order, act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let fence = self.of(&order.unit);
        let mut newest = fence.lock().unwrap_or_else(PoisonError::into_inner);
        self.pass(order, &mut newest)?;
        act()
    }

    /// Carries the order out beside others: nothing it does can come too late.
    pub(crate) fn beside<T>(&self, order: &Order, act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        self.in_turn(order, || Ok(()))?;
        act()
    }

    /// Does what no order asked for, if none of this unit is being carried out.
    pub(crate) fn if_idle(&self, unit: &UnitId, act: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        let fence = self.of(unit);
        let _turn = match fence.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        act()
    }

    fn of(&self, unit: &UnitId) -> Arc<Mutex<Ticket>> {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(units.entry(unit.clone()).or_default())
    }

    fn pass(&self, order: &Order, newest: &mut Ticket) -> Result<(), Fault> {
        if order.ticket.epoch != self.epoch || order.ticket < *newest {
            return Err(Fault::Cancelled);
        }
        *newest = order.ticket;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_reconcile::{Kind, Name, Step};

    #[test]
    fn what_is_out_of_date_is_dropped() {
        let name = |text| Name::new(text).unwrap();
        let unit = UnitId { scope: name("s"), kind: Kind::Container, name: name("a"), index: 0 };
        let fences = Fences::new(2);
        let order = |epoch, n| Order { ticket: Ticket { epoch, n }, unit: unit.clone(), step: Step::Fence, stamp: 0 };
        for (epoch, n, is_done) in
            [(2, 5, true), (2, 5, true), (2, 4, false), (1, 9, false), (3, 1, false), (2, 6, true)]
        {
            let result = fences.in_turn(&order(epoch, n), || Ok(()));
            assert_eq!(result, if is_done { Ok(()) } else { Err(Fault::Cancelled) }, "{epoch}-{n}");
        }
        let refused = || Err(Fault::Unprepared);
        let result = fences.in_turn(&order(2, 7), || fences.if_idle(&unit, refused));
        assert_eq!(result, Ok(()), "its turn is another's");
        assert_eq!(fences.if_idle(&unit, refused), Err(Fault::Unprepared));
    }
}
