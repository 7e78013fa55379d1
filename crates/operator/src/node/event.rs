//! Events: what a person would want to see, in `kubectl events`. Best effort, and nothing is decided by them.

use super::{
    telling::{Told, What},
    watch::Means,
    write,
};
use crate::api;
use abide_agent::Happened;
use abide_spec::Kind;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::task::JoinSet;

/// Events that are under way at once.
const UNDER_WAY_MAX: usize = 16;

/// Tells events. The recorder makes one of those that repeat.
pub(crate) struct Events {
    recorder: Recorder,
    under_way: JoinSet<()>,
}

impl Events {
    pub(crate) fn new(means: &Means) -> Self {
        let reporter = Reporter { controller: write::MANAGER.to_owned(), instance: Some(means.node.clone()) };
        Self { recorder: Recorder::new(means.client.clone(), reporter), under_way: JoinSet::new() }
    }

    /// Whether one more may be told now.
    pub(crate) fn is_free(&self) -> bool {
        self.under_way.len() < UNDER_WAY_MAX
    }

    /// Waits until one of those that are under way is through.
    pub(crate) async fn next_through(&mut self) {
        if self.under_way.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn tell(&mut self, told: Told) {
        let Some(event) = event(&told) else { return };
        let recorder = self.recorder.clone();
        self.under_way.spawn(async move {
            if let Err(error) = recorder.publish(&event, &api::reference(&told.unit, &told.uid)).await {
                tracing::debug!(unit = %told.unit, %error, "an event could not be told");
            }
        });
    }
}

/// The event of what happened: its kind, its reason, and what was being done.
fn event(told: &Told) -> Option<Event> {
    // Nothing is pulled or started for a volume: that it serves is all there is to say.
    let runs = told.unit.kind != Kind::Volume;
    let (reason, action) = match told.what {
        What::Rejected => ("Rejected", "Judge"),
        What::Held => ("Held", "Judge"),
        What::Happened(happened) => match happened {
            Happened::Preparing if runs => ("Pulling", "Prepare"),
            Happened::Prepared if runs => ("Pulled", "Prepare"),
            Happened::Started if runs => ("Started", "Start"),
            Happened::Serving => ("Serving", "Activate"),
            Happened::Updated => ("Updated", "Update"),
            Happened::Stopped => ("Stopped", "Stop"),
            Happened::Killing => ("Killing", "Kill"),
            Happened::Exited => ("Exited", "Watch"),
            Happened::Completed => ("Completed", "Watch"),
            Happened::TakenBack => ("TakenBack", "Judge"),
            Happened::Removed => ("Removed", "Remove"),
            Happened::Failed => ("Failed", "Reconcile"),
            // What ends them is told.
            Happened::Preparing | Happened::Prepared | Happened::Starting | Happened::Started | Happened::Stopping => {
                return None;
            }
        },
    };
    Some(Event {
        type_: if told.what.is_warning() { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        note: Some(api::note(&told.text)),
        action: action.to_owned(),
        secondary: None,
    })
}
