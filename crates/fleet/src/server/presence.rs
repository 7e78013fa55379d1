//! Who is here and who is away, as far as it has to be written: only what changed is.

use super::{Inner, recorder::NotRecorded};
use crate::store::{Fact, Millis};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// How often a hub process says that it lives: so many looks.
const BEATS: u32 = 3;

/// A hub process that was silent for so long is dead. Its machines ask another one, spread over a minute.
const DEAD: Duration = Duration::from_secs(10);

/// What a machine of a dead process is given to be heard by another.
const MOVING: Duration = Duration::from_secs(60);

/// Facts in one writing.
const FACTS_MAX: usize = 200;

/// Writes what changes, for ever.
pub(super) async fn keep(inner: &Arc<Inner>) {
    let mut looks = 0;
    // What could not be written, to be written at the next look.
    let mut left: Vec<Fact> = Vec::new();
    loop {
        if looks % BEATS == 0 {
            let (hub, now) = (inner.hub.clone(), Millis(inner.clock.now()));
            let hubs = inner.with_store(move |store| {
                store.beat(&hub, now)?;
                store.hubs()
            });
            if let Ok(hubs) = hubs.await {
                left.extend(orphans(inner, &hubs.into_iter().collect()));
            }
        }
        looks += 1;
        left.extend(away(inner));
        left = write(inner, left).await;
        sleep(LOOK).await;
    }
}

/// Machines that were with this process and are silent.
fn away(inner: &Inner) -> Vec<Fact> {
    let now = inner.clock.now();
    let gone = inner.roster.gone(Instant::now(), inner.limits.away);
    let fact = |(name, silent)| Fact::Away { name, hub: inner.hub.clone(), since: Millis(now).minus(silent) };
    gone.into_iter().map(fact).collect()
}

/// Machines whose process is dead: one of the living says so.
fn orphans(inner: &Inner, hubs: &BTreeMap<String, Millis>) -> Vec<Fact> {
    let now = Millis(inner.clock.now());
    let silent = |hub: &str| hubs.get(hub).map(|heard| now.since(*heard));
    let first = hubs.iter().find(|(_, heard)| now.since(**heard) < DEAD).map(|(hub, _)| hub);
    if first != Some(&inner.hub) {
        return Vec::new();
    }
    // One that isn't even known is dead for longer than is remembered.
    let is_living = |hub: &str| hub == inner.hub || silent(hub).is_some_and(|silent| silent < DEAD + MOVING);
    let since = |hub: &str| hubs.get(hub).copied().unwrap_or(now);
    let orphans = inner.roster.orphans(&is_living).into_iter();
    orphans.map(|(name, hub)| Fact::Away { name, since: since(&hub), hub }).collect()
}

async fn write(inner: &Inner, facts: Vec<Fact>) -> Vec<Fact> {
    let mut facts = facts;
    while !facts.is_empty() {
        let rest = facts.split_off(facts.len().min(FACTS_MAX));
        match inner.recorder.record(facts.clone()).await {
            Ok(()) => facts = rest,
            Err(NotRecorded::Full | NotRecorded::Failed) => {
                facts.extend(rest);
                // What is told anew at the next look needn't be kept in any number.
                facts.truncate(FACTS_MAX * 100);
                return facts;
            }
        }
    }
    facts
}
