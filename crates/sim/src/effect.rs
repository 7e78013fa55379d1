//! What a step does when it lands.

use abide_reconcile::{Kind, Phase, Record, Role, Seen, Step, Ticket, Time, Verdict};
use std::sync::Arc;

/// A step's effect on a record, if its conditions hold: what a backend and the journal do. Claims are not checked, that is
/// for who looks on.
pub fn apply(record: &mut Record, now: Time, ticket: Ticket, kind: Kind, step: Step) -> bool {
    let is_live = |record: &Record, instance| record.live().any(|seen| seen.instance == instance);
    match step {
        Step::Start { want, owner, attempt } => {
            let is_volume = kind == Kind::Volume;
            let phase = Phase::Running { started: now, ready: is_volume.then_some(now), failing: false };
            let role = if is_volume { Role::Active } else { Role::Candidate };
            record.owner = Some(owner);
            record.instances.push(Arc::new(Seen { instance: ticket, role, phase, want, attempt }));
        }
        Step::Activate { instance } => {
            if !is_live(record, instance) {
                return false;
            }
            for seen in &mut record.instances {
                let role = match seen.role {
                    _ if seen.instance == instance => Role::Active,
                    Role::Active => Role::Retiring,
                    other => other,
                };
                Arc::make_mut(seen).role = role;
            }
        }
        Step::Update { instance, to } => {
            let found = record.instances.iter_mut().find(|seen| seen.instance == instance && seen.is_live());
            let Some(seen) = found.filter(|seen| seen.want.shape == to.shape) else { return false };
            Arc::make_mut(seen).want = to;
        }
        Step::Kill { instance } => {
            let found = record.instances.iter_mut().find(|seen| seen.instance == instance);
            let Some(seen) = found else { return false };
            let Phase::Running { started, .. } = seen.phase else { return false };
            Arc::make_mut(seen).phase = Phase::Exited { started, at: now, code: 137 };
        }
        Step::Stop { instance } => record.instances.retain(|seen| seen.instance != instance),
        Step::Mark(Verdict::Good(want)) => {
            record.good = Some(want);
            record.bad.clear();
        }
        Step::Mark(Verdict::Bad(want)) => {
            record.bad.insert(want.digest);
        }
        Step::Mark(Verdict::Completed(want)) => record.completed = Some(want.digest),
        Step::Mark(Verdict::Retry) => {
            record.bad.clear();
            record.completed = None;
        }
        Step::Adopt(owner) => record.owner = Some(owner),
        Step::Forget { .. } => {
            if !record.instances.is_empty() {
                return false;
            }
            *record = Record::default();
        }
        Step::Prepare { .. } | Step::Fence => {}
    }
    if kind != Kind::Volume {
        disown(record);
    }
    true
}

/// The owner is written beside what there is: where there is nothing any more, there is no owner.
pub(crate) fn disown(record: &mut Record) {
    let Record { instances, good, bad, completed, .. } = &*record;
    if instances.is_empty() && good.is_none() && bad.is_empty() && completed.is_none() {
        record.owner = None;
    }
}
