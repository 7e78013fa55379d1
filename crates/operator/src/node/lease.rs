//! The Lease of a node's agent: as long as it is renewed, the agent is there. Who places objects goes by it, and by what it
//! says besides: on a node whose agent takes nothing new, nothing new is put.

use super::{trouble, write};
use crate::api;
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

/// A Lease that was written by somebody else so often in a row is another agent's, too.
const OVERWRITTEN_MAX: u32 = 3;

/// What the Lease says about the agent.
#[derive(Clone, Debug)]
pub struct Liveness {
    /// Who renews it: no other process ever has the same.
    pub holder: String,
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
        let mut watched = Watched::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = state.changed() => {}
            }
            let now = *state.borrow_and_update();
            let failed = self.renew_once(&leases, &node, now, &mut watched).await.err();
            // Said when it changes: an API server that is away for an hour is one line.
            if let Some(words) = failed.as_ref().filter(|words| trouble.as_ref() != Some(*words)) {
                tracing::warn!("{words}");
            }
            trouble = failed;
        }
    }

    async fn renew_once(
        &self,
        leases: &Api<Lease>,
        node: &str,
        state: State,
        watched: &mut Watched,
    ) -> Result<(), String> {
        let name = lease_name(node);
        let parameters = PatchParams::apply(write::MANAGER).force();
        let doing = format!("renewing the Lease {name} in namespace {}", self.namespace);
        let mut is_overwritten = false;
        loop {
            let mut lease = self.lease(&name, state);
            let version = watched.version.take();
            if let Some(version) = &version {
                lease["metadata"]["resourceVersion"] = version.as_str().into();
            }
            let patch = Patch::Apply(lease);
            match timeout(EVERY, leases.patch(&name, &parameters, &patch)).await {
                Ok(Ok(written)) => {
                    let is_shared = watched.renewed(written.metadata.resource_version, is_overwritten);
                    return if is_shared { Err(self.is_shared(&name, node)) } else { Ok(()) };
                }
                Ok(Err(error)) if version.is_some() && api::status(&error) == Some(409) => is_overwritten = true,
                Ok(Err(error)) => return Err(trouble::words(&doing, &error)),
                Err(_) => return Err(format!("{doing}: the API server does not answer")),
            }
        }
    }

    fn is_shared(&self, lease: &str, node: &str) -> String {
        format!(
            "somebody else keeps renewing the Lease {lease} in namespace {}: another agent, as that of a cloned machine, \
             seems to be node {node}, too; what is of this node runs twice then, so give one of the machines another name",
            self.namespace
        )
    }

    fn lease(&self, name: &str, state: State) -> Value {
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
                "holderIdentity": self.holder,
                "leaseDurationSeconds": DURATION_SECONDS,
                "renewTime": MicroTime(Timestamp::now()),
            },
        })
    }
}

/// The Lease, as it is watched for others that renew it.
#[derive(Debug, Default)]
struct Watched {
    /// As it was written last; none where that isn't known.
    version: Option<String>,
    /// So many times in a row somebody else had written it when it was renewed.
    overwritten: u32,
}

impl Watched {
    /// It was renewed. Tells whether it is another agent's, too: a single time may be a person who edited it.
    fn renewed(&mut self, version: Option<String>, is_overwritten: bool) -> bool {
        self.version = version;
        self.overwritten = if is_overwritten { self.overwritten.saturating_add(1) } else { 0 };
        self.overwritten >= OVERWRITTEN_MAX
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
        let (holder, namespace) = ("n1_1".to_owned(), "abide-system".to_owned());
        let liveness = Liveness { holder, namespace, version: "1".to_owned(), has_kvm: false };
        let said = |state| liveness.lease("abide-node-n1", state)["metadata"]["annotations"][STATE].clone();
        assert_eq!(said(None), Value::Null);
        assert_eq!(said(Some(SourceState::Following)), "following");
        assert_eq!(said(Some(SourceState::Held)), "held");
    }

    #[test]
    fn two_agents_of_one_name_are_noticed() {
        let mut watched = Watched::default();
        let mut renew = |is_overwritten: bool| watched.renewed(Some("1".to_owned()), is_overwritten);
        let table = [(false, false), (true, false), (false, false), (true, false), (true, false), (true, true)];
        for (n, (is_overwritten, expected)) in table.into_iter().enumerate() {
            assert_eq!(renew(is_overwritten), expected, "{n}");
        }
    }
}
