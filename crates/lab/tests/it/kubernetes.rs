//! `deploy/kubernetes`: it applies, and whoever has an agent's token has that agent's node and no other.

use abide_lab::{ApiServer, SYSTEM};
use std::{path::Path, process::Command};

const OBJECTS: &str = "
{apiVersion: abide.dev/v1alpha1, kind: Container, metadata: {name: one, namespace: default, labels: {app: one}}, spec: {node: n1, image: 'registry.example.org/x:1'}}
---
{apiVersion: abide.dev/v1alpha1, kind: Container, metadata: {name: two, namespace: default}, spec: {node: n2, image: 'registry.example.org/x:1'}}
---
{apiVersion: abide.dev/v1alpha1, kind: Container, metadata: {name: none, namespace: default}, spec: {image: 'registry.example.org/x:1'}}
---
{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: default}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: default}}
";

#[test]
fn it_applies_and_then_there_is_nothing_to_change() {
    let server = ApiServer::start();
    let folder = folder("deploy/kubernetes");
    server.kubectl(&["apply", "-k", &folder]);
    for more in [&[][..], &["--dry-run=server"]] {
        let said = server.kubectl(&[&["apply", "--warnings-as-errors", "-k", &folder], more].concat());
        assert!(said.lines().all(|line| line.contains(" unchanged")), "{said}");
    }
    server.kubectl(&["diff", "-k", &folder]);
    server.kubectl(&["delete", "-k", &folder]);
}

#[test]
fn it_applies_on_the_server_s_side_just_as_well() {
    let server = ApiServer::start();
    let folder = folder("deploy/kubernetes");
    server.kubectl(&["apply", "--server-side", "-k", &folder]);
    let said = server.kubectl(&["apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "-k", &folder]);
    assert!(said.lines().all(|line| line.ends_with("serverside-applied (server dry run)")), "{said}");
    server.kubectl(&["diff", "--server-side", "-k", &folder]);
}

#[test]
fn argo_cd_keeps_the_settings_that_it_has() {
    let server = ApiServer::start();
    let settings = ["--from-literal", "theirs=kept"];
    server.kubectl(&["create", "namespace", "argocd"]);
    server.kubectl(&[&["-n", "argocd", "create", "configmap", "argocd-cm"], &settings[..]].concat());
    server.kubectl(&["apply", "--server-side", "-k", &folder("deploy/kubernetes/argocd")]);
    let keys = "jsonpath={.data.theirs}{.data['resource\\.customizations\\.health\\.abide\\.dev_Volume']}";
    assert!(
        server.kubectl(&["-n", "argocd", "get", "configmap", "argocd-cm", "-o", keys]).starts_with("kept-- The health")
    );
}

/// Who does what with kubectl, and the words by which it is refused.
const RIGHTS: &[(&str, &str, Option<&str>)] = &[
    ("n1", "get containers -A", None),
    ("n1", r#"patch container one --subresource status --type merge -p {"status":{"message":"m"}}"#, None),
    ("n1", r#"patch container one --type merge -p {"metadata":{"finalizers":["abide.dev/cleanup"]}}"#, None),
    (
        "n1",
        r#"patch container one --type merge -p {"metadata":{"finalizers":["other.dev/x","abide.dev/cleanup"]}}"#,
        Some(ITS_PART),
    ),
    ("n1", r#"patch container one --type merge -p {"spec":{"image":"registry.example.org/y:1"}}"#, Some(ITS_PART)),
    ("n1", r#"patch container one --type merge -p {"spec":{"node":"n2"}}"#, Some(ITS_PART)),
    ("n1", r#"patch container one --type merge -p {"metadata":{"labels":{"app":"two"}}}"#, Some(ITS_PART)),
    (
        "n1",
        r#"patch container one --type merge -p {"metadata":{"annotations":{"abide.dev/force-release":"yes"}}}"#,
        Some(ITS_PART),
    ),
    ("n1", r#"patch container two --subresource status --type merge -p {"status":{"message":"m"}}"#, Some(ITS_NODE)),
    ("n1", r#"patch container two --type merge -p {"metadata":{"finalizers":["abide.dev/cleanup"]}}"#, Some(ITS_NODE)),
    ("n1", r#"patch container none --subresource status --type merge -p {"status":{"node":"n1"}}"#, Some(ITS_NODE)),
    ("n2", r#"patch container two --subresource status --type merge -p {"status":{"node":"n2"}}"#, None),
    ("n2", r#"patch container one --subresource status --type merge -p {"status":{"message":"m"}}"#, Some(ITS_NODE)),
    ("n1", "delete container one", Some("cannot delete resource \"containers\"")),
    ("n1", "get configmap settings", None),
    ("n1", "patch configmap settings -p {}", Some("cannot patch resource \"configmaps\"")),
    ("n1", "get secret key", Some("cannot get resource \"secrets\"")),
    ("n1", "get secrets -A", Some("cannot list resource \"secrets\"")),
    ("n1", "get nodes", Some("cannot list resource \"nodes\"")),
    ("n1", "get customresourcedefinitions", Some("cannot list resource")),
    ("controller", r#"patch container none --type merge -p {"spec":{"node":"n1"}}"#, None),
    ("controller", r#"patch container two --type merge -p {"metadata":{"finalizers":[]}}"#, None),
    ("controller", r#"patch container two --subresource status --type merge -p {"status":{"message":"m"}}"#, None),
    ("controller", "get nodes", None),
    ("controller", "get leases -n abide-system", None),
    ("controller", "get configmaps -A", Some("cannot list resource \"configmaps\"")),
    ("controller", "get secrets -A", Some("cannot list resource \"secrets\"")),
    ("controller", "delete container one", Some("cannot delete resource \"containers\"")),
];

const ITS_PART: &str = "an agent may only write the status of an object and its own finalizer";
const ITS_NODE: &str = "an agent may only write objects of its own node";

#[test]
fn an_agent_may_write_what_is_its_nodes_and_no_more() {
    let server = ApiServer::start();
    server.deploy();
    server.apply(OBJECTS);
    let (n1, n2, controller) = (server.agent("n1"), server.agent("n2"), server.controller());
    let attempt = |who: &str, line: &str| {
        let who = match who {
            "n1" => &n1,
            "n2" => &n2,
            _ => &controller,
        };
        server.kubectl_as(who, &line.split(' ').collect::<Vec<_>>())
    };
    // Policies are in force a moment after they are stored.
    let others =
        "patch container two --type merge -p {\"metadata\":{\"finalizers\":[\"abide.dev/cleanup\"]}} --dry-run=server";
    while attempt("n1", others).is_ok() {}
    for (who, line, refused) in RIGHTS {
        match (attempt(who, line), refused) {
            (Ok(_), None) => {}
            (Err(said), Some(words)) if said.contains(words) => {}
            (result, _) => panic!("{who}: {line}: {result:?}"),
        }
    }

    // Moved to another node, it is its old agent's until the new one's has written its status.
    server.kubectl(&["patch", "container", "two", "--type=merge", "-p", r#"{"spec":{"node":"n1"}}"#]);
    let finalizer = r#"patch container two --type merge -p {"metadata":{"finalizers":["abide.dev/cleanup"]}}"#;
    attempt("n2", finalizer).unwrap();
    attempt("n1", r#"patch container two --subresource status --type merge -p {"status":{"node":"n1"}}"#).unwrap();
    let removal = r#"patch container two --type merge -p {"metadata":{"finalizers":[]}}"#;
    assert!(attempt("n2", removal).unwrap_err().contains(ITS_NODE));
    attempt("n1", removal).unwrap();

    // Taken by the controller, it is as well, whatever its status says.
    let taken = r#"{"metadata":{"annotations":{"abide.dev/leaving":"n2"}},"spec":{"node":null}}"#;
    server.kubectl_as(&controller, &["patch", "container", "two", "--type=merge", "-p", taken]).unwrap();
    attempt("n2", removal).unwrap();

    // Bound where its Secrets are, an agent reads those.
    let account = format!("{SYSTEM}:abide-agent");
    server.kubectl(&["create", "rolebinding", "s", "--clusterrole", "abide-secrets", "--serviceaccount", &account]);
    while attempt("n1", "get secret key").is_err() {}
    assert!(attempt("n1", "get secrets -A").is_err());
}

#[test]
fn an_agent_renews_the_lease_of_its_node_alone() {
    let server = ApiServer::start();
    server.kubectl(&["apply", "--server-side", "-k", &folder("deploy/kubernetes")]);
    let agent = server.agent("n1");
    let lease = |name: &str| {
        let lease = format!(
            "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: {name}, namespace: {SYSTEM}}}, spec: {{holderIdentity: me}}}}"
        );
        let file = server.kubeconfig().with_file_name(format!("{name}.yaml"));
        std::fs::write(&file, lease).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (ours, others, leader) = (lease("abide-node-n1"), lease("abide-node-n2"), lease("abide-controller"));
    let apply = |file: &str| server.kubectl_as(&agent, &["apply", "--server-side", "-f", file]);
    let words = "an agent may only write the Lease of its own node";
    while apply(&others).err().is_none_or(|said| !said.contains(words)) {}
    apply(&ours).unwrap();
    apply(&ours).unwrap();
    let create = |file: &str| server.kubectl_as(&agent, &["create", "-f", file]);
    assert!(create(&leader).unwrap_err().contains(words));
    let controller = server.controller();
    server.kubectl_as(&controller, &["apply", "--server-side", "-f", &leader]).unwrap();
    assert!(
        server.kubectl_as(&controller, &["apply", "--server-side", "-f", &ours]).unwrap_err().contains("forbidden")
    );
    assert!(apply(&leader).unwrap_err().contains(words));
}

/// Conditions, as type and status, and what Argo CD is to make of them. All are of generation 2, as the last word says which was seen.
const HEALTH: &[(&str, &str)] = &[
    ("{metadata={generation=1}}", "Progressing: waits for the agent of its node to look at it"),
    (
        "{metadata={generation=1}, status={observedGeneration=-1}}",
        "Progressing: waits for the agent of its node to look at it",
    ),
    (
        "{metadata={generation=2}, status={observedGeneration=1, conditions={{type='Ready', status='True'}}}}",
        "Progressing: waits for the agent of its node to look at it",
    ),
    (
        "{metadata={generation=2}, status={observedGeneration=2, conditions={{type='Ready', status='True', message='serves'}}}}",
        "Healthy: serves",
    ),
    (
        "{metadata={generation=2}, status={observedGeneration=2, conditions={{type='Ready', status='Unknown'}, {type='Reconciling', status='True', reason='Pulling'}}}}",
        "Progressing: Pulling",
    ),
    (
        "{metadata={generation=2}, status={observedGeneration=2, conditions={{type='Ready', status='False', message='exited'}}}}",
        "Degraded: exited",
    ),
    (
        "{metadata={generation=2}, status={observedGeneration=2, conditions={{type='Ready', status='False'}, {type='Stalled', status='True', message='no such image'}}}}",
        "Degraded: no such image",
    ),
    (
        "{metadata={generation=2}, status={observedGeneration=-1, conditions={{type='Scheduled', status='False', message='no node has kvm'}}}}",
        "Progressing: no node has kvm",
    ),
];

#[test]
fn argo_cd_reads_the_conditions() {
    let script = folder("deploy/kubernetes/argocd/health.lua");
    for (object, expected) in HEALTH {
        let program = format!(
            "obj = {object}; local health = dofile('{script}'); print(health.status .. ': ' .. health.message)"
        );
        let output = Command::new("lua5.1").args(["-e", &program]).output();
        let output = output.unwrap_or_else(|error| panic!("this test needs lua5.1: {error}"));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(said.trim_end(), *expected, "{object}");
    }
}

fn folder(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).canonicalize().unwrap().to_str().unwrap().to_owned()
}
