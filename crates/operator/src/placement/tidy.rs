//! What has done its work is cleared away: a person's word to give up, when the node is back, and Leases of nodes that are gone.
//!
//! Nothing waits for this, so it is looked at now and then. What can't be done now is found again the next time.

use super::{
    cluster::Agent,
    lease::Leadership,
    read::FORCE_RELEASE,
    shared::Shared,
    sight::Sight,
    status::{MANAGER, REQUEST_MAX},
    words,
};
use crate::{api, node::lease_name};
use abide_reconcile::{Time, UnitId};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(20);

/// What there is to clear away.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Litter {
    /// The word that gives an object up: its node answers. The version is that of the object.
    Force(UnitId, String),
    /// The Lease of a node that is no more.
    Lease(String),
}

/// Clears away.
pub(super) struct Tidy {
    pub(super) client: Client,
    /// Where the agents' Leases are.
    pub(super) namespace: String,
    pub(super) leadership: Leadership,
    pub(super) shared: Arc<Shared>,
}

/// Since when words that give an object up are known.
#[derive(Debug, Default)]
struct Forces(BTreeMap<UnitId, Time>);

impl Forces {
    /// What may go now.
    fn litter(&mut self, sight: &Sight, now: Time) -> Vec<Litter> {
        self.0.retain(|id, _| sight.held(id).is_some_and(|held| held.object.is_forced));
        let mut litter = Vec::new();
        for held in sight.all_held().filter(|held| held.object.is_forced) {
            let id = &held.object.id;
            let known = *self.0.entry(id.clone()).or_insert(now);
            let Some(node) = held.object.node() else { continue };
            // It may be said in the seconds before anybody knows that the node is silent: only what is heard later tells
            // that it is not.
            if matches!(sight.agent(node, now), (Agent::Well, since) if since > known) {
                litter.push(Litter::Force(id.clone(), held.version.clone()));
            }
        }
        litter.extend(sight.dead_leases(now).into_iter().map(Litter::Lease));
        litter
    }
}

impl Tidy {
    /// Clears away until it is aborted.
    pub(super) async fn run(self) {
        let mut forces = Forces::default();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let litter = {
                let sight = self.shared.sight();
                if sight.is_whole() { forces.litter(&sight, self.shared.now()) } else { Vec::new() }
            };
            for litter in litter {
                if self.leadership.is_held()
                    && let Err(error) = self.clear(&litter).await
                {
                    tracing::warn!(?litter, error, "could not clear away");
                }
            }
        }
    }

    async fn clear(&self, litter: &Litter) -> Result<(), String> {
        let cleared = async {
            match litter {
                Litter::Force(id, version) => {
                    let metadata = json!({"resourceVersion": version, "annotations": {FORCE_RELEASE: null}});
                    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
                    let patch = Patch::Merge(json!({ "metadata": metadata }));
                    api::objects(&self.client, id).patch(id.name.as_str(), &params, &patch).await.map(drop)
                }
                Litter::Lease(node) => {
                    let leases = Api::<Lease>::namespaced(self.client.clone(), &self.namespace);
                    leases.delete(&lease_name(node), &DeleteParams::default()).await.map(drop)
                }
            }
        };
        match timeout(REQUEST_MAX, cleared).await {
            // Somebody else did, or changed it.
            Ok(Err(error)) if matches!(api::status(&error), Some(404 | 409)) => Ok(()),
            Ok(done) => done.map_err(|error| words::chain(&error)),
            Err(_) => Err("the API server doesn't answer".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::read::{Held, Registered, Says, tests::beat_of};
    use abide_reconcile::Kind;

    fn forced(node: &str) -> Held {
        let object = json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "annotations": {FORCE_RELEASE: "yes"},
            },
            "spec": {"node": node},
        });
        Held::read(Kind::Container, serde_json::from_value(object).unwrap()).unwrap()
    }

    const fn at(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn giving_up_is_over_when_the_node_is_heard_again() {
        let mut sight = Sight::new(Duration::from_secs(300));
        let mut forces = Forces::default();
        let beat = |sight: &mut Sight, beat, now| sight.beat("n1".to_owned(), Says::default(), beat_of(beat), at(now));
        beat(&mut sight, "1", 1000);
        sight.object(forced("n1"));
        assert_eq!(forces.litter(&sight, at(1010)), [], "it may have died in this very second");
        assert_eq!(forces.litter(&sight, at(1060)), [], "it is silent");
        beat(&mut sight, "2", 1100);
        let [Litter::Force(id, version)] = &forces.litter(&sight, at(1101))[..] else { panic!("it is back") };
        assert_eq!((id.to_string().as_str(), version.as_str()), ("shop:Container/web", "7"));
    }

    #[test]
    fn the_lease_of_a_node_that_is_no_more_goes() {
        let mut sight = Sight::new(Duration::from_secs(300));
        let mut forces = Forces::default();
        for node in ["gone", "registered", "named"] {
            sight.beat(node.to_owned(), Says::default(), beat_of("1"), at(1000));
        }
        sight.node("registered".to_owned(), Registered::default());
        sight.object(forced("named"));
        assert_eq!(forces.litter(&sight, at(1299)), [], "an agent may be away for a while");
        assert_eq!(forces.litter(&sight, at(1300)), [Litter::Lease("gone".to_owned())]);
    }
}
