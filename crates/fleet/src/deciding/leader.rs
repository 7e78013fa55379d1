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
        loop {
            match self.ask().await {
                Ok(Some(term)) => return term,
                Ok(None) => {}
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
