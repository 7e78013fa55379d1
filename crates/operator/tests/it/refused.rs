//! One validator, the same words: what a repository's author is told, whoever applies to a cluster is told.
//!
//! `refused.txt` and `accepted.txt` have a document a line; the snapshot shows what both say of each.

use crate::cluster::{Cluster, document};
use abide_spec::{
    Context, MemoryTree, Name, NodeName,
    kind::Grants,
    limits::{DEPENDENCIES_MAX, DISKS_MAX, MOUNTS_MAX, PORTS_MAX, VARIABLES_MAX},
    parse,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The documents of a table: `KIND/NAME SPEC`, the spec in YAML.
fn table(text: &str) -> impl Iterator<Item = (&str, Value)> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let (who, spec) = line.split_once(' ').unwrap();
        let (kind, name) = who.split_once('/').unwrap();
        let spec: Value = serde_yaml::from_str(spec).unwrap_or_else(|error| panic!("{line}: {error}"));
        (line, document(kind, name, &spec))
    })
}

/// What the validator says of a document in a repository that has everything it could name. Its node is a cluster's
/// alone, with a validator of its own.
pub(crate) fn validator(object: &Value) -> Vec<String> {
    let mut wanted = object.clone();
    let spec = wanted["spec"].as_object_mut().unwrap();
    spec.remove("nodeSelector");
    let node = spec.remove("node").and_then(|node| NodeName::new(node.as_str().unwrap()).err());
    let data = |kind: &str, name: &str| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, "data": { "key": "" } });
    let beside = [
        data("ConfigMap", "settings"),
        data("Secret", "keys"),
        document("Volume", "files", &json!({})),
        document("Volume", "disk", &json!({ "form": "Disk", "size": "1Gi" })),
        document("Container", "other", &json!({ "image": "nginx" })),
    ];
    let files = beside.iter().chain([&wanted]).enumerate();
    let files = files.map(|(n, document)| (format!("{n}.yaml"), document.to_string().into_bytes().into()));
    let grants = Grants { host_paths: vec!["/".into()], host_network: true, privileged: true, ..Grants::default() };
    let scope = Name::new("test").unwrap();
    let mistakes = parse(&MemoryTree(files.collect()), Context::plain(&scope, &grants));
    let mut sentences: Vec<String> = mistakes.err().into_iter().flatten().map(|mistake| mistake.message).collect();
    sentences.extend(node.map(|error| error.to_string()));
    sentences.sort();
    sentences.dedup();
    sentences
}

/// Whether what a server says ends in the sentence; before it is what was written.
pub(crate) fn is_said_by(said: &str, sentence: &str) -> bool {
    said.strip_suffix(sentence).is_some_and(|before| before.ends_with(": "))
}

#[test]
fn what_the_validator_refuses_the_server_refuses_in_the_same_words() {
    let cluster = Cluster::start();
    let mut shown = String::new();
    let mut differing = String::new();
    for (line, document) in table(include_str!("refused.txt")) {
        let expected = validator(&document);
        let causes = cluster.mistakes(&document);
        writeln!(shown, "{line}").unwrap();
        let is_said = |sentence: &String| causes.iter().any(|(_, said)| is_said_by(said, sentence));
        let mut is_same = !expected.is_empty() && expected.iter().all(is_said);
        for (field, said) in &causes {
            let sentence = expected.iter().find(|sentence| is_said_by(said, sentence));
            is_same &= sentence.is_some();
            writeln!(shown, "    {field}: {}", sentence.unwrap_or(said)).unwrap();
        }
        if !is_same {
            writeln!(differing, "{line}\n    validator: {expected:#?}\n    server: {causes:#?}").unwrap();
        }
    }
    assert!(differing.is_empty(), "{differing}");
    insta::assert_snapshot!(shown);
}

#[test]
fn what_the_validator_accepts_the_server_accepts() {
    let cluster = Cluster::start();
    let lines = table(include_str!("accepted.txt")).map(|(line, document)| (line.to_owned(), document));
    for (line, document) in lines.chain(largest()) {
        assert_eq!(validator(&document), [""; 0], "{line}");
        assert_eq!(cluster.mistakes(&document), [], "{line}");
    }
}

/// As much as may be written: the server's estimates of what its rules cost must hold.
fn largest() -> Vec<(String, Value)> {
    let list = |max: usize, one: &dyn Fn(usize) -> Value| (0..max).map(one).collect::<Vec<Value>>();
    let env: Map<String, Value> = (0..VARIABLES_MAX)
        .map(|n| (format!("VARIABLE_{n}"), json!({ "configMap": "settings", "key": "key" })))
        .collect();
    let container = json!({
        "image": "registry.example.org:5000/some/where/deep/image:1.2.3",
        "env": env,
        "ports": list(PORTS_MAX, &|n| json!({ "port": n + 1, "hostPort": n + 10_000, "protocol": "UDP" })),
        "volumes": list(MOUNTS_MAX, &|n| json!({ "tmpfs": "1Mi", "mountPath": format!("/{}/{n}", "deep/".repeat(100)) })),
        "dependsOn": list(DEPENDENCIES_MAX, &|_| json!({ "unit": "Container/other" })),
    });
    let machine = json!({
        "boot": { "kernel": { "hostPath": "/boot/vmlinuz" }, "cmdline": "x".repeat(1900) },
        "disks": list(DISKS_MAX, &|_| json!({ "volume": "disk", "readOnly": true })),
        "ports": list(PORTS_MAX, &|n| json!({ "port": n + 1 })),
    });
    vec![
        ("the largest container".into(), document("Container", &"c".repeat(63), &container)),
        ("the largest machine".into(), document("VirtualMachine", "m", &machine)),
    ]
}

/// What a cluster knows beside: an object that is on a node, and is to become something else.
#[test]
fn what_a_node_could_not_do_is_refused() {
    let cluster = Cluster::start();
    let volume = |spec: Value| document("Volume", "data", &spec);
    cluster.apply(&volume(json!({ "form": "Disk", "size": "1Gi" })));
    // Nothing is on a node yet.
    cluster.apply(&volume(json!({ "form": "Disk", "size": "512Mi" })));
    cluster.apply(&volume(json!({ "form": "Disk", "size": "512Mi", "node": "one" })));
    cluster.apply(&volume(json!({ "form": "Disk", "size": "1Gi", "node": "one" })));
    let mut shown = String::new();
    for spec in [
        json!({ "form": "Disk", "size": "1023Mi", "node": "one" }),
        json!({ "form": "Directory", "node": "one" }),
        json!({ "form": "Disk", "size": "1Gi", "node": "two" }),
        json!({ "form": "Disk", "size": "1Gi" }),
    ] {
        for (field, sentence) in cluster.mistakes(&volume(spec.clone())) {
            writeln!(shown, "{spec}\n    {field}: {sentence}").unwrap();
        }
    }
    insta::assert_snapshot!(shown);
    // What has no data can be moved.
    let container = |node: &str| document("Container", "web", &json!({ "image": "nginx", "node": node }));
    cluster.apply(&container("one"));
    assert_eq!(cluster.mistakes(&container("two")), []);
}
