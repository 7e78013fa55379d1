//! The files of `examples/` are applied as they are, but for what names a file of a repository: a cluster has none.

use crate::cluster::Cluster;
use std::{fs, path::Path};

#[test]
fn examples_are_applied_as_they_are() {
    let cluster = Cluster::start();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folders = fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path());
    // A fleet's documents are no cluster's.
    let folders = folders.filter(|folder| !folder.join("fleet.yaml").exists());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let text = fs::read_to_string(&path).unwrap();
        let text =
            text.replace("oci:images/", "registry.example.org/").replace("file: images/", "hostPath: /srv/images/");
        cluster.server.apply(&text);
        count += 1;
    }
    assert!(count > 4, "{count}");
    // By a server's own words, and by the category: what people type.
    let shown = cluster.server.kubectl(&["get", "abide", "-o", "name"]);
    let mut shown: Vec<&str> = shown.lines().collect();
    shown.sort_unstable();
    insta::assert_snapshot!(shown.join("\n"));
    let shown = cluster.server.kubectl(&["get", "abc,abvm,abvol"]);
    let heads: Vec<&str> = shown.lines().filter(|line| line.starts_with("NAME")).collect();
    insta::assert_snapshot!(heads.join("\n"));
    // Nobody has looked at them, and nobody takes them for done.
    let generation = ["get", "abc/hello", "-o", "jsonpath={.status.observedGeneration}"];
    assert_eq!(cluster.server.kubectl(&generation), "-1");
}

#[test]
fn a_field_with_nothing_in_it_is_as_if_it_were_not_there() {
    let cluster = Cluster::start();
    let head = "apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {name: web}\n";
    let spec = "{image: nginx, command: , env: , resources: {cpu: }, readiness: , restartPolicy: , stopGracePeriod: }";
    cluster.server.apply(&format!("{head}spec: {spec}\n"));
    let kept = cluster.server.kubectl(&["get", "abc/web", "-o", "jsonpath={.spec}"]);
    assert_eq!(kept, r#"{"image":"nginx","resources":{}}"#);
}

#[test]
fn what_names_a_file_of_a_repository_is_told_so() {
    let cluster = Cluster::start();
    let spec = serde_json::json!({ "boot": { "kernel": { "file": "images/guest" } } });
    let machine = cluster.mistakes(&crate::cluster::document("VirtualMachine", "m", &spec));
    let spec = serde_json::json!({ "image": "oci:images/hello" });
    let container = cluster.mistakes(&crate::cluster::document("Container", "c", &spec));
    insta::assert_debug_snapshot!([machine, container]);
}
