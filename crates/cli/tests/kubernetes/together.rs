//! A controller and the agents of two nodes: what is placed runs, and what is lost runs elsewhere.

use crate::{
    controller::{Controller, beat, nodes, until},
    node::{Node, cluster, condition, object, wait},
};
use abide_lab::ApiServer;
use std::path::Path;

fn is_running(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Waits until an object serves on a node, and tells its process there.
fn serves_on(server: &ApiServer, node: &Node, name: &str, on: &str) -> i32 {
    let unit = format!("Container/{name}");
    node.until("it serves there", || {
        let now = object(server, &unit);
        let is_there = now["spec"]["node"] == on && now["status"]["node"] == on;
        (is_there && condition(&now, "Ready")[0] == "True").then_some(())
    });
    node.settled();
    node.pid(&unit)
}

/// Waits until a node has cleared a container away, and the object is still as the other one has it.
fn is_cleared_away(server: &ApiServer, from: &Node, name: &str, pid: i32) {
    let unit = format!("Container/{name}");
    from.wait("it is gone from the node that lost it", |now| now.find(&unit).is_none());
    assert!(!is_running(pid));
    let finalizers = &object(server, &unit)["metadata"]["finalizers"];
    assert_eq!(*finalizers, serde_json::json!(["abide.dev/cleanup"]), "it is the other node's");
}

#[test]
fn what_a_lost_node_had_runs_elsewhere_and_not_twice_when_it_comes_back() {
    let server = cluster();
    let mut one = Node::started(&server, "n1");
    let controller = Controller::start(&server);
    controller.leads();
    server.apply(&one.placed("web"));
    let first = serves_on(&server, &one, "web", "n1");
    let two = one.beside(&server, "n2");

    // The agent of one dies. Its last beat is told as one that was good for a second.
    one.kill();
    beat(&server, "n1", 1);
    let second = serves_on(&server, &two, "web", "n2");
    assert!(is_running(first), "nobody is there who would end it");
    one.start();
    is_cleared_away(&server, &one, "web", first);

    // That of two only doesn't get to say anything.
    two.signal("STOP");
    beat(&server, "n2", 1);
    serves_on(&server, &one, "web", "n1");
    two.signal("CONT");
    is_cleared_away(&server, &two, "web", second);

    for node in [&one, &two] {
        assert!(!node.log().contains("denied request"), "{}", node.log());
    }
    drop(controller);
    one.end(&server);
    two.end(&server);
}

#[test]
fn a_person_gives_up_what_a_silent_node_has() {
    let server = cluster();
    let mut one = Node::started(&server, "n1");
    let controller = Controller::with_patience(&server, "1h");
    controller.leads();
    server.apply(&[one.placed("web"), one.placed("gone"), one.web("stays", "x", "")].concat());
    let [web, gone, _] = ["web", "gone", "stays"].map(|name| serves_on(&server, &one, name, "n1"));
    let two = one.beside(&server, "n2");
    one.kill();
    beat(&server, "n1", 1);
    until("its silence is told", || {
        (condition(&object(&server, "Container/web"), "Ready")[1] == "NodeSilent").then_some(())
    });
    server.kubectl(&["delete", "containers.abide.dev", "gone", "--wait=false"]);
    // Nobody waits for an hour.
    let force = |name: &str| {
        server.kubectl(&["annotate", "containers.abide.dev", name, "abide.dev/force-release=yes"]);
    };
    force("gone");
    until("what was deleted is released", || (!nodes(&server).contains_key("gone")).then_some(()));
    assert_eq!(nodes(&server)["web"], "n1", "only what was named is given up");
    force("web");
    serves_on(&server, &two, "web", "n2");
    let annotations = &object(&server, "Container/web")["metadata"]["annotations"];
    assert!(annotations["abide.dev/force-release"].is_null(), "said once, done once: {annotations}");
    assert!(is_running(web) && is_running(gone));

    // It wasn't dead after all.
    one.start();
    is_cleared_away(&server, &one, "web", web);
    one.wait("what was deleted is gone there, too", |now| now.find("Container/gone").is_none());
    assert!(!is_running(gone));
    wait(&one, &server, "Container/stays", "Ready");
    drop(controller);
    one.end(&server);
    two.end(&server);
}
