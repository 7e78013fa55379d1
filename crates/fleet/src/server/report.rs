//! How a machine is.

use super::{
    Inner,
    admit::{Session, session},
    answer::{Answer, Refused, nothing, refused},
    poll::{here, record},
};
use crate::{
    protocol::{HAPPENINGS_MAX, MachineState, RefusalCode, Report, TROUBLES_MAX},
    store::{Fact, Machine, Millis},
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Reports of one machine at once, and a second: each is a row that is written, and read by every process.
const REPORTS: (u32, u32) = (60, 1);

/// Takes it, and answers when it is written.
pub(super) async fn report(inner: &Inner, machine: &Machine, report: Report) -> Result<Answer, Refused> {
    if report.troubles.len() > TROUBLES_MAX || report.happened.len() > HAPPENINGS_MAX {
        let why = format!("a report has at most {TROUBLES_MAX} troubles and {HAPPENINGS_MAX} happenings");
        return Err(refused(RefusalCode::BadRequest, why));
    }
    if !inner.reports.may(machine.name.clone(), Instant::now(), REPORTS) {
        return Err(refused(RefusalCode::Busy, "this machine says more than is written: tell the rest later"));
    }
    inner.counters.reports.fetch_add(1, Ordering::Relaxed);
    let is_heard = match session(machine, &report.session) {
        // Said by an agent that is no more: what is now is said by the one that is.
        Session::Earlier => false,
        Session::New => true,
        Session::Present => is_news(machine, &report),
    };
    if is_heard {
        let ready_since = ready_since(machine, &report, Millis(inner.clock.now()));
        let mut facts = here(machine, &report.session, &inner.hub);
        let (name, report, hub_since) = (machine.name.clone(), Box::new(report), inner.since);
        facts.push(Fact::Reported { name, report, ready_since, hub_since });
        record(inner, facts).await?;
    }
    Ok(nothing())
}

/// Whether it comes after what was said last in the session.
fn is_news(machine: &Machine, report: &Report) -> bool {
    machine
        .reported
        .as_ref()
        .is_none_or(|last| last.report.session != report.session || last.report.sequence < report.sequence)
}

/// Since when it is ready with its target, by the hub's clock; it can't be longer than it was told.
fn ready_since(machine: &Machine, report: &Report, now: Millis) -> Option<Millis> {
    let target = machine.target.as_ref()?;
    let is_ready = report.state == MachineState::Ready && report.target == Some(target.number);
    is_ready.then(|| now.minus(Duration::from_millis(report.state_for)).max(target.at).min(now))
}
