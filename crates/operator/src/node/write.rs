//! What is written to objects besides their status, and asked about single ones: each until it succeeds or makes no sense
//! any more. This is delivery: nothing is decided here.

use super::{
    FINALIZER,
    object::{Seen, named},
    trouble,
    watch::{Heard, Means},
};
use crate::{api, documents::Life};
use abide_spec::UnitId;
use kube::{
    api::{Patch, PatchParams},
    runtime::watcher::DefaultBackoff,
};
use serde_json::json;
use std::time::Duration;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

/// More than an API server that works takes for an object.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Who writes.
pub(crate) const MANAGER: &str = "abide-agent";

/// An object as it is now, wherever it is to be; none if it is gone.
pub(crate) async fn find(means: &Means, requests: &Semaphore, unit: &UnitId) -> Option<Seen> {
    let mut delays = DefaultBackoff::default();
    loop {
        let asked = {
            let _permit = requests.acquire().await;
            timeout(PATIENCE, api::objects(&means.client, unit).get_opt(unit.name.as_str())).await
        };
        match asked {
            Ok(Ok(found)) => return found.and_then(|found| Seen::read(unit.kind, found)),
            Ok(Err(error)) => {
                let words = trouble::words(&format!("asking for {}", named(unit)), &error);
                tracing::warn!("{words}");
            }
            Err(_) => tracing::warn!(%unit, "the API server does not answer"),
        }
        sleep(delays.next().unwrap_or(PATIENCE)).await;
    }
}

/// Sets our finalizer, if the object still lacks it and is this node's.
pub(crate) async fn finalize(means: &Means, requests: &Semaphore, seen: &Seen) {
    let mut seen = Some(seen.clone());
    let mut delays = DefaultBackoff::default();
    let is_ours = |seen: &Seen| !seen.object.meta.has_finalizer && seen.node.as_deref() == Some(&means.node);
    while let Some(present) = seen.take_if(|seen| is_ours(seen) && seen.object.meta.life == Life::Living) {
        let mut finalizers = present.finalizers.clone();
        finalizers.push(FINALIZER.to_owned());
        let written = {
            let _permit = requests.acquire().await;
            set_finalizers(means, &present, &finalizers).await
        };
        let Err(error) = written else { return };
        if !is_settled(&error) {
            tracing::warn!("{}", trouble::words(&format!("setting the finalizer of {}", named(present.id())), &error));
            sleep(delays.next().unwrap_or(PATIENCE)).await;
        }
        // Somebody else wrote it: that is how it is.
        seen = find(means, requests, present.id()).await;
    }
}

/// Writes an object's finalizers, if it is still as it was seen.
pub(crate) async fn set_finalizers(means: &Means, seen: &Seen, finalizers: &[String]) -> Result<(), kube::Error> {
    let metadata = json!({
        "uid": seen.object.meta.uid, "resourceVersion": seen.resource_version, "finalizers": finalizers,
    });
    let unit = seen.id();
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    let api = api::objects(&means.client, unit);
    let Ok(written) = timeout(PATIENCE, api.patch(unit.name.as_str(), &parameters, &patch)).await else {
        return Err(kube::Error::Service("it does not answer".into()));
    };
    if let Some(seen) = Seen::read(unit.kind, written?) {
        drop(means.heard.send(Heard::Read(Box::new(seen))).await);
    }
    Ok(())
}

/// Whether it makes no sense to try again: the object is gone, or another one, or has changed.
pub(crate) fn is_settled(error: &kube::Error) -> bool {
    matches!(api::status(error), Some(404 | 409))
}
