//! The backend: what an order about an object's node is, in terms of the API server.
//!
//! | step | what is written |
//! |---|---|
//! | start | `spec.node`, the annotation with the order's number, and the finalizer of that node's agent: a write less for each object |
//! | stop, its node answers | no `spec.node`; the step is over when that node's agent has removed the finalizer |
//! | stop, its node is gone | no `spec.node`, and no finalizer of ours: nobody there will remove it |
//! | stop, the object is being deleted and its node is gone, or it has none | no finalizer of ours |
//!
//! Nothing is written but by who leads, and nothing to an object that changed since it was looked at: each write names the
//! version that it changes.

use super::{
    cluster::{Agent, Seat},
    lease::Leadership,
    place::Place,
    read::{self, ASSIGNMENT, FORCE_RELEASE, Held, LEAVING},
    shared::Shared,
    status::{MANAGER, REQUEST_MAX},
    wish::want,
    words,
};
use crate::{
    api,
    node::{FINALIZER, lease_name},
};
use abide_reconcile::{
    Attend, Backend, Fault, Found, InstanceId, Kind, Look, Order, Owner, Phase, Role, Seen, SourceId, Step, Time,
    UnitId,
};
use abide_spec::unit::UnitSpec;
use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{runtime::Handle, time::timeout};

/// How long a look waits for the cluster to have been seen whole, as after the start.
const WHOLE: Duration = Duration::from_secs(10);

/// Writes which node an object is on.
pub(super) struct Assigner {
    /// Of which kind.
    pub(super) kind: Kind,
    pub(super) client: Client,
    pub(super) runtime: Handle,
    /// Of the agents' Leases.
    pub(super) namespace: String,
    pub(super) leadership: Leadership,
    pub(super) shared: Arc<Shared>,
    /// Whose wishes these are.
    pub(super) source: SourceId,
}

impl Backend for Assigner {
    fn observe(&self, look: &Look) -> Result<BTreeMap<UnitId, Found>, Fault> {
        let now = self.shared.now();
        let sight =
            self.shared.whole(WHOLE).ok_or_else(|| Fault::Again("the cluster was not seen whole yet".into()))?;
        let nobody = "none".to_owned();
        let found = |held: &Held| {
            let id = &held.object.id;
            let (node, want, instance, role) = match &held.object.seat {
                Seat::Placed(node, instance) => (node, want(id, node), *instance, Role::Active),
                // Should it go back there, it has to leave first.
                Seat::Leaving(node, instance) if held.object.is_kept => {
                    (node, want(id, &format!("{node}, until that has cleared it away")), *instance, Role::Retiring)
                }
                Seat::Pinned(node) if sight.is_released(&held.object) => {
                    (node, want(id, node), InstanceId::default(), Role::Active)
                }
                Seat::Free if sight.is_released(&held.object) => {
                    (&nobody, want(id, &nobody), InstanceId::default(), Role::Active)
                }
                _ => return None,
            };
            let phase = match sight.agent(node, now) {
                (Agent::Well, _) => Phase::Running { started: Time::ZERO, ready: Some(Time::ZERO), failing: false },
                (_, since) => Phase::Away { since },
            };
            let want = Arc::new(want);
            let owner = Owner { source: self.source.clone(), reclaim: Default::default() };
            let instances = vec![Arc::new(Seen { instance, role, phase, want, attempt: 0 })];
            Some((id.clone(), Found { instances, owner: Some(owner), stamp: 0 }))
        };
        Ok(match look {
            Look::All => sight.all_held().filter(|held| held.object.id.kind == self.kind).filter_map(found).collect(),
            Look::Units(units) => units.iter().filter_map(|unit| found(sight.held(unit)?)).collect(),
        })
    }

    fn run(&self, order: &Order, _attend: &dyn Attend) -> Result<(), Fault> {
        match &order.step {
            Step::Start { want, .. } => match &want.unit.spec {
                UnitSpec::Assignment(assignment) => self.assign(&order.unit, &assignment.to, order.ticket),
                _ => Err(Fault::Never("the controller chooses nodes; it runs nothing itself".into())),
            },
            Step::Stop { instance } => self.release(&order.unit, *instance),
            Step::Prepare { .. } | Step::Mark(_) | Step::Adopt(_) | Step::Forget { .. } | Step::Fence => Ok(()),
            Step::Activate { .. } | Step::Update { .. } | Step::Kill { .. } => {
                Err(Fault::Never("an object has a node or hasn't; there is nothing between".into()))
            }
        }
    }
}

impl Assigner {
    fn assign(&self, unit: &UnitId, node: &str, order: InstanceId) -> Result<(), Fault> {
        let held = self.held(unit)?;
        let is_free = match &held.object.seat {
            Seat::Free => true,
            Seat::Leaving(..) => !held.object.is_kept,
            Seat::Pinned(_) | Seat::Placed(..) => false,
        };
        if !is_free || held.object.is_terminating {
            return Err(Fault::Again("it was changed meanwhile".into()));
        }
        let annotations = json!({ASSIGNMENT: format!("{order} {node}"), LEAVING: null, FORCE_RELEASE: null});
        let mut finalizers = held.finalizers.clone();
        if !held.object.is_kept {
            finalizers.push(FINALIZER.to_owned());
        }
        let metadata = json!({"annotations": annotations, "finalizers": finalizers});
        self.write(&held, json!({"metadata": metadata, "spec": {"node": node}}))
    }

    fn release(&self, unit: &UnitId, instance: InstanceId) -> Result<(), Fault> {
        let held = self.held(unit)?;
        // An order may be older than what is known by now.
        let stays = |place: &Place| match (&held.object.seat, place) {
            (Seat::Placed(node, _), Place::On(on) | Place::Stays(on, _)) => node == on,
            _ => false,
        };
        if self.shared.sight().places.get(unit).is_some_and(stays) {
            return Err(Fault::Again("it is to stay where it is".into()));
        }
        let (node, is_there) = match &held.object.seat {
            Seat::Placed(node, seated) if *seated == instance => (node, true),
            Seat::Leaving(node, seated) if *seated == instance => (node, false),
            Seat::Pinned(node) if instance == InstanceId::default() => (node, true),
            Seat::Free if instance == InstanceId::default() && held.object.is_terminating => {
                return self.release_nowhere(&held);
            }
            _ => return Ok(()),
        };
        if self.answers(node)? {
            return if is_there { self.take(&held, node) } else { Err(yet_to_clear(node)) };
        }
        let finalizers = held.others_finalizers();
        let patch = if held.object.is_terminating {
            json!({"metadata": {"finalizers": finalizers}})
        } else {
            let annotations = json!({ASSIGNMENT: null, LEAVING: null, FORCE_RELEASE: null});
            json!({"metadata": {"finalizers": finalizers, "annotations": annotations}, "spec": {"node": null}})
        };
        tracing::warn!(unit = %unit, node, "node is gone: what it had of this is nobody's any more");
        self.write(&held, patch)
    }

    /// Lets go of an object that is being deleted and has no node, unless who had it last answers and nobody gave it up.
    fn release_nowhere(&self, held: &Held) -> Result<(), Fault> {
        if let Some(node) = held.object.reported.as_deref().filter(|_| !held.object.is_forced)
            && self.answers(node)?
        {
            return Err(yet_to_clear(node));
        }
        tracing::warn!(unit = %held.object.id, "it has no node: nobody is left to clear it away");
        self.write(held, json!({"metadata": {"finalizers": held.others_finalizers()}}))
    }

    /// Takes an object from a node that answers: its agent clears away.
    fn take(&self, held: &Held, node: &str) -> Result<(), Fault> {
        if held.object.is_terminating {
            return Err(yet_to_clear(node));
        }
        // By the node's name its agent may still write to it.
        self.write(held, json!({"metadata": {"annotations": {LEAVING: node}}, "spec": {"node": null}}))?;
        if held.object.is_kept { Err(yet_to_clear(node)) } else { Ok(()) }
    }

    /// Whether a node's agent answers. Before a silent one is taken for gone, its Lease is asked for: a watch may be late.
    fn answers(&self, node: &str) -> Result<bool, Fault> {
        if self.shared.sight().agent(node, self.shared.now()).0 == Agent::Well {
            return Ok(true);
        }
        let api = Api::<Lease>::namespaced(self.client.clone(), &self.namespace);
        let name = lease_name(node);
        let asked = self.runtime.block_on(timeout(REQUEST_MAX, api.get_opt(&name)));
        let lease = asked.map_err(|_| Fault::Again(format!("asking for Lease {name}: no answer").into()))?;
        let lease =
            lease.map_err(|error| Fault::Again(format!("asking for Lease {name}: {}", words::chain(&error)).into()))?;
        let Some((_, says, beat)) = lease.and_then(|lease| read::beat(lease, Timestamp::now())) else {
            return Ok(false);
        };
        let now = self.shared.now();
        Ok(self.shared.note(|sight| sight.beat(node.to_owned(), says, beat, now)))
    }

    fn held(&self, unit: &UnitId) -> Result<Held, Fault> {
        self.shared.sight().held(unit).cloned().ok_or_else(|| Fault::Again("it is gone".into()))
    }

    /// Changes an object, unless it was changed by anybody else, or another controller leads.
    fn write(&self, held: &Held, mut patch: Value) -> Result<(), Fault> {
        let id = &held.object.id;
        patch["metadata"]["resourceVersion"] = held.version.clone().into();
        let api = api::objects(&self.client, id);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        if !self.leadership.is_held() {
            return Err(Fault::Again("another controller leads".into()));
        }
        let patch = Patch::Merge(&patch);
        let written = self.runtime.block_on(timeout(REQUEST_MAX, api.patch(id.name.as_str(), &params, &patch)));
        let written = written.map_err(|_| Fault::Again("the API server doesn't answer".into()))?;
        let written = written.map_err(|error| words::fault("writing the node of", id, &error))?;
        if let Some(held) = Held::read(id.kind, written) {
            self.shared.note(|sight| sight.object(held));
        }
        Ok(())
    }
}

fn yet_to_clear(node: &str) -> Fault {
    Fault::Again(format!("node {node} has yet to clear it away").into())
}
