//! Events: what a person would want to see, in `kubectl events`. Best effort, and nothing is decided by them.

use super::{
    board::{Told, What},
    watch::Means,
    write,
};
use crate::api;
use abide_agent::Happened;
use abide_spec::Kind;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::task::JoinSet;

/// Events that are under way; more are dropped.
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

    pub(crate) fn tell(&mut self, told: Told) {
        while self.under_way.try_join_next().is_some() {}
        if self.under_way.len() >= UNDER_WAY_MAX {
            return;
        }
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
    // Nothing is pulled for a volume.
    let is_pulled = told.unit.kind != Kind::Volume;
    use EventType::{Normal, Warning};
    let (type_, reason, action) = match told.what {
        What::Rejected => (Warning, "Rejected", "Judge"),
        What::Held => (Warning, "Held", "Judge"),
        What::Happened(happened) => match happened {
            Happened::Preparing if is_pulled => (Normal, "Pulling", "Prepare"),
            Happened::Prepared if is_pulled => (Normal, "Pulled", "Prepare"),
            Happened::Started => (Normal, "Started", "Start"),
            Happened::Serving => (Normal, "Serving", "Activate"),
            Happened::Updated => (Normal, "Updated", "Update"),
            Happened::Stopped => (Normal, "Stopped", "Stop"),
            Happened::Killing => (Warning, "Killing", "Kill"),
            Happened::Exited => (Warning, "Exited", "Watch"),
            Happened::Completed => (Normal, "Completed", "Watch"),
            Happened::TakenBack => (Warning, "TakenBack", "Judge"),
            Happened::Removed => (Normal, "Removed", "Remove"),
            Happened::Failed => (Warning, "Failed", "Reconcile"),
            // What ends them is told.
            Happened::Preparing | Happened::Prepared | Happened::Starting | Happened::Stopping => return None,
        },
    };
    Some(Event {
        type_,
        reason: reason.to_owned(),
        note: Some(api::note(&told.text)),
        action: action.to_owned(),
        secondary: None,
    })
}
