//! Many objects, and changes that nobody heard of.

use crate::node::{Node, cluster, wait};

/// As many as a busy node has.
const OBJECTS: usize = 200;

#[test]
fn many_objects_come_and_what_nobody_heard_of_is_found() {
    let mut server = cluster();
    let mut node = Node::started(&server, "n1");
    let volume = |n: usize| {
        format!("{{apiVersion: abide.dev/v1alpha1, kind: Volume, metadata: {{name: v{n}}}, spec: {{node: n1}}}}\n---\n")
    };
    let volumes: String = (0..OBJECTS).map(volume).collect();
    server.apply(&volumes);
    let all = ["wait", "--for=condition=Ready", "--timeout=60s", "volumes.abide.dev", "--all"];
    let said = server.kubectl(&all);
    assert_eq!(said.lines().count(), OBJECTS, "{said}");

    server.apply(&node.web("early", "one", ""));
    wait(&node, &server, "Container/early", "Ready");
    let pid = node.pid("Container/early");

    // The agent doesn't listen: its watches end, objects come and go, and all that it missed is forgotten.
    node.signal("STOP");
    server.stop();
    server.back();
    server.apply(&node.web("late", "one", ""));
    server.kubectl(&["delete", "volumes.abide.dev", "v0", "--wait=false"]);
    server.stop();
    server.compact();
    server.back();
    node.signal("CONT");
    wait(&node, &server, "Container/late", "Ready");
    server.kubectl(&["wait", "--for=delete", "--timeout=60s", "volumes.abide.dev/v0"]);
    assert!(node.log().contains("(410)"), "{}", node.log());
    assert_eq!(node.pid("Container/early"), pid);
    // A new agent finds all of it as it is.
    node.stop();
    node.start();
    let now = node.settled();
    assert_eq!(now.units.len(), OBJECTS + 1);
    assert_eq!(node.pid("Container/early"), pid);
    node.end(&server);
}
