//! What the API server's errors mean to who looks after it.

use super::sight::Part;
use crate::api;
use abide_reconcile::{Fault, UnitId};
use kube::{Error, runtime::watcher};

/// Why a part of the cluster can't be watched, and what to do.
pub(super) fn of_watch(part: Part, error: &watcher::Error) -> String {
    let what = match part {
        Part::Objects(kind) => format!("{kind}s"),
        Part::Nodes => "nodes".to_owned(),
        Part::Leases => "the agents' Leases".to_owned(),
    };
    let why = match (api::watch_status(error), part) {
        (Some(404), Part::Objects(_)) => {
            "the cluster doesn't know the kind: `abide schema --crd | kubectl apply --server-side -f -`".to_owned()
        }
        (Some(401 | 403), _) => format!("the controller may not: {}", chain(error)),
        _ => chain(error),
    };
    format!("watching {what}: {why}")
}

/// What a write that failed means to the Reconciler.
pub(super) fn fault(doing: &str, unit: &UnitId, error: &Error) -> Fault {
    let text = format!("{doing} {unit}: ");
    match api::status(error) {
        Some(404) => Fault::Again(format!("{text}it is gone").into()),
        Some(409) => Fault::Again(format!("{text}it was changed meanwhile").into()),
        Some(422) => Fault::Never(format!("{text}{}", chain(error)).into()),
        _ => Fault::Again(format!("{text}{}", chain(error)).into()),
    }
}

/// An error with its causes, each once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<Error>() {
        Some(Error::Api(status)) => return status.message.clone(),
        _ => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
