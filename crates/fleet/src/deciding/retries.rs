//! People's word that a machine tries a commit again which failed there. Any hub takes it, into the store; who leads, and
//! so remembers what is bad, carries it out.

use super::{machines::unit, roster::Roster};
use crate::store::Store;
use abide_agent::{Asker, api::Request};
use abide_reconcile::{Name, SourceId};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::sleep};

/// What could not be carried out waits so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Carries out what is asked for, for as long as this hub leads.
pub(super) async fn carry_out(
    roster: Arc<Roster>,
    store: Arc<dyn Store>,
    source: SourceId,
    agent: Asker,
) -> Infallible {
    loop {
        roster.retry_asked().await;
        for (machine, asking) in roster.retries() {
            if !is_granted(&roster, &source, &agent, &machine).await {
                sleep(AGAIN).await;
                continue;
            }
            let (store, of) = (Arc::clone(&store), machine.clone());
            // Who leads next does it once more, which changes nothing.
            match spawn_blocking(move || store.retried(&of, asking)).await {
                Ok(Ok(())) => roster.retried(&machine, asking),
                Ok(Err(error)) => tracing::warn!(%machine, %error, "that it tries its commit again could not be noted"),
                Err(_) => {}
            }
        }
    }
}

/// Whether nothing is left to be done about it.
async fn is_granted(roster: &Roster, source: &SourceId, agent: &Asker, machine: &Name) -> bool {
    if roster.machine(machine).is_none_or(|row| row.revoked_at.is_some()) {
        return true;
    }
    match agent.order(Request::Retry { unit: unit(source, machine).to_string() }).await {
        Some(Ok(_)) => {
            tracing::info!(%machine, "its commit is tried again, as was asked");
            true
        }
        // It is to run nothing. Who is between two targets is known, though.
        Some(Err(_)) if roster.machine(machine).is_none_or(|row| row.target.is_none()) => true,
        Some(Err(why)) => {
            tracing::warn!(%machine, why, "its commit can't be tried again now: that is tried later");
            false
        }
        // This hub leads no more.
        None => false,
    }
}
