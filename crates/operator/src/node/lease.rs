//! The Lease of a node's agent: as long as it is renewed, the agent is there. Who places objects goes by it, and by what it
//! says besides: on a node whose agent takes nothing new, nothing new is put.

use super::{trouble, write};
use abide_agent::SourceState;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

/// As the kubelet renews its node's.
const EVERY: Duration = Duration::from_secs(10);
/// After this without a renewal the agent counts as gone, in seconds.
const DURATION_SECONDS: u32 = 40;

/// What the Lease says about the agent.
#[derive(Clone, Debug)]
pub struct Liveness {
    /// The namespace of agents and controller.
    pub namespace: String,
    /// The release of this agent.
    pub version: String,
    /// Whether the node can run virtual machines.
    pub has_kvm: bool,
}

/// What the names of agents' Leases begin with; the node's name follows.
pub(crate) const LEASE_PREFIX: &str = "abide-node-";

/// The annotation that tells how the agent follows the cluster, in one word.
const STATE: &str = "abide.dev/state";

/// How an agent follows its cluster; none as long as it has yet to find out.
pub(super) type State = Option<SourceState>;

/// How the Lease of a node's agent is called.
pub fn lease_name(node: &str) -> String {
    format!("{LEASE_PREFIX}{node}")
}

impl Liveness {
    /// Renews the Lease until it is dropped: now and then, and when the state changes.
    pub(super) async fn renew(self, client: Client, node: String, mut state: watch::Receiver<State>) {
        let leases: Api<Lease> = Api::namespaced(client, &self.namespace);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble: Option<String> = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = state.changed() => {}
            }
            let now = *state.borrow_and_update();
            let failed = self.renew_once(&leases, &node, now).await.err();
            // Said when it changes: an API server that is away for an hour is one line.
            if let Some(words) = failed.as_ref().filter(|words| trouble.as_ref() != Some(*words)) {
                tracing::warn!("{words}");
            }
            trouble = failed;
        }
    }

    async fn renew_once(&self, leases: &Api<Lease>, node: &str, state: State) -> Result<(), String> {
        let name = lease_name(node);
        let parameters = PatchParams::apply(write::MANAGER).force();
        let patch = Patch::Apply(self.lease(&name, node, state));
        let written = leases.patch(&name, &parameters, &patch);
        let doing = format!("renewing the Lease {name} in namespace {}", self.namespace);
        match timeout(EVERY, written).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(trouble::words(&doing, &error)),
            Err(_) => Err(format!("{doing}: the API server does not answer")),
        }
    }

    fn lease(&self, name: &str, node: &str, state: State) -> Value {
        let mut annotations = json!({ "abide.dev/version": self.version });
        if let Some(state) = state {
            annotations[STATE] = word(state).into();
        }
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": name,
                "labels": { "abide.dev/kvm": self.has_kvm.to_string(), "app.kubernetes.io/part-of": "abide" },
                "annotations": annotations,
            },
            "spec": {
                "holderIdentity": node,
                "leaseDurationSeconds": DURATION_SECONDS,
                "renewTime": MicroTime(Timestamp::now()),
            },
        })
    }
}

/// A state as the Lease has it. Only of one that follows, nothing else is to be expected than that it takes what is new.
fn word(state: SourceState) -> &'static str {
    match state {
        SourceState::Following => "following",
        SourceState::Refused => "refused",
        SourceState::Held => "held",
        SourceState::Suspended => "suspended",
        SourceState::Unreachable => "unreachable",
        SourceState::Withdrawn => "withdrawn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_nothing_new_says_so() {
        let liveness = Liveness { namespace: "abide-system".to_owned(), version: "1".to_owned(), has_kvm: false };
        let said = |state| liveness.lease("abide-node-n1", "n1", state)["metadata"]["annotations"][STATE].clone();
        assert_eq!(said(None), Value::Null);
        assert_eq!(said(Some(SourceState::Following)), "following");
        assert_eq!(said(Some(SourceState::Held)), "held");
    }
}
