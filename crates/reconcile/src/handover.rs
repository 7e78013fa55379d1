//! What two versions of a unit, and two units, can't have at once, and who gives way. The core acts by these rules, and
//! [`crate::preview`] tells by them what it will do.

use crate::{
    board::ClaimUse,
    mutant::{self, Mutant},
    plan::Why,
    want::{Claim, Want},
};
use abide_spec::UnitId;

/// What keeps `old` and `new` from running side by side: the old one has to stop first.
pub(crate) fn shared<'a>(old: &'a Want, new: &Want) -> Option<&'a Claim> {
    let is_shared = |claim: &&Claim| !claim.is_movable() && new.claims.contains(*claim);
    old.claims.iter().find(is_shared).filter(|_| !mutant::is(Mutant::AlwaysSurge))
}

/// What `old` has, another unit waits for, and `new` has no use for. Both units may wait for each other in this, so the
/// old one stops before anything else is waited for.
pub(crate) fn yielded<'a>(old: &'a Want, new: &Want, is_waited_for: impl Fn(&Claim) -> bool) -> Option<&'a Claim> {
    let is_let_go = |claim: &&Claim| !claim.is_movable() && !new.claims.contains(*claim);
    let mut let_go = old.claims.iter().filter(is_let_go);
    let_go.find(|claim| is_waited_for(claim)).filter(|_| !mutant::is(Mutant::NoYield))
}

/// Who has the port by right. A unit that has it, but is not wanted to, loses it.
pub(crate) fn contender(uses: Option<&ClaimUse>, port: &Claim, is_other: impl Fn(&UnitId) -> bool) -> Option<Why> {
    let uses = uses?;
    let mut both = uses.holders.intersection(&uses.claimants);
    both.find(|unit| is_other(unit)).map(|unit| Why::Claimed(port.clone(), unit.clone()))
}
