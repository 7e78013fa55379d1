//! An object that a person gives to another node.

use crate::node::{Node, cluster, condition, object, wait};

#[test]
fn a_moved_object_leaves_one_node_and_comes_up_on_the_other() {
    let server = cluster();
    let (one, two) = (Node::started(&server, "n1"), Node::started(&server, "n2"));
    let image = two.path("images/hello");
    server.apply(&one.web("web", "one", ""));
    wait(&one, &server, "Container/web", "Ready");
    let moved = format!(r#"{{"spec":{{"node":"n2","image":"oci:{}"}}}}"#, image.display());
    server.kubectl(&["patch", "containers.abide.dev/web", "--type=merge", "-p", &moved]);
    two.until("it serves on the other node", || {
        let now = object(&server, "Container/web");
        let is_there = now["status"]["node"] == "n2" && condition(&now, "Ready")[0] == "True";
        is_there.then_some(())
    });
    one.wait("it is gone from the first", |now| now.find("Container/web").is_none());
    // The new node keeps its finalizer, whoever of the two was faster.
    two.until("its finalizer is there", || {
        let finalizers = object(&server, "Container/web")["metadata"]["finalizers"].clone();
        (finalizers == serde_json::json!(["abide.dev/cleanup"])).then_some(())
    });
    // Neither tries what it may not.
    for node in [&one, &two] {
        assert!(!node.log().contains("denied request"), "{}", node.log());
    }
    one.end(&server);
    two.end(&server);
}
