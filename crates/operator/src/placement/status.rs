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
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// The field manager of all that the controller writes.
pub(super) const MANAGER: &str = "abide-controller";

/// Writes at once.
const WRITES_MAX: usize = 8;

/// What failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// That an object got a node is said when nothing was written to it for so long, and nothing is being placed: its node tells that
/// already, and where many objects are new other writes are more urgent. What a person has to know is said at once.
const CALM: Duration = Duration::from_secs(2);

/// But it is put off no longer than this.
const PUT_OFF_MAX: Duration = Duration::from_secs(30);

/// That a node is silent is said of an object no more often than that: an agent that lives after all says the contrary at once.
const SILENCE: Duration = Duration::from_secs(30);

/// What a request may take: less than what is left of the Lease when nobody may begin to write any more.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(4);

/// What is to be written.
#[derive(Default)]
pub(super) struct Statuses {
    wanted: Mutex<BTreeMap<UnitId, Wanted>>,
    /// When it was said last of an object that its node is silent.
    silences: Mutex<BTreeMap<UnitId, Instant>>,
    bell: Notify,
}

#[derive(Clone)]
struct Wanted {
    uid: String,
    version: String,
    conditions: Vec<Condition>,
    /// What a person would want to see.
    event: Option<(Reason, String)>,
    /// Since when this is to be written to this version.
    since: Instant,
    not_before: Instant,
}

impl Wanted {
    fn is_of_silence(&self) -> bool {
        self.conditions.iter().any(|condition| condition.reason == Reason::NodeSilent.as_str())
    }
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
        let (now, time_of_day) = (Instant::now(), Timestamp::now());
        let is_outstanding = |held: &Held| match places.get(&held.object.id) {
            Some(Place::On(node)) => held.object.node() != Some(node),
            _ => false,
        };
        let is_placing = sight.all_held().any(is_outstanding);
        let mut silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        silences.retain(|_, said| now < *said + SILENCE);
        let mut shown = self.lock();
        let before = std::mem::take(&mut *shown);
        let wanted = sight.all_held().filter_map(|held| {
            let id = &held.object.id;
            let said = said(&held.object, nodes, places.get(id)?)?;
            let conditions = differing(&said, &held.conditions, held.generation, time_of_day)?;
            let same = before.get(id).filter(|before| before.version == held.version);
            let since = same.map_or(now, |before| before.since);
            let not_before = match (is_urgent(&said, held), is_placing) {
                (true, _) => since,
                (false, false) => since + CALM,
                (false, true) => (now + CALM).min(since + PUT_OFF_MAX),
            };
            let (uid, version) = (held.uid.clone(), held.version.clone());
            let mut wanted = Wanted { uid, version, conditions, event: event(&said, held), since, not_before };
            if let Some(said) = silences.get(id).filter(|_| wanted.is_of_silence()) {
                wanted.not_before = not_before.max(*said + SILENCE);
            }
            Some((id.clone(), wanted))
        });
        shown.extend(wanted);
        let is_any = !shown.is_empty();
        drop(shown);
        if is_any {
            self.bell.notify_one();
        }
    }

    /// Writes until it is aborted.
    pub(super) async fn write(self: Arc<Self>, writer: Writer) {
        loop {
            let due = self.due();
            if due.is_empty() {
                let next = self.lock().values().map(|wanted| wanted.not_before).min();
                tokio::select! { () = self.bell.notified() => {}, () = api::until(next) => {} }
                continue;
            }
            let written = stream::iter(due).map(|(id, wanted)| writer.write(id, wanted)).buffer_unordered(WRITES_MAX);
            let failed: Vec<(UnitId, Wanted)> = written.filter_map(|failed| async { failed }).collect().await;
            let not_before = Instant::now() + AGAIN;
            let mut shown = self.lock();
            for (id, failed) in failed {
                shown.entry(id).or_insert(Wanted { not_before, ..failed });
            }
        }
    }

    /// Takes what is to be written now.
    fn due(&self) -> BTreeMap<UnitId, Wanted> {
        let now = Instant::now();
        let mut silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        let due: BTreeMap<_, _> = self.lock().extract_if(.., |_, wanted| wanted.not_before <= now).collect();
        silences.extend(due.iter().filter(|(_, wanted)| wanted.is_of_silence()).map(|(id, _)| (id.clone(), now)));
        due
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<UnitId, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is more to say than that the object got a node.
fn is_urgent(said: &[Said], held: &Held) -> bool {
    let is_news = |reason: &str| reason != Reason::Assigned.as_str();
    let was_said = held.conditions.iter().filter(|condition| Reason::is_ours(&condition.reason));
    said.iter().any(|said| said.reason != Reason::Assigned) || was_said.into_iter().any(|was| is_news(&was.reason))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{
        place::place,
        read::{self, Says},
        sight::Part,
    };
    use abide_reconcile::{Kind, Time};
    use serde_json::Value;

    fn held(version: u32, ready: &Value) -> Held {
        let object = json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": version.to_string(), "generation": 1,
            },
            "spec": {"node": "n1"},
            "status": {"conditions": [ready]},
        });
        Held::read(Kind::Container, serde_json::from_value(object).unwrap()).unwrap()
    }

    fn ready(status: &str, reason: &str, message: &str) -> Value {
        json!({
            "type": "Ready", "status": status, "reason": reason, "message": message, "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    }

    #[test]
    fn an_agent_that_lives_and_is_not_heard_is_not_contradicted_at_once() {
        let now = Time::from_secs(1000);
        let mut sight = Sight::new(Duration::from_secs(300));
        for part in Part::ALL {
            match part {
                Part::Objects(kind) => sight.all_objects(kind, Vec::new()),
                Part::Nodes => sight.all_nodes(Vec::new(), now),
                Part::Leases => sight.all_beats(Vec::new(), now),
            }
        }
        let beat = read::tests::beat_of("1");
        sight.beat("n1".to_owned(), Says::default(), beat, now);
        sight.object(held(1, &ready("True", "Serving", "serves")));
        let statuses = Statuses::default();
        let show = |sight: &mut Sight, now| {
            let (objects, nodes) = (sight.objects(), sight.nodes(now));
            statuses.show(sight, &nodes, &place(&objects, &nodes));
            statuses
                .due()
                .into_values()
                .flat_map(|wanted| wanted.conditions)
                .map(|said| said.reason)
                .collect::<Vec<_>>()
        };
        assert!(show(&mut sight, now).is_empty());
        let later = now + Duration::from_secs(60);
        assert_eq!(show(&mut sight, later), ["NodeSilent"]);
        let silent = "node n1 says nothing; what ran there may run on";
        sight.object(held(2, &ready("Unknown", "NodeSilent", silent)));
        assert!(show(&mut sight, later).is_empty(), "it is said");
        sight.object(held(3, &ready("True", "Serving", "serves")));
        assert!(show(&mut sight, later).is_empty(), "not again before a while");
        let outstanding = statuses.lock().values().map(|wanted| wanted.not_before).min();
        assert!(outstanding.is_some_and(|at| at > Instant::now() + SILENCE / 2), "but then");
    }
}
