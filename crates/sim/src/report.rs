//! What the core says of how things stand must be what its plan says, and true.

use abide_reconcile::{
    Outcome, Plan, Reconciler, Status, Time,
    status::{SourceState, UnitState},
};

/// Judged after each round of orders.
pub(crate) fn check(agent: &Reconciler, now: Time, plan: &Plan) -> Result<(), String> {
    let status = agent.status(now);
    for unit in &status.units {
        let is_in_plan = plan.steps.contains_key(&unit.id) || plan.waiting.contains_key(&unit.id);
        if (unit.state == UnitState::Settled) == is_in_plan {
            return Err(format!("{unit:#?} doesn't go with {plan:#?}"));
        }
    }
    if status.settled && *plan != Plan::default() {
        return Err(format!("settled, with {plan:#?}"));
    }
    let all_are = status.sources.iter().all(|source| source.settled);
    let is_any_on_the_way = !plan.waiting.is_empty() || !plan.steps.is_empty();
    if all_are && !status.settled && !is_any_on_the_way && !status.sources.is_empty() {
        return Err(format!("every source is settled, but not all together: {status:#?}"));
    }
    check_outcomes(agent, &status)
}

fn check_outcomes(agent: &Reconciler, status: &Status) -> Result<(), String> {
    for source in &status.sources {
        let outcome = agent.source_outcome(&source.id);
        let goes_with = match (&outcome, &source.state) {
            (Outcome::Settled, SourceState::Following) => source.settled,
            (Outcome::Failed(_) | Outcome::Pending, SourceState::Following) => !source.settled,
            (Outcome::Held(held), SourceState::Held(shown)) => held == shown && !source.settled,
            (Outcome::Refused(_), SourceState::Refused(_)) | (Outcome::Withdrawn, SourceState::Withdrawn) => true,
            (Outcome::Pending, SourceState::Silent | SourceState::Held(_)) => !source.settled,
            _ => false,
        };
        if !goes_with {
            return Err(format!("{outcome:?} doesn't go with {source:#?}"));
        }
    }
    Ok(())
}
