//! Everything is gone from the cluster without a word, and what a person says to that.

use crate::node::{Node, cluster, wait};
use abide_lab::{ApiServer, run};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn pids(node: &Node) -> [i32; 5] {
    NAMES.map(|name| node.pid(&format!("Container/{name}")))
}

fn apply_all(server: &ApiServer, node: &Node) {
    server.apply(&NAMES.map(|name| node.web(name, "one", "")).concat());
    for name in NAMES {
        wait(node, server, &format!("Container/{name}"), "Ready");
    }
}

#[test]
fn an_emptied_cluster_changes_nothing_until_a_person_says_so() {
    let mut server = cluster();
    let mut node = Node::of_an_owner(&server, "n1");
    apply_all(&server, &node);
    let before = pids(&node);

    // Not even our kinds are there. A list that can't be had is not an empty one, for a new agent neither.
    server.empty();
    let is_without = |message: &str| message.contains("the API server doesn't know this kind");
    let missed = |node: &Node| {
        node.wait("the loss is shown", |now| {
            let source = now.source("kubernetes");
            source.state == "unreachable" && is_without(&source.message)
        });
    };
    missed(&node);
    assert_eq!(pids(&node), before);
    node.kill();
    node.start();
    missed(&node);
    assert_eq!(pids(&node), before);
    run("kill", &["-KILL", &before[0].to_string()]);
    node.wait("what dies is healed", |now| {
        let active = now.unit("Container/a").active().and_then(|instance| instance.pid);
        now.settled && active.is_some_and(|pid| pid != before[0])
    });
    let before = pids(&node);

    // They are there again, and no object of them is: that is an empty list, and a question.
    server.deploy();
    let held = || node.wait("the guard asks", |now| now.source("kubernetes").state == "held");
    let message = held().source("kubernetes").message.clone();
    assert!(message.contains("removes everything it owns (5 units)"), "{message}");
    assert_eq!(pids(&node), before);
    // One of five is there: what was asked for all is asked for four.
    server.apply(&node.web("a", "one", ""));
    node.wait("the guard asks anew", |now| now.source("kubernetes").message.contains("removes 4 of 5 units"));
    assert_eq!(pids(&node), before);

    // Whoever applies all of it again has what there was.
    apply_all(&server, &node);
    node.wait("all is as it was", |now| now.settled && now.source("kubernetes").state == "following");
    assert_eq!(pids(&node), before);

    // And if it is meant, a person says so where the agent is.
    server.empty();
    server.deploy();
    let message = held().source("kubernetes").message.clone();
    let permit =
        message.split_once("`abide allow ").and_then(|(_, rest)| rest.split_once('`')).map(|(permit, _)| permit);
    node.must(&["allow", permit.unwrap_or_else(|| panic!("it doesn't say what to do: {message}"))]);
    let now = node.wait("all is gone", |now| now.units.is_empty());
    assert_eq!(now.source("kubernetes").state, "following");
    for pid in before {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} runs on");
    }
    node.end(&server);
}
