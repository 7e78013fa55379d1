//! Which node an object gets, who decides it, and when it changes.

use crate::{
    controller::{Controller, beat, container, node, nodes, objects, placed, until},
    node::{cluster, condition, object},
};
use abide_lab::ApiServer;
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn objects_get_nodes_and_keep_them() {
    let server = cluster();
    node(&server, "n1", "pool: web");
    node(&server, "n2", "pool: web");
    node(&server, "n3", "kvm: 'true'");
    let mut controller = Controller::start(&server);
    let web: String = (0..10).map(|n| container(&format!("web-{n}"), "nodeSelector: {pool: web}")).collect();
    server.apply(&web);
    let spread = placed(&server);
    for name in ["n1", "n2"] {
        assert_eq!(spread.values().filter(|node| *node == name).count(), 5, "{spread:?}");
    }

    // What belongs together goes together.
    server.apply(
        "{apiVersion: abide.dev/v1alpha1, kind: Volume, metadata: {name: data}, spec: {}}\n---\n\
         {apiVersion: abide.dev/v1alpha1, kind: Container, metadata: {name: db}, \
          spec: {image: hello, nodeSelector: {kvm: 'true'}, volumes: [{volume: data, mountPath: /data}]}}\n---\n\
         {apiVersion: abide.dev/v1alpha1, kind: Container, metadata: {name: front}, \
          spec: {image: hello, dependsOn: [{unit: Container/db}]}}",
    );
    let all = placed(&server);
    assert!(["data", "db", "front"].iter().all(|name| all[*name] == "n3"), "{all:?}");
    told(&server, "Container/db", "True");

    // What fits nowhere is told why, and goes as soon as it fits.
    server.apply(&container("gpu", "nodeSelector: {gpu: a100}"));
    told(&server, "Container/gpu", "False");
    let [_, reason, message] = condition(&object(&server, "Container/gpu"), "Scheduled");
    assert_eq!(reason, "Unschedulable");
    assert_eq!(message, "no node matches gpu=a100: of 3 nodes, none has gpu");
    let glance = server.kubectl(&["get", "abide"]);
    assert!(glance.contains("no node matches gpu=a100"), "{glance}");
    until("an Event says so", || {
        server.kubectl(&["get", "events.events.k8s.io", "-A"]).contains("no node matches gpu").then_some(())
    });
    node(&server, "n4", "gpu: a100");
    assert_eq!(placed(&server)["gpu"], "n4");
    until("it is told so", || {
        let gpu = object(&server, "Container/gpu");
        (condition(&gpu, "Scheduled")[0] == "True").then_some(())
    });
    // Whoever finds no `Ready` takes the object for one that is as it should be: it is there until an agent says another.
    assert_eq!(condition(&object(&server, "Container/gpu"), "Ready")[..2], ["False", "Unschedulable"]);

    // Another controller takes over, and nothing moves: no object is even written.
    let before = versions(&server);
    controller.signal("TERM");
    assert_eq!(controller.ended(), 0);
    server.kubectl(&["label", "node", "n1", "pool-"]);
    server.kubectl(&["cordon", "n2"]);
    let next = Controller::start(&server);
    next.leads();
    server.apply(&container("last", "nodeSelector: {}"));
    assert!(["n1", "n3", "n4"].contains(&placed(&server)["last"].as_str()));
    let mut after = versions(&server);
    after.remove("last");
    assert_eq!(after, before);
}

/// Waits until the status says whether the object has a node, by kubectl, as people do.
fn told(server: &ApiServer, unit: &str, scheduled: &str) {
    let name = format!("containers.abide.dev/{}", unit.split_once('/').unwrap().1);
    let arguments = ["wait", &format!("--for=condition=Scheduled={scheduled}"), "--timeout=60s", &name];
    if let Err(said) = server.kubectl_as(&server.kubeconfig(), &arguments) {
        panic!("{said}\n{}", server.kubectl(&["get", &name, "-o", "yaml", "--show-managed-fields"]));
    }
}

fn versions(server: &ApiServer) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let version = |object: &Value| {
        (text(&object["metadata"]["name"]), format!("{} {}", object["metadata"]["generation"], object["spec"]["node"]))
    };
    objects(server).iter().map(version).collect()
}

#[test]
fn who_was_stopped_writes_nothing_any_more() {
    let server = cluster();
    node(&server, "n1", "");
    let mut first = Controller::start(&server);
    first.leads();
    let second = Controller::start(&server);
    server.apply(&container("a", "nodeSelector: {}"));
    placed(&server);
    first.signal("STOP");
    server.apply(&(0..20).map(|n| container(&format!("b{n}"), "nodeSelector: {}")).collect::<String>());
    second.leads();
    placed(&server);
    // Meanwhile a person has other wishes: what the first one believes is wrong.
    server.kubectl(&["patch", "containers.abide.dev", "b0", "--type=merge", "-p", r#"{"spec":{"node":"elsewhere"}}"#]);
    let before = objects(&server);
    first.signal("CONT");
    assert_eq!(first.ended(), 1);
    assert!(first.log().contains("leads now"), "{}", first.log());
    assert_eq!(nodes(&server)["b0"], "elsewhere");
    let orders = |objects: &[Value]| -> Vec<String> {
        objects.iter().map(|object| object["metadata"]["annotations"]["abide.dev/assignment"].to_string()).collect()
    };
    assert_eq!(orders(&objects(&server)), orders(&before));
    let of_second = orders(&before).iter().filter(|order| order.starts_with("\"2-")).count();
    assert_eq!(of_second, 20, "all but the first object were placed by the second controller: {:?}", orders(&before));
}

#[test]
fn what_a_dead_node_had_moves_but_for_data() {
    let server = cluster();
    node(&server, "n1", "");
    let controller = Controller::start(&server);
    let kept = "metadata: {finalizers: [abide.dev/cleanup], name: ";
    let documents = [
        container("web", "nodeSelector: {}"),
        container("gone", "nodeSelector: {}"),
        container("db", "nodeSelector: {}, volumes: [{volume: data, mountPath: /data}]"),
        "{apiVersion: abide.dev/v1alpha1, kind: Volume, metadata: {name: data}, spec: {}}\n---\n".to_owned(),
        container("hand", "node: n1"),
    ];
    // As the agent of n1 would, each is kept until it is cleared away.
    server.apply(&documents.concat().replace("metadata: {name: ", kept));
    placed(&server);
    node(&server, "n2", "");
    node(&server, "n3", "");
    server.kubectl(&["delete", "containers.abide.dev", "gone", "--wait=false"]);

    // The node dies: its agent renewed its Lease for the last time.
    beat(&server, "n1", 1);
    let moved =
        until("web moves", || Some(nodes(&server)).filter(|nodes| !["n1", ""].contains(&nodes["web"].as_str())));
    assert!(["n2", "n3"].contains(&moved["web"].as_str()), "{moved:?}");
    until("what was deleted is released", || (!nodes(&server).contains_key("gone")).then_some(()));
    let web = object(&server, "Container/web");
    let order = web["metadata"]["annotations"]["abide.dev/assignment"].as_str().unwrap();
    assert!(order.ends_with(&moved["web"]), "the finalizer that it has is of the node that it was moved to: {web}");
    until("what stays says why", || {
        let db = object(&server, "Container/db");
        let [_, reason, message] = condition(&db, "Scheduled");
        (reason == "NodeLost" && message.contains("stays for the data of Volume/data")).then_some(())
    });
    assert_eq!(condition(&object(&server, "Container/db"), "Ready")[0], "Unknown");
    until("what a person put there says so", || {
        (condition(&object(&server, "Container/hand"), "Ready")[1] == "NodeSilent").then_some(())
    });
    let now = nodes(&server);
    assert!(["db", "data", "hand"].iter().all(|name| now[*name] == "n1"), "{now:?}");

    // It comes back, and has what it had.
    beat(&server, "n1", 3600);
    until("it is seen again", || {
        (condition(&object(&server, "Container/db"), "Scheduled")[1] == "Assigned").then_some(())
    });
    assert_eq!(condition(&object(&server, "Container/db"), "Ready")[0], "Unknown", "until its agent says another");
    assert_eq!(nodes(&server)["web"], moved["web"], "what moved stays");
    drop(controller);
}

#[test]
fn a_thousand_objects_are_placed() {
    let server = cluster();
    (0..10).for_each(|n| node(&server, &format!("n{n}"), "pool: many"));
    let many: String = (0..1000).map(|n| container(&format!("c{n}"), "nodeSelector: {pool: many}")).collect();
    server.apply(&many);
    let controller = Controller::start(&server);
    controller.leads();
    let placed = placed(&server);
    for n in 0..10 {
        let here = placed.values().filter(|node| **node == format!("n{n}")).count();
        assert_eq!(here, 100, "n{n}");
    }
}
