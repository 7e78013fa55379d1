//! What the controller says in an object's status: whether it has a node, and what is to be thought of that node.
//!
//! | an object | `Scheduled` | `Ready` |
//! |---|---|---|
//! | has a node that was chosen here | True, `Assigned` | its agent's |
//! | on a node that says nothing | the same | Unknown, `NodeSilent` |
//! | stays on a node that is gone | True, `NodeLost`: why | Unknown, `NodeLost`: why |
//! | has no node | False, `Unschedulable` or `NoNode`: why | False, the same |
//! | was put somewhere by a person | nothing | its agent's; False, `NoAgent` where none was ever heard of |
//! | on a node whose agent may be there or not | the same as if it were | as it was |
//! | is being deleted, or on its way to a node | as it was | as it was |
//!
//! `Ready` is an agent's to say. The controller says it where no agent can, and never takes it back: it is there until the
//! agent writes its own, or whoever reads conditions would take the object for one that is as it should be.

use super::{
    cluster::{Agent, Nodes, Object, Seat},
    place::Place,
    why::Why,
};
use crate::crd::{Condition, ConditionStatus};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

const SCHEDULED: &str = "Scheduled";
const READY: &str = "Ready";

/// Why something is so, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A node was chosen.
    Assigned,
    /// No node will do.
    Unschedulable,
    /// Nobody asks for a node.
    NoNode,
    /// The node that a person wrote has no agent.
    NoAgent,
    /// The node's agent does not renew its Lease.
    NodeSilent,
    /// The node is gone.
    NodeLost,
}

/// What is to be said.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    kind: &'static str,
    status: ConditionStatus,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub message: String,
}

impl Reason {
    const ALL: [Self; 6] =
        [Self::Assigned, Self::Unschedulable, Self::NoNode, Self::NoAgent, Self::NodeSilent, Self::NodeLost];

    /// Whether a condition's reason is one of the controller's.
    pub(super) fn is_ours(reason: &str) -> bool {
        Self::ALL.into_iter().any(|ours| ours.as_str() == reason)
    }

    /// As conditions and Events have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "Assigned",
            Self::Unschedulable => "Unschedulable",
            Self::NoNode => "NoNode",
            Self::NoAgent => "NoAgent",
            Self::NodeSilent => "NodeSilent",
            Self::NodeLost => "NodeLost",
        }
    }
}

/// What is to be said of an object; none where what was said stays.
pub fn said(object: &Object, nodes: &Nodes, place: &Place) -> Option<Vec<Said>> {
    let scheduled =
        |status, reason, message: &str| Said { kind: SCHEDULED, status, reason, message: message.to_owned() };
    let ready = |status, reason, message: &str| Said { kind: READY, status, reason, message: message.to_owned() };
    use ConditionStatus::{False, True, Unknown};
    if object.is_terminating {
        return None;
    }
    if let Place::Nowhere(why) = place {
        let reason = if *why == Why::NotAsked { Reason::NoNode } else { Reason::Unschedulable };
        let why = why.to_string();
        return Some(vec![scheduled(False, reason, &why), ready(False, reason, &why)]);
    }
    let agent = |node: &str| nodes.get(node).map(|node| node.agent).unwrap_or_default();
    let silent = |node: &str| format!("node {node} says nothing; what ran there may run on");
    match (&object.seat, place) {
        (Seat::Free | Seat::Leaving(..), _) => None,
        (Seat::Pinned(node), _) => Some(match agent(node) {
            Agent::Well | Agent::Unheard => Vec::new(),
            _ if !nodes.get(node).is_some_and(|node| node.was_heard) => {
                vec![ready(False, Reason::NoAgent, &format!("node {node} has no agent of abide that was heard of"))]
            }
            Agent::Absent | Agent::Silent | Agent::Lost => vec![ready(Unknown, Reason::NodeSilent, &silent(node))],
        }),
        (Seat::Placed(..), Place::Stays(_, why)) => {
            let why = why.to_string();
            Some(vec![scheduled(True, Reason::NodeLost, &why), ready(Unknown, Reason::NodeLost, &why)])
        }
        (Seat::Placed(node, _), _) => {
            let mut said = vec![scheduled(True, Reason::Assigned, &format!("on node {node}"))];
            if !matches!(agent(node), Agent::Well | Agent::Unheard) {
                said.push(ready(Unknown, Reason::NodeSilent, &silent(node)));
            }
            Some(said)
        }
    }
}

/// The conditions that have to be written so that all of this is said, and no more; none if it is so.
pub fn differing(said: &[Said], present: &[Condition], generation: i64, now: Timestamp) -> Option<Vec<Condition>> {
    let find = |kind: &str| present.iter().find(|condition| condition.kind == kind);
    let is_ours = |condition: &&Condition| condition.kind == SCHEDULED || Reason::is_ours(&condition.reason);
    let is_said = |condition: &Condition| said.iter().any(|said| said.kind == condition.kind);
    let is_kept = |condition: &&Condition| condition.kind == READY && is_ours(condition) && !is_said(condition);
    let is_left = present.iter().filter(is_ours).any(|condition| !is_said(condition) && !is_kept(&condition));
    let is_new = |said: &Said| {
        find(said.kind).is_none_or(|condition| {
            condition.status != said.status
                || condition.reason != said.reason.as_str()
                || condition.message != said.message
                || condition.observed_generation != Some(generation)
        })
    };
    if !is_left && !said.iter().any(is_new) {
        return None;
    }
    let condition = |said: &Said| {
        let before = find(said.kind).filter(|condition| condition.status == said.status);
        Condition {
            kind: said.kind.to_owned(),
            status: said.status,
            reason: said.reason.as_str().to_owned(),
            message: said.message.clone(),
            last_transition_time: before.map_or(Time(now), |condition| condition.last_transition_time.clone()),
            // Who waits for a condition takes it for old without this.
            observed_generation: Some(generation),
        }
    };
    // What isn't written again is taken away.
    let kept = present.iter().filter(is_kept).cloned();
    Some(said.iter().map(condition).chain(kept).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::cluster::Node;
    use abide_reconcile::{InstanceId, Kind, Name, UnitId};
    use std::collections::BTreeSet;

    fn object(seat: Seat) -> Object {
        let name = |text| Name::new(text).unwrap();
        Object {
            id: UnitId { scope: name("shop"), kind: Kind::Container, name: name("web"), index: 0 },
            created: String::new(),
            seat,
            promised: None,
            selector: None,
            needs: BTreeSet::new(),
            is_terminating: false,
            is_kept: false,
            is_forced: false,
            reported: None,
        }
    }

    fn lines(seat: Seat, agent: Agent, place: &Place) -> Vec<String> {
        told(seat, Node { agent, was_heard: agent != Agent::Absent, ..Node::default() }, place)
    }

    fn told(seat: Seat, node: Node, place: &Place) -> Vec<String> {
        let nodes = Nodes::from([("n1".to_owned(), node)]);
        let said = said(&object(seat), &nodes, place);
        let line = |said: &Said| format!("{} {:?} {}: {}", said.kind, said.status, said.reason.as_str(), said.message);
        said.map_or_else(|| vec!["as it was".to_owned()], |said| said.iter().map(line).collect())
    }

    #[test]
    fn what_is_said() {
        let placed = || Seat::Placed("n1".to_owned(), InstanceId::default());
        let pinned = || Seat::Pinned("n1".to_owned());
        let on = || Place::On("n1".to_owned());
        let stays = Place::Stays("n1".to_owned(), Why::ManyGone { gone: 2, of: 3 });
        let table: Vec<(&str, Vec<String>)> = vec![
            ("placed", lines(placed(), Agent::Well, &on())),
            ("silent", lines(placed(), Agent::Silent, &on())),
            ("not heard yet", lines(placed(), Agent::Unheard, &on())),
            ("gone", lines(placed(), Agent::Lost, &stays)),
            ("nowhere", lines(Seat::Free, Agent::Well, &Place::Nowhere(Why::NotAsked))),
            ("on its way", lines(Seat::Free, Agent::Well, &on())),
            ("pinned", lines(pinned(), Agent::Well, &on())),
            ("pinned, no agent", lines(pinned(), Agent::Absent, &on())),
            ("pinned, not heard yet", lines(pinned(), Agent::Unheard, &on())),
            ("pinned, silent", lines(pinned(), Agent::Lost, &on())),
            ("pinned, never heard", told(pinned(), Node { agent: Agent::Lost, ..Node::default() }, &on())),
        ];
        let text: String = table.into_iter().map(|(what, said)| format!("{what}: {}\n", said.join("; "))).collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn only_what_differs_is_written() {
        let now = Timestamp::UNIX_EPOCH;
        let nodes = Nodes::from([("n1".to_owned(), Node { agent: Agent::Well, ..Node::default() })]);
        let seat = Seat::Placed("n1".to_owned(), InstanceId::default());
        let said = said(&object(seat), &nodes, &Place::On("n1".to_owned())).unwrap();
        let written = differing(&said, &[], 1, now).unwrap();
        assert_eq!(differing(&said, &written, 1, now), None, "it is so");
        let later = Timestamp::from_second(60).unwrap();
        let again = differing(&said, &written, 2, later).unwrap();
        assert_eq!(again[0].last_transition_time, written[0].last_transition_time, "its status is the same since");
        let ready =
            |reason: &str| Condition { kind: READY.to_owned(), reason: reason.to_owned(), ..written[0].clone() };
        let with_agents = [written[0].clone(), ready("Up")];
        assert_eq!(differing(&said, &with_agents, 1, now), None, "what an agent says is left alone");
        let with_ours = [written[0].clone(), ready("NodeSilent")];
        assert_eq!(differing(&said, &with_ours, 1, now), None, "it is there until an agent says another");
        let anew = differing(&said, &with_ours, 2, now).unwrap();
        assert_eq!(anew[1], with_ours[1], "also where more is written");
        let scheduled = Condition { observed_generation: Some(2), ..written[0].clone() };
        assert_eq!(anew[0], scheduled);
        assert_eq!(differing(&[], &with_ours, 1, now), Some(vec![ready("NodeSilent")]), "a person put it elsewhere");
        assert_eq!(differing(&[], &with_agents, 1, now), Some(Vec::new()));
    }
}
