//! What the core commands: looks, orders and acceptances.
//!
//! Orders of one unit are carried out one at a time, also when the core has given one up: a fence behind a hung order
//! promises something only if it comes after it.

use super::{Attending, Driver, Pause, Reach};
use crate::{
    followed::{By, Followed},
    journal::{self, Record as Entry, Verdicts, is_same_commit},
    news::About,
    port::Happened,
};
use abide_reconcile::{
    Accepted, Command, Event, Fault, Found, InstanceId, Look, Observed, Order, Owner, Permit, Phase, Progress, Record,
    Role, Seen, SourceId, Step, Ticket, UnitId, Verdict, status::Activity,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Orders that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Of each unit, the one under way first.
    queues: BTreeMap<UnitId, VecDeque<Order>>,
    cancelled: BTreeMap<Ticket, Arc<AtomicBool>>,
}

impl Orders {
    pub(crate) fn cancel_all(&mut self) {
        self.cancelled.values().for_each(|flag| flag.store(true, Ordering::Relaxed));
    }

    /// Whether an order to stop this instance has not ended.
    fn is_stopping(&self, unit: &UnitId, instance: InstanceId) -> bool {
        let orders = self.queues.get(unit).into_iter().flatten();
        orders
            .map(|order| &order.step)
            .any(|step| matches!(step, Step::Stop { instance: stopped } if *stopped == instance))
    }

    /// An order that waits behind another of its unit; it can be dropped without a trace.
    fn waiting(&self, ticket: Ticket) -> Option<Order> {
        let mut behind = self.queues.values().flat_map(|queue| queue.iter().skip(1));
        behind.find(|order| order.ticket == ticket).cloned()
    }
}

impl Driver {
    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Observe { ticket, what } => {
                let look = what.clone();
                self.call(move |means| means.observe(&look), move |driver, found| driver.looked(ticket, &what, found));
            }
            Command::Run { ticket, unit, step, stamp } => self.order(Order { ticket, unit, step, stamp }),
            Command::Accept { ticket, source, accepted } => self.accept(ticket, &source, accepted),
            Command::Cancel(ticket) => self.cancel(ticket),
        }
    }

    fn cancel(&mut self, ticket: Ticket) {
        if let Some(order) = self.orders.waiting(ticket) {
            self.finish(&order, Err(Fault::Cancelled));
        } else if let Some(flag) = self.orders.cancelled.get(&ticket) {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// What a look found, with what the journals remember and the probes say.
    fn looked(&mut self, ticket: Ticket, look: &Look, found: Result<BTreeMap<UnitId, Found>, Fault>) {
        let now = self.clock.now();
        let mut found = match found {
            Ok(found) => found,
            Err(fault) => {
                tracing::warn!(%fault, "could not look at what runs");
                self.early.blind = Some(fault.to_string());
                return self.core.handle(now, Event::Blind(ticket));
            }
        };
        self.early.blind = None;
        self.early.has_seen_all |= *look == Look::All;
        let looked_at: BTreeSet<UnitId> = match look {
            Look::Units(units) => units.clone(),
            Look::All => {
                let remembered = self.followed.values().flat_map(|followed| followed.state.verdicts.keys());
                found.keys().chain(remembered).chain(self.probes.units()).cloned().collect()
            }
        };
        let mut units = BTreeMap::new();
        for unit in looked_at {
            let found = found.remove(&unit).unwrap_or_default();
            self.tell_exits(&unit, &found);
            self.probes.see(now, &unit, found.instances.iter().map(|seen| &**seen));
            let record = self.record(&unit, found);
            if record != Record::default() {
                units.insert(unit, Arc::new(record));
            }
        }
        self.core.handle(now, Event::Seen { ticket, world: Observed { units, permits: self.permits() } });
    }

    fn record(&self, unit: &UnitId, found: Found) -> Record {
        let instances = found.instances.iter().map(|seen| Arc::new(self.probes.judge(seen))).collect();
        let stamp = found.stamp;
        let remembered = self.remembered(unit, found.owner.as_ref().map(|owner| &owner.source));
        let Some((source, verdicts)) = remembered else {
            return Record { instances, owner: found.owner, stamp, ..Record::default() };
        };
        // What is remembered of a unit is owned too, though nothing of it may be left: else nobody would ever forget it.
        let owner = found.owner.unwrap_or_else(|| Owner { source: source.clone(), reclaim: Default::default() });
        Record {
            instances,
            owner: Some(owner),
            good: verdicts.good.clone(),
            bad: verdicts.bad.iter().map(|bad| bad.want.digest).collect(),
            completed: verdicts.completed.as_ref().map(|want| want.digest),
            stamp,
        }
    }

    /// What is remembered of a unit's versions, and by which source: its owner's word goes first.
    fn remembered(&self, unit: &UnitId, owner: Option<&SourceId>) -> Option<(&SourceId, &Verdicts)> {
        let of = |followed: &'_ Followed| followed.state.verdicts.contains_key(unit);
        let owner = owner.and_then(|owner| self.followed.get(owner)).filter(|followed| of(followed));
        let followed = owner.or_else(|| self.followed.values().find(|followed| of(followed)))?;
        Some((&followed.id, followed.state.verdicts.get(unit)?))
    }

    /// In which source's journal it is written what becomes of a unit: of who wishes it, or else of who owns it.
    pub(super) fn source_of(&self, unit: &UnitId) -> SourceId {
        let known = self.core.source_of(unit).or_else(|| self.remembered(unit, None).map(|(source, _)| source));
        known.cloned().unwrap_or_else(|| SourceId(unit.scope.clone()))
    }

    /// Every yes: what people said, and what follows from `abide down`, which may stop everything but delete nothing.
    fn permits(&self) -> BTreeSet<Arc<Permit>> {
        let said = self.followed.values().flat_map(|followed| followed.state.permits.iter().cloned());
        said.chain(self.asked_by_down().into_iter().map(Arc::new)).collect()
    }

    fn tell_exits(&mut self, unit: &UnitId, found: &Found) {
        let ran = self.probes.running(unit);
        // What is being stopped exits, which is no news.
        let is_news = |seen: &Seen| ran.contains(&seen.instance) && !self.orders.is_stopping(unit, seen.instance);
        let codes = found.instances.iter().filter(|seen| is_news(seen)).filter_map(|seen| match seen.phase {
            Phase::Exited { code, .. } => Some(code),
            Phase::Running { .. } | Phase::Away { .. } => None,
        });
        for code in codes.collect::<Vec<_>>() {
            self.tell_of(Happened::Exited, unit, format!("exited with {code}"));
        }
    }

    fn order(&mut self, order: Order) {
        self.orders.cancelled.insert(order.ticket, Arc::default());
        if let Some((what, text)) = begins(&order.step) {
            self.tell_of(what, &order.unit, text.to_owned());
        }
        let queue = self.orders.queues.entry(order.unit.clone()).or_default();
        queue.push_back(order.clone());
        if queue.len() == 1 {
            self.carry_out(order);
        }
    }

    fn carry_out(&mut self, order: Order) {
        let id = order.unit.clone();
        let entry = match &order.step {
            Step::Mark(Verdict::Good(want)) => Entry::Good { unit: Arc::clone(&want.unit) },
            Step::Mark(Verdict::Bad(want)) => Entry::Bad { unit: Arc::clone(&want.unit), why: self.failing(&id) },
            Step::Mark(Verdict::Completed(want)) => Entry::Completed { unit: Arc::clone(&want.unit) },
            Step::Mark(Verdict::Retry) => Entry::Retried { id },
            _ => return self.have_carried_out(order),
        };
        let source = self.source_of(&order.unit);
        self.write(&source, entry, move |driver, result| driver.ended(&order, result));
    }

    /// How a version fails that is about to be marked as bad: the last of it that is there still, or that it was given up.
    fn failing(&self, id: &UnitId) -> String {
        let status = self.core.unit_status(self.clock.now(), id);
        let instances = status.iter().flat_map(|status| &status.instances).rev();
        let candidates = instances.filter(|instance| instance.role != Role::Retiring);
        let mut told = candidates.filter_map(|instance| match instance.activity {
            Activity::Exited(code) => Some(format!("exited with {code}")),
            Activity::Running { ready: false } => Some("did not become ready in time".to_owned()),
            _ => None,
        });
        told.next().unwrap_or_else(|| "did not prove itself".to_owned())
    }

    fn have_carried_out(&mut self, order: Order) {
        let cancelled = self.orders.cancelled.get(&order.ticket).cloned().unwrap_or_default();
        let attend = Attending {
            ticket: order.ticket,
            unit: order.unit.clone(),
            cancelled,
            inbox: self.inbox.clone(),
            pause: Pause::default(),
        };
        let work = order.clone();
        self.call(
            move |means| means.run(&work, &attend),
            move |driver, result| match (&order.step, result) {
                (Step::Forget { .. }, Ok(())) => {
                    let source = driver.source_of(&order.unit);
                    let entry = Entry::Forgotten { id: order.unit.clone() };
                    driver.write(&source, entry, move |driver, result| driver.ended(&order, result));
                }
                (_, result) => driver.ended(&order, result),
            },
        );
    }

    fn ended(&mut self, order: &Order, result: Result<(), Fault>) {
        self.report(order, &result);
        self.finish(order, result);
        if let Some(next) = self.orders.queues.get(&order.unit).and_then(|queue| queue.front().cloned()) {
            self.carry_out(next);
        }
    }

    fn finish(&mut self, order: &Order, result: Result<(), Fault>) {
        self.orders.cancelled.remove(&order.ticket);
        if let Some(queue) = self.orders.queues.get_mut(&order.unit) {
            queue.retain(|other| other.ticket != order.ticket);
            if queue.is_empty() {
                self.orders.queues.remove(&order.unit);
            }
        }
        let now = self.clock.now();
        self.core.handle(now, Event::Done { ticket: order.ticket, unit: order.unit.clone(), result });
    }

    fn report(&mut self, order: &Order, result: &Result<(), Fault>) {
        match result {
            Ok(()) => {
                if let Some((what, text)) = ends(&order.step) {
                    self.tell_of(what, &order.unit, text.to_owned());
                }
            }
            Err(Fault::Cancelled) => {}
            Err(fault) => {
                tracing::info!(unit = %order.unit, step = ?order.step, %fault, "a step failed");
                self.tell_of(Happened::Failed, &order.unit, fault.to_string());
            }
        }
    }

    pub(super) fn advanced(&mut self, ticket: Ticket, unit: &UnitId, progress: &Progress) {
        let now = self.clock.now();
        self.core.handle(now, Event::Progress(ticket));
        self.ring_of("progress", unit, percent(progress));
    }

    fn accept(&mut self, ticket: Ticket, source: &SourceId, accepted: Accepted) {
        if self.reach == Reach::Look {
            // Nothing is written; but only what is down comes to this, and it is shown as it will be.
            let now = self.clock.now();
            return self.core.handle(now, Event::Accepted { ticket, result: Ok(()) });
        }
        let Accepted { generation, owned_before, removals } = accepted;
        let Some(followed) = self.followed.get(source) else { return };
        let told = followed.told.get(&generation);
        let (commit, summary) = told.map(|told| (told.commit.clone(), told.summary.clone())).unwrap_or_default();
        // Late finds of the commit that was rolled back are no reason to return to it.
        let is_newer =
            |over: &str| told.is_some_and(|told| told.by == By::Source && !is_same_commit(&told.commit, over));
        let ends_pin = followed.state.pin.as_ref().is_some_and(|(_, over)| is_newer(over));
        let mut entries: Vec<Entry> = ends_pin.then_some(Entry::Unpinned).into_iter().collect();
        entries.push(Entry::Accepted(journal::Accepted { generation, commit, summary, owned_before, removals }));
        self.write_all(source, entries, move |driver, result| {
            let now = driver.clock.now();
            // What the wish before had is free for others.
            driver.wishes_changed = true;
            driver.core.handle(now, Event::Accepted { ticket, result });
        });
    }

    /// Tells everybody what happened to a unit.
    fn tell_of(&mut self, what: Happened, unit: &UnitId, text: String) {
        self.tell_reporter_that(&self.source_of(unit), unit, what, &text);
        // That something could be prepared is no news where people watch: the start is.
        if what != Happened::Prepared {
            self.ring_of(what.kind(), unit, text);
        }
    }

    /// With the commit that the unit's source is at.
    fn ring_of(&mut self, kind: &str, unit: &UnitId, text: String) {
        let source = self.source_of(unit);
        let commit = self.followed.get(&source).and_then(|followed| followed.newest().map(|told| told.commit.clone()));
        self.ring.tell(kind, About { source: Some(&source), commit: commit.as_deref(), unit: Some(unit) }, text);
    }
}

pub(super) fn percent(progress: &Progress) -> String {
    match progress.total.filter(|total| *total > 0) {
        Some(total) => format!("{} {} %", progress.what, progress.done.min(total) * 100 / total),
        None => progress.what.to_string(),
    }
}

/// What people see of a step when it is ordered; of most only the end is worth a line.
fn begins(step: &Step) -> Option<(Happened, &'static str)> {
    match step {
        Step::Prepare { .. } => Some((Happened::Preparing, "is being prepared")),
        Step::Start { .. } => Some((Happened::Starting, "is being started")),
        Step::Stop { .. } => Some((Happened::Stopping, "is being stopped")),
        Step::Kill { .. } => Some((Happened::Killing, "is being killed, as its liveness probe says")),
        Step::Mark(Verdict::Bad(_)) => Some((Happened::TakenBack, "is bad: it is taken back to the last good version")),
        Step::Activate { .. }
        | Step::Update { .. }
        | Step::Mark(_)
        | Step::Adopt(_)
        | Step::Forget { .. }
        | Step::Fence => None,
    }
}

fn ends(step: &Step) -> Option<(Happened, &'static str)> {
    match step {
        Step::Prepare { .. } => Some((Happened::Prepared, "prepared")),
        Step::Start { .. } => Some((Happened::Started, "started")),
        Step::Activate { .. } => Some((Happened::Serving, "serves")),
        Step::Update { .. } => Some((Happened::Updated, "updated")),
        Step::Stop { .. } => Some((Happened::Stopped, "stopped")),
        Step::Forget { .. } => Some((Happened::Removed, "removed")),
        Step::Mark(Verdict::Completed(_)) => Some((Happened::Completed, "completed")),
        Step::Kill { .. } | Step::Mark(_) | Step::Adopt(_) | Step::Fence => None,
    }
}
