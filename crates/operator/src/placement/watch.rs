//! Watches: what the API server says about the cluster, noted.
//!
//! After an error a watch begins anew, with a list: one that goes on from where it was would miss what a restored or
//! emptied etcd has, whose versions begin before those that were heard.

use super::{
    read::{self, Held},
    shared::Shared,
    sight::{Part, Sight},
    words,
};
use crate::{api, crd};
use abide_reconcile::{Time, UnitId};
use futures_util::StreamExt as _;
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Node},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    core::DynamicObject,
    runtime::watcher::{self, DefaultBackoff, Event, watcher},
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, pin::pin, sync::Arc};
use tokio::time::sleep;

/// Watches a part of the cluster until it is aborted. Agents' Leases are in `namespace`.
pub(super) async fn watch(part: Part, client: Client, namespace: String, shared: Arc<Shared>) {
    match part {
        Part::Objects(kind) => {
            let api = Api::<DynamicObject>::all_with(client, &crd::resource(kind));
            let noting = Noting {
                read: move |object| Held::read(kind, object),
                all: move |sight: &mut Sight, listed, _| sight.all_objects(kind, listed),
                one: |sight: &mut Sight, held, _| sight.object(held),
                gone: |sight: &mut Sight, held: Held, _| sight.no_object(&held),
                unit: |held: &Held| Some(held.object.id.clone()),
            };
            noting.follow(part, api, &shared).await;
        }
        Part::Nodes => {
            let noting = Noting {
                read: read::node,
                all: |sight: &mut Sight, listed, now| sight.all_nodes(listed, now),
                one: |sight: &mut Sight, (name, registered), _| sight.node(name, registered),
                gone: |sight: &mut Sight, (name, _): (String, _), _| sight.no_node(&name),
                unit: |_: &_| None,
            };
            noting.follow(part, Api::<Node>::all(client), &shared).await;
        }
        Part::Leases => {
            let noting = Noting {
                read: |lease| read::beat(lease, Timestamp::now()),
                all: |sight: &mut Sight, listed, now| sight.all_beats(listed, now),
                one: |sight: &mut Sight, (name, says, beat), now| {
                    sight.beat(name, says, beat, now);
                },
                gone: |sight: &mut Sight, (name, ..): (String, _, _), now| sight.no_beat(&name, now),
                unit: |_: &_| None,
            };
            noting.follow(part, Api::<Lease>::namespaced(client, &namespace), &shared).await;
        }
    }
}

/// How what is watched is noted.
struct Noting<Read, All, One, Gone, Unit> {
    read: Read,
    all: All,
    one: One,
    gone: Gone,
    /// Which unit it is about.
    unit: Unit,
}

impl<Read, All, One, Gone, Unit> Noting<Read, All, One, Gone, Unit> {
    async fn follow<K, R>(self, part: Part, api: Api<K>, shared: &Shared)
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        Read: Fn(K) -> Option<R>,
        All: Fn(&mut Sight, Vec<R>, Time),
        One: Fn(&mut Sight, R, Time),
        Gone: Fn(&mut Sight, R, Time),
        Unit: Fn(&R) -> Option<UnitId>,
    {
        let mut delays = DefaultBackoff::default();
        // The list is one that is so now: a stream of it may begin with what an API server that lags behind has.
        let config = watcher::Config::default();
        loop {
            let mut events = pin!(watcher(api.clone(), config.clone()));
            let mut listed = Vec::new();
            let error = loop {
                let now = shared.now();
                let (unit, read) = match events.next().await {
                    Some(Ok(Event::Init)) => {
                        listed.clear();
                        continue;
                    }
                    Some(Ok(Event::InitApply(object))) => {
                        listed.extend((self.read)(object));
                        continue;
                    }
                    Some(Ok(Event::InitDone)) => {
                        let listed = std::mem::take(&mut listed);
                        let units: Vec<UnitId> = listed.iter().filter_map(&self.unit).collect();
                        shared.note(|sight| (self.all)(sight, listed, now));
                        shared.hint(units);
                        delays = DefaultBackoff::default();
                        continue;
                    }
                    Some(Ok(Event::Apply(object))) => (false, (self.read)(object)),
                    Some(Ok(Event::Delete(object))) => (true, (self.read)(object)),
                    Some(Err(error)) => break error,
                    None => break watcher::Error::NoResourceVersion,
                };
                let (is_gone, Some(read)) = (unit, read) else { continue };
                let unit = (self.unit)(&read);
                if is_gone {
                    shared.note(|sight| (self.gone)(sight, read, now));
                } else {
                    shared.note(|sight| (self.one)(sight, read, now));
                }
                shared.hint(unit);
            };
            let code = api::watch_status(&error);
            if code == Some(410) {
                tracing::info!(?part, "the API server has forgotten where a watch was (410); it begins with a list");
            } else {
                shared.note(|sight| sight.lost_sight(part, words::of_watch(part, &error), shared.now()));
            }
            sleep(DefaultBackoff::next(&mut delays).unwrap_or_default()).await;
        }
    }
}
