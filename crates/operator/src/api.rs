//! The API server's ways, as the agent of a node and the controller both have to know them.

use crate::crd::resource;
use abide_spec::{Kind, Name, Scope, UnitId};
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, Error, core::DynamicObject, runtime::watcher};
use tokio::time::{Instant, sleep_until};

/// What the API server takes as an Event's note, in bytes.
const NOTE_MAX: usize = 1000;

/// Where objects of a unit's kind and namespace are.
pub(crate) fn objects(client: &Client, unit: &UnitId) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), unit.scope.as_str(), &resource(unit.kind))
}

/// The unit that an object is; `None` for one whose name can't be a unit's: our definitions take none.
pub(crate) fn unit(kind: Kind, metadata: &ObjectMeta) -> Option<UnitId> {
    let scope = Scope::new(metadata.namespace.as_deref()?).ok()?;
    let name = Name::new(metadata.name.as_deref()?).ok()?;
    Some(UnitId { scope, kind, name, index: 0 })
}

/// Whether a version of an object comes after another one of it: they are numbers that grow.
pub(crate) fn is_later(version: &str, than: &str) -> bool {
    let number = |version: &str| version.parse::<u128>().ok();
    number(version) > number(than)
}

/// What an Event is about.
pub(crate) fn reference(unit: &UnitId, uid: &str) -> ObjectReference {
    let kind = resource(unit.kind);
    ObjectReference {
        api_version: Some(kind.api_version),
        kind: Some(kind.kind),
        namespace: Some(unit.scope.to_string()),
        name: Some(unit.name.to_string()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// As much of a text as an Event's note may have.
pub(crate) fn note(text: &str) -> String {
    text[..text.floor_char_boundary(NOTE_MAX)].to_owned()
}

/// The HTTP status of an error, if the server gave one.
pub(crate) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// The same of a watch's error.
pub(crate) fn watch_status(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => status(error),
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}

/// Waits for that time; for ever if there is none.
pub(crate) async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
