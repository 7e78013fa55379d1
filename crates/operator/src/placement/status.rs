//! What is to be said in objects' statuses, and who writes it.
//!
//! This is delivery, no second loop: what is to be said follows from how things stand, whatever was written before. A
//! write is tried again as long as it still differs.

use super::{
    cluster::Nodes,
    condition::{Reason, Said, differing, said},
    lease::Leadership,
    place::Place,
    read::Held,
    shared::Shared,
    sight::Sight,
    words,
};
use crate::{
    api,
    crd::{self, Condition},
};
use abide_reconcile::UnitId;
use futures_util::{StreamExt as _, stream};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Client,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// The field manager of all that the controller writes.
pub(super) const MANAGER: &str = "abide-controller";

/// Writes at once.
const WRITES_MAX: usize = 8;

/// What failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// What a request may take: less than what is left of the Lease when nobody may begin to write any more.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(4);

/// What is to be written.
#[derive(Default)]
pub(super) struct Statuses {
    wanted: Mutex<BTreeMap<UnitId, Wanted>>,
    bell: Notify,
}

#[derive(Clone)]
struct Wanted {
    uid: String,
    version: String,
    conditions: Vec<Condition>,
    /// What a person would want to see.
    event: Option<(Reason, String)>,
}

/// What the writer writes with.
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) leadership: Leadership,
    pub(super) recorder: Recorder,
    pub(super) shared: Arc<Shared>,
}

impl Statuses {
    /// Says how it stands with everything: what differs is written.
    pub(super) fn show(&self, sight: &Sight, nodes: &Nodes, places: &BTreeMap<UnitId, Place>) {
        let now = Timestamp::now();
        let wanted = sight.all_held().filter_map(|held| {
            let id = &held.object.id;
            let said = said(&held.object, nodes, places.get(id)?)?;
            let conditions = differing(&said, &held.conditions, held.generation, now)?;
            let (uid, version) = (held.uid.clone(), held.version.clone());
            Some((id.clone(), Wanted { uid, version, conditions, event: event(&said, held) }))
        });
        let wanted: BTreeMap<_, _> = wanted.collect();
        let is_any = !wanted.is_empty();
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        if is_any {
            self.bell.notify_one();
        }
    }

    /// Writes until it is aborted.
    pub(super) async fn write(self: Arc<Self>, writer: Writer) {
        loop {
            self.bell.notified().await;
            let wanted = std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
            let written =
                stream::iter(wanted).map(|(id, wanted)| writer.write(id, wanted)).buffer_unordered(WRITES_MAX);
            let failed: Vec<(UnitId, Wanted)> = written.filter_map(|failed| async { failed }).collect().await;
            if !failed.is_empty() {
                let again = Arc::clone(&self);
                tokio::spawn(async move {
                    tokio::time::sleep(AGAIN).await;
                    let mut wanted = again.wanted.lock().unwrap_or_else(PoisonError::into_inner);
                    for (id, failed) in failed {
                        wanted.entry(id).or_insert(failed);
                    }
                    again.bell.notify_one();
                });
            }
        }
    }
}

/// The first thing that is said with a reason that wasn't said before.
fn event(said: &[Said], held: &Held) -> Option<(Reason, String)> {
    let is_known = |said: &&Said| held.conditions.iter().any(|known| known.reason == said.reason.as_str());
    let news = said.iter().find(|said| !is_known(said))?;
    Some((news.reason, news.message.clone()))
}

impl Writer {
    /// Writes a status; what could not be written, but may be another time, is given back.
    async fn write(&self, id: UnitId, wanted: Wanted) -> Option<(UnitId, Wanted)> {
        if !self.leadership.is_held() {
            return Some((id, wanted));
        }
        let api = api::objects(&self.client, &id);
        let patch = json!({
            "apiVersion": crd::resource(id.kind).api_version,
            "kind": id.kind.as_str(),
            "metadata": {"name": id.name.as_str(), "resourceVersion": wanted.version},
            "status": {"conditions": wanted.conditions},
        });
        let params = PatchParams::apply(MANAGER).force();
        let name = id.name.to_string();
        let patch = Patch::Apply(&patch);
        match timeout(REQUEST_MAX, api.patch_status(&name, &params, &patch)).await {
            Ok(Ok(written)) => {
                if let Some(held) = Held::read(id.kind, written) {
                    self.shared.note(|sight| sight.object(held));
                }
                self.tell(&id, &wanted).await;
                None
            }
            // It is gone, or changed: then it is looked at anew.
            Ok(Err(error)) if matches!(api::status(&error), Some(404 | 409)) => None,
            Ok(Err(error)) => {
                tracing::warn!(unit = %id, error = words::chain(&error), "could not write a status");
                Some((id, wanted))
            }
            Err(_) => Some((id, wanted)),
        }
    }

    async fn tell(&self, id: &UnitId, wanted: &Wanted) {
        let Some((reason, note)) = &wanted.event else { return };
        let type_ = if *reason == Reason::Assigned { EventType::Normal } else { EventType::Warning };
        self.publish(id, &wanted.uid, type_, reason.as_str(), note).await;
    }

    /// Publishes an Event, as well as it can.
    async fn publish(&self, id: &UnitId, uid: &str, type_: EventType, reason: &str, note: &str) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(api::note(note)),
            action: "Placing".to_owned(),
            secondary: None,
        };
        let published = self.recorder.publish(&event, &api::reference(id, uid)).await;
        if let Err(error) = published {
            tracing::debug!(unit = %id, error = words::chain(&error), "could not publish an Event");
        }
    }
}
