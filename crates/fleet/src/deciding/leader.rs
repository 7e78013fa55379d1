//! Who decides: one hub of all that share a database, for as long as it keeps its term.
//!
//! A term is kept by being renewed. Should two hubs believe that they lead, the store takes writes from the one alone whose
//! term is the present one; so a term only bounds for how long nobody decides when a hub has died.

use crate::store::{Millis, Store, StoreError, Term};
use abide_agent::Clock;
use abide_reconcile::Time;
use std::{sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::sleep};

/// A term that isn't renewed for so long is over.
pub(super) const TERM: Duration = Duration::from_secs(10);

/// How often it is renewed, and how often who waits to lead asks.
const RENEWAL: Duration = Duration::from_secs(3);
const CANDIDATE: Duration = Duration::from_secs(1);

/// After a failure sooner: there is little time.
const AGAIN: Duration = Duration::from_secs(1);

/// One hub that wants to lead.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) store: Arc<dyn Store>,
    /// Who this is, and nobody else at any time.
    pub(super) me: String,
    pub(super) clock: Clock,
    /// The world's clock.
    pub(super) world: fn() -> Millis,
}

impl Candidate {
    /// Waits until nobody else leads, and leads.
    pub(super) async fn win(&self) -> Term {
        let mut told = String::new();
        let mut other = Other::default();
        loop {
            match self.ask().await {
                Ok(Some(term)) => return term,
                Ok(None) => self.watch(&mut other).await,
                Err(error) => {
                    // Once for each reason, or it fills the log while the database is away.
                    if told != error {
                        tracing::warn!(error, "can't ask who leads");
                        told = error;
                    }
                }
            }
            sleep(CANDIDATE).await;
        }
    }

    /// Looks whether who leads keeps that up, and ends it if not. Until when a term lasts is said by the clock of who holds it,
    /// which may have been wrong by days; that it isn't renewed is seen by the clock of who waits.
    async fn watch(&self, other: &mut Other) {
        let store = Arc::clone(&self.store);
        let Ok(Ok(lease)) = spawn_blocking(move || store.lease()).await else { return };
        let Some((term, ends_at)) = other.see(lease, self.clock.now()) else { return };
        tracing::warn!(
            holder = term.holder,
            "who leads doesn't renew its term, which ends by a clock that is wrong: it is over"
        );
        let store = Arc::clone(&self.store);
        // Should that fail, it is found again.
        drop(spawn_blocking(move || store.oust(&term, ends_at)).await);
    }

    /// Leads until that can't be kept up, and tells why.
    pub(super) async fn keep(&self, term: &Term) -> String {
        let mut renewed: Time = self.clock.now();
        let mut pause = RENEWAL;
        loop {
            sleep(pause).await;
            let asked = self.clock.now();
            match self.ask().await {
                Ok(Some(kept)) if kept == *term => {
                    renewed = asked;
                    pause = RENEWAL;
                }
                Ok(_) => return "another hub leads now".to_owned(),
                Err(error) if self.clock.now() >= renewed + TERM => {
                    return format!("leading could not be kept up: {error}");
                }
                Err(_) => pause = AGAIN,
            }
        }
    }

    /// Gives the term away, so that another need not wait.
    pub(super) async fn leave(&self, term: Term) {
        let store = Arc::clone(&self.store);
        // Who can't give it away lets it run out.
        drop(spawn_blocking(move || store.resign(&term)).await);
    }

    async fn ask(&self) -> Result<Option<Term>, String> {
        let (store, me, now) = (Arc::clone(&self.store), self.me.clone(), (self.world)());
        let asked = spawn_blocking(move || store.lead(&me, now, TERM)).await;
        asked.map_err(|error| error.to_string())?.map_err(|error: StoreError| error.to_string())
    }
}

/// The term of another, as who waits to lead has seen it.
#[derive(Debug, Default)]
struct Other {
    lease: Option<(Term, Millis)>,
    /// Since when it is that one.
    since: Time,
}

impl Other {
    /// Sees what there is now: the term that is over, though it should last.
    fn see(&mut self, lease: Option<(Term, Millis)>, now: Time) -> Option<(Term, Millis)> {
        if self.lease != lease {
            *self = Self { lease, since: now };
        }
        // Twice as long as it may go without, so that who was late by a little keeps it.
        self.lease.clone().filter(|_| now >= self.since + 2 * TERM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_that_isnt_renewed_is_over_whatever_its_holders_clock_says() {
        let lease = |epoch, ends_at| Some((Term { holder: "a".to_owned(), epoch }, Millis(ends_at)));
        let next_year = 1_800_000_000_000;
        let mut other = Other::default();
        let mut see = |lease, second| other.see(lease, Time::from_secs(second)).is_some();
        assert!(!see(lease(1, next_year), 100));
        assert!(!see(lease(1, next_year), 119));
        assert!(!see(lease(1, next_year + 3_000), 121), "it was renewed");
        assert!(!see(lease(1, next_year + 3_000), 140));
        assert!(see(lease(1, next_year + 3_000), 141));
        assert!(!see(None, 142));
        assert!(!see(lease(2, 5), 200));
        assert!(!see(lease(3, 5), 230), "it is another's");
    }
}
