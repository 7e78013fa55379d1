//! A release adds a field: what is there stays as it is.

use crate::cluster::{Cluster, document};
use abide_operator::crd;
use serde_json::{Value, json};

#[test]
fn objects_outlive_an_upgrade_that_adds_a_field() {
    let cluster = Cluster::start();
    let before =
        document("Container", "web", &json!({ "image": "nginx", "resources": { "memory": "64Mi" }, "node": "one" }));
    cluster.apply(&before);
    let read =
        || -> Value { serde_json::from_str(&cluster.server.kubectl(&["get", "abc/web", "-o", "json"])).unwrap() };
    let seen = read();
    let after = document("Container", "web", &json!({ "image": "nginx", "colour": "green" }));
    assert!(!cluster.mistakes(&after).is_empty(), "there is no such field yet");

    let mut definitions = crd::definitions();
    let schema = &mut definitions[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"]["properties"]["colour"] =
        json!({ "type": "string", "description": "Of the next release." });
    cluster.define(&definitions);

    let mut kept = read();
    assert_eq!(kept, seen, "nothing of it was written");
    // An upgrade reaches those who read and write a little later.
    for _ in 0..600 {
        if cluster.mistakes(&after).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    cluster.apply(&after);
    kept = read();
    assert_eq!((&kept["spec"]["colour"], &kept["spec"]["image"]), (&json!("green"), &json!("nginx")));
    assert_eq!(kept["metadata"]["uid"], seen["metadata"]["uid"]);
}
