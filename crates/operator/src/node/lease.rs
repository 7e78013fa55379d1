//! The Lease of a node's agent: as long as it is renewed, the agent is there. Who places objects goes by it.

use super::{trouble, write};
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// As the kubelet renews its node's.
const EVERY: Duration = Duration::from_secs(10);
/// After this without a renewal the agent counts as gone, in seconds.
const DURATION_SECONDS: u32 = 40;

/// What the Lease says about the agent.
#[derive(Clone, Debug)]
pub struct Liveness {
    /// The node, as the cluster calls it.
    pub node: String,
    /// The namespace of agents and controller.
    pub namespace: String,
    /// The release of this agent.
    pub version: String,
    /// Whether the node can run virtual machines.
    pub has_kvm: bool,
}

/// What the names of agents' Leases begin with; the node's name follows.
pub(crate) const LEASE_PREFIX: &str = "abide-node-";

/// How the Lease of a node's agent is called.
pub fn lease_name(node: &str) -> String {
    format!("{LEASE_PREFIX}{node}")
}

impl Liveness {
    /// Renews the Lease until it is dropped.
    pub async fn renew(self, client: Client) {
        let leases: Api<Lease> = Api::namespaced(client, &self.namespace);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble: Option<String> = None;
        loop {
            ticks.tick().await;
            let failed = self.renew_once(&leases).await.err();
            // Said when it changes: an API server that is away for an hour is one line.
            if let Some(words) = failed.as_ref().filter(|words| trouble.as_ref() != Some(*words)) {
                tracing::warn!("{words}");
            }
            trouble = failed;
        }
    }

    async fn renew_once(&self, leases: &Api<Lease>) -> Result<(), String> {
        let name = lease_name(&self.node);
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": name,
                "labels": { "abide.dev/kvm": self.has_kvm.to_string(), "app.kubernetes.io/part-of": "abide" },
                "annotations": { "abide.dev/version": self.version },
            },
            "spec": {
                "holderIdentity": self.node,
                "leaseDurationSeconds": DURATION_SECONDS,
                "renewTime": MicroTime(Timestamp::now()),
            },
        });
        let parameters = PatchParams::apply(write::MANAGER).force();
        let patch = Patch::Apply(lease);
        let written = leases.patch(&name, &parameters, &patch);
        let doing = format!("renewing the Lease {name} in namespace {}", self.namespace);
        match timeout(EVERY, written).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(trouble::words(&doing, &error)),
            Err(_) => Err(format!("{doing}: the API server does not answer")),
        }
    }
}
