//! From `kubectl apply` to `kubectl delete`.

use crate::node::{Node, cluster, condition, object, wait};
use abide_lab::{host_port, http::get, run};
use std::net::SocketAddr;

fn greeting(node: &Node, unit: &str) -> Option<String> {
    let address = *node.get().find(unit)?.addresses.first()?;
    let answer = get(SocketAddr::from((address, 8080)), "/").ok()?;
    answer.body.lines().next().map(str::to_owned)
}

#[test]
fn objects_come_to_life_change_and_go() {
    let server = cluster();
    let node = Node::started(&server, "n1");
    let port = host_port();
    server.apply(&node.web("web", "one", ""));
    server.apply(&node.machine("vm", port.number));
    wait(&node, &server, "Container/web", "Ready");
    assert_eq!(greeting(&node, "Container/web").as_deref(), Some("one"));
    wait(&node, &server, "VirtualMachine/vm", "Ready");
    let before = object(&server, "Container/web");
    assert_eq!(before["status"]["observedGeneration"], 1);
    assert_eq!(before["status"]["node"], "n1");
    assert_eq!(before["metadata"]["finalizers"][0], "abide.dev/cleanup");

    server.apply(&node.web("web", "two", ""));
    node.until("the new version is told", || {
        let now = object(&server, "Container/web");
        let is_ready = condition(&now, "Ready")[0] == "True" && now["status"]["observedGeneration"] == 2;
        is_ready.then_some(now)
    });
    // The old one retires beside it for a moment. What has not proved itself would be taken back if it ended now.
    node.settled();
    assert_eq!(greeting(&node, "Container/web").as_deref(), Some("two"));

    run("kill", &["-KILL", &node.pid("Container/web").to_string()]);
    node.until("the restart is told", || {
        let now = object(&server, "Container/web");
        (now["status"]["restarts"] == 1 && condition(&now, "Ready")[0] == "True").then_some(())
    });
    node.end(&server);
}

#[test]
fn who_is_mistaken_is_told_and_hurts_nobody() {
    let server = cluster();
    let node = Node::started(&server, "n1");
    server.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: words}, data: {greeting: one}}");
    let named = node.web("web", "x", "").replace("{value: x}", "{configMap: words, key: greeting}");
    server.apply(&named);
    server.apply(&node.web("needy", "x", "  dependsOn: [{unit: Container/nobody}]\n"));
    wait(&node, &server, "Container/web", "Ready");
    wait(&node, &server, "Container/needy", "Stalled");
    let needy = object(&server, "Container/needy");
    let [status, reason, message] = condition(&needy, "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Invalid"));
    assert!(message.starts_with("there is no Container/nobody"), "{message}");
    assert!(needy["metadata"]["finalizers"].is_null(), "nothing of it is on the node");

    server.kubectl(&["patch", "configmap", "words", "-p", "{\"data\":{\"greeting\":\"two\"}}"]);
    node.until("the change of the ConfigMap is noticed", || {
        greeting(&node, "Container/web").filter(|greeting| greeting == "two")
    });
    let pid = node.pid("Container/web");
    server.kubectl(&["delete", "configmap", "words"]);
    wait(&node, &server, "Container/web", "Stalled");
    assert_eq!(node.pid("Container/web"), pid, "it runs on as it was");
    let events = node.until("an event says so", || {
        let events = server.kubectl(&["get", "events.events.k8s.io", "-o", "custom-columns=R:.reason,N:.note"]);
        events.contains("there is no ConfigMap").then_some(events)
    });
    assert!(events.contains("Started"), "{events}");
    node.end(&server);
}
