//! Watches: what the API server says about the node's objects and what they name, as messages.
//!
//! After an error a watch begins anew, with a list: one that goes on from where it was would miss what a restored or
//! emptied etcd has, whose versions begin before those that were heard.

use super::{
    object::{Named, Seen},
    trouble,
};
use crate::{
    api,
    crd::resource,
    documents::{DataName, DataState, Sort},
};
use abide_spec::Kind;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, Resource,
    core::DynamicObject,
    runtime::{
        utils::Backoff as _,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc::Sender},
    time::{Instant, sleep},
};

/// A watch that worked for so long is no reason to wait longer before the next one.
const PROVEN: Duration = Duration::from_secs(5);
/// The longest wait before a watch begins anew: as long may changes go unheard after the API server is back.
const DELAY_MAX: Duration = Duration::from_secs(15);

/// What the follower hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Of a kind's watch.
    Objects(Kind, Objects),
    /// A ConfigMap or Secret.
    Data(DataName, DataState),
    /// A watch is in trouble, or isn't any more. Without words it only begins anew.
    Trouble(Watch, Trouble),
    /// An object that was asked for or written, as it is now.
    Read(Box<Seen>),
    /// An object that was missed, as it is now; none where it is gone.
    Found(abide_spec::UnitId, Option<Box<Seen>>),
}

/// What a kind's watch says.
#[derive(Debug)]
pub(crate) enum Objects {
    /// A list of all there are begins.
    Begin,
    /// One of the list.
    Listed(Box<Seen>),
    /// The list is whole: what isn't in it isn't there.
    Whole,
    /// New or changed.
    Changed(Box<Seen>),
    /// Deleted, or not of this node any more.
    Gone(Box<Seen>),
}

/// Which watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watch {
    Kind(Kind),
    Data(DataName),
}

/// How a watch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Over,
    /// It begins anew, as it does now and then.
    Anew,
    /// In words.
    Words(String),
}

/// What watches are made with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) heard: Sender<Heard>,
    /// Has those that wait before they begin anew do so at once.
    pub(crate) wake: Arc<Notify>,
}

impl Means {
    /// Watches the objects of a kind that are this node's.
    pub(crate) async fn watch_kind(self, kind: Kind) {
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource(kind));
        let fields = format!("spec.node={}", self.node);
        let doing = format!("watching {}s of node {}", kind, self.node);
        let hear = |event| {
            let read = |object| Seen::read(kind, object).map(Box::new);
            let said = match event {
                watcher::Event::Init => Some(Objects::Begin),
                watcher::Event::InitApply(object) => read(object).map(Objects::Listed),
                watcher::Event::InitDone => Some(Objects::Whole),
                watcher::Event::Apply(object) => read(object).map(Objects::Changed),
                watcher::Event::Delete(object) => read(object).map(Objects::Gone),
            };
            said.map(|said| Heard::Objects(kind, said))
        };
        self.watch(api, fields, Watch::Kind(kind), &doing, hear).await;
    }

    /// Watches one ConfigMap or Secret.
    pub(crate) async fn watch_data(self, name: DataName) {
        let (client, namespace) = (self.client.clone(), name.scope.to_string());
        match name.sort {
            Sort::ConfigMap => self.watch_named(Api::<ConfigMap>::namespaced(client, &namespace), name).await,
            Sort::Secret => self.watch_named(Api::<Secret>::namespaced(client, &namespace), name).await,
        }
    }

    async fn watch_named<K>(self, api: Api<K>, name: DataName)
    where
        K: Named + Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let fields = format!("metadata.name={}", name.name);
        let doing = format!("watching {}", name.named());
        let mut listed = None;
        let hear = |event: watcher::Event<K>| {
            let state = match event {
                watcher::Event::Init => {
                    listed = None;
                    return None;
                }
                watcher::Event::InitApply(object) => {
                    listed = Some(object.data());
                    return None;
                }
                watcher::Event::InitDone => listed.take().unwrap_or(DataState::Absent),
                watcher::Event::Apply(object) => object.data(),
                watcher::Event::Delete(_) => DataState::Absent,
            };
            Some(Heard::Data(name.clone(), state))
        };
        self.watch(api, fields, Watch::Data(name.clone()), &doing, hear).await;
    }

    /// Goes on until nobody listens.
    async fn watch<K>(
        &self,
        api: Api<K>,
        fields: String,
        watch: Watch,
        doing: &str,
        mut hear: impl FnMut(watcher::Event<K>) -> Option<Heard>,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let mut delays = watcher::DefaultBackoff::default();
        let mut whole_since: Option<Instant> = None;
        // The list is one that is so now: a stream of it may begin with what an API server that lags behind has.
        let config = watcher::Config::default().fields(&fields);
        loop {
            let mut events = pin!(watcher(api.clone(), config.clone()));
            let error = loop {
                match events.next().await {
                    Some(Ok(event)) => {
                        let is_whole = matches!(event, watcher::Event::InitDone);
                        if let Some(heard) = hear(event)
                            && self.heard.send(heard).await.is_err()
                        {
                            return;
                        }
                        if is_whole {
                            whole_since = Some(Instant::now());
                            if self.say(&watch, Trouble::Over).await.is_err() {
                                return;
                            }
                        }
                    }
                    Some(Err(error)) => break error,
                    None => break watcher::Error::NoResourceVersion,
                }
            };
            let code = api::watch_status(&error);
            if let (Some(403), Watch::Data(name)) = (code, &watch) {
                let forbidden = Heard::Data(name.clone(), DataState::Forbidden);
                if self.heard.send(forbidden).await.is_err() {
                    return;
                }
            }
            if code == Some(410) {
                tracing::info!("{doing}: the API server has forgotten where this was (410); it begins with a list");
            }
            let said = if code == Some(410) { Trouble::Anew } else { Trouble::Words(trouble::of_watch(doing, &error)) };
            if self.say(&watch, said).await.is_err() {
                return;
            }
            if whole_since.take().is_some_and(|since| since.elapsed() > PROVEN) {
                delays.reset();
            }
            let delay = delays.next().unwrap_or(DELAY_MAX).min(DELAY_MAX);
            tokio::select! { () = sleep(delay) => {}, () = self.wake.notified() => {} }
        }
    }

    async fn say(&self, watch: &Watch, trouble: Trouble) -> Result<(), ()> {
        self.heard.send(Heard::Trouble(watch.clone(), trouble)).await.map_err(drop)
    }
}
