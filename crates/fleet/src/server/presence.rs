//! Who is here and who is away, as far as it has to be written: only what changed is.
//!
//! Whoever is away counts as such for how many may be unavailable. So a process says so of another's machines only when it has
//! itself not heard that other one for long enough; and whose poll waits here takes it back ([`super::poll`]).

use super::{Inner, others::Others, recorder::NotRecorded};
use crate::store::{Fact, Millis};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// How often a hub process says that it lives: so many looks.
const BEATS: u32 = 3;

/// A process that wasn't heard for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// Facts in one writing.
const FACTS_MAX: usize = 200;

/// Writes what changes, for ever.
pub(super) async fn keep(inner: &Arc<Inner>) {
    let mut looks = 0;
    let mut others = Others::default();
    // What could not be written, to be written at the next look.
    let mut left: Vec<Fact> = Vec::new();
    loop {
        if looks % BEATS == 0 {
            left.extend(orphans(inner, &mut others).await);
        }
        looks += 1;
        left.extend(away(inner));
        // Who came back before it could be written that it had gone has nothing to write: its row says that it is here.
        left.retain(|fact| !inner.roster.is_present(fact.name()));
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

/// Says that this process lives, and gives the machines whose process is dead: one of the living says so.
async fn orphans(inner: &Arc<Inner>, others: &mut Others) -> Vec<Fact> {
    let (hub, now) = (inner.hub.clone(), Millis(inner.clock.now()));
    let heard = inner.with_store(move |store| {
        store.beat(&hub, now)?;
        store.hubs()
    });
    let Ok(heard) = heard.await else {
        others.lose();
        return Vec::new();
    };
    others.hear(&inner.hub, heard, inner.roster.hubs(), Instant::now());
    let limits = &inner.limits;
    if !others.is_first(&inner.hub, limits.dead) {
        return Vec::new();
    }
    for (hub, heard_at) in others.silent_for(FORGOTTEN_AFTER) {
        // Should that fail, it is found again.
        drop(inner.with_store(move |store| store.forget(&hub, heard_at)).await);
    }
    let is_living = |hub: &str| hub == inner.hub || others.silence(hub) < limits.dead + limits.moving;
    let orphans = inner.roster.orphans(&is_living).into_iter();
    orphans.map(|(name, hub)| Fact::Away { name, since: others.heard_at(&hub).unwrap_or(now), hub }).collect()
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
