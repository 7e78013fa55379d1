//! `deploy/kubernetes`: it applies, and whoever has an agent's token has that agent's node and no other.

use abide_lab::{ApiServer, SYSTEM};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const OBJECTS: &str = "
{apiVersion: abide.dev/v1alpha1, kind: Container, metadata: {name: one, namespace: default, labels: {app: one}, annotations: {theirs: kept}}, spec: {node: n1, image: 'registry.example.org/x:1'}}
---
{apiVersion: abide.dev/v1alpha1, kind: Volume, metadata: {name: data, namespace: default}}
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
    (
        "controller",
        r#"patch container one --type merge -p {"spec":{"image":"registry.example.org/y:1"}}"#,
        Some(NODE_ALONE),
    ),
    ("controller", r#"patch container one --type merge -p {"spec":{"node":"n2","command":["x"]}}"#, Some(NODE_ALONE)),
    ("controller", r#"patch container one --type merge -p {"spec":{"image":null}}"#, Some("")),
    ("controller", r#"patch volume data --type merge -p {"spec":{"node":"n1"}}"#, None),
    ("controller", r#"patch volume data --type merge -p {"spec":{"reclaim":"Delete"}}"#, Some(NODE_ALONE)),
    ("controller", r#"patch container one --type merge -p {"metadata":{"labels":{"app":"two"}}}"#, Some(OURS)),
    ("controller", r#"patch container one --type merge -p {"metadata":{"labels":null}}"#, Some(OURS)),
    (
        "controller",
        r#"patch container one --type merge -p {"metadata":{"annotations":{"abide.dev/x":"y"}}}"#,
        Some(OURS),
    ),
    (
        "controller",
        r#"patch container one --type merge -p {"metadata":{"annotations":{"abide.dev/assignment":"1-1"},"finalizers":["abide.dev/cleanup"]}}"#,
        None,
    ),
    ("controller", r#"patch container one --type merge -p {"metadata":{"annotations":null}}"#, Some(OURS)),
    ("controller", r#"patch container one --type merge -p {"metadata":{"finalizers":["other.dev/x"]}}"#, Some(OURS)),
    (
        "controller",
        r#"patch container one --subresource status --type merge -p {"status":{"conditions":[{"type":"Scheduled","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#,
        None,
    ),
    (
        "controller",
        r#"patch container one --subresource status --type merge -p {"status":{"node":"n2"}}"#,
        Some("the controller may only write the conditions of a status"),
    ),
    ("controller", "get nodes", None),
    ("controller", "get leases -n SYSTEM", None),
    ("controller", "get configmaps -A", Some("cannot list resource \"configmaps\"")),
    ("controller", "get secrets -A", Some("cannot list resource \"secrets\"")),
    ("controller", "delete container one", Some("cannot delete resource \"containers\"")),
];

const ITS_PART: &str = "an agent may only write the status of an object and its own finalizer";
const ITS_NODE: &str = "an agent may only write objects of its own node";
const NODE_ALONE: &str = "the controller may only write the node of a spec";
const OURS: &str = "the controller may only write its own annotations and finalizer";

/// The namespace, the prefix of names, and what is applied.
fn places(server: &ApiServer) -> [(&'static str, &'static str, String); 2] {
    [(SYSTEM, "", folder("deploy/kubernetes")), ("platform", "x-", overlay(server))]
}

/// An overlay by which everything is in another namespace, under other names.
fn overlay(server: &ApiServer) -> String {
    let folders = server.kubeconfig().with_file_name("overlays");
    let overlay = folders.join("overlay");
    fs::create_dir_all(&overlay).unwrap();
    abide_lab::run("cp", &["-aT", &folder("deploy/kubernetes"), folders.join("base").to_str().unwrap()]);
    let text = "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization, resources: [../base], \
                namespace: platform, namePrefix: x-}";
    fs::write(overlay.join("kustomization.yaml"), text).unwrap();
    overlay.to_str().unwrap().to_owned()
}

#[test]
fn agents_and_controller_may_write_what_is_theirs_and_no_more() {
    for is_overlaid in [false, true] {
        let server = ApiServer::start();
        let [plain, overlaid] = places(&server);
        let (namespace, prefix, folder) = if is_overlaid { overlaid } else { plain };
        server.kubectl(&["apply", "--server-side", "-k", &folder]);
        server.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
        rights(&server, namespace, prefix);
    }
}

fn rights(server: &ApiServer, namespace: &str, prefix: &str) {
    server.apply(OBJECTS);
    let agent = |node| server.account(namespace, &format!("{prefix}abide-agent"), Some(node));
    let (n1, n2) = (agent("n1"), agent("n2"));
    let controller = server.account(namespace, &format!("{prefix}abide-controller"), None);
    let attempt = |who: &str, line: &str| {
        let who = match who {
            "n1" => &n1,
            "n2" => &n2,
            _ => &controller,
        };
        let line = line.replace("SYSTEM", namespace);
        server.kubectl_as(who, &line.split(' ').collect::<Vec<_>>())
    };
    // Policies are in force a moment after they are stored.
    let others =
        "patch container two --type merge -p {\"metadata\":{\"finalizers\":[\"abide.dev/cleanup\"]}} --dry-run=server";
    while attempt("n1", others).is_ok() {}
    let image = r#"patch container one --type merge -p {"spec":{"image":"x"}} --dry-run=server"#;
    while attempt("controller", image).is_ok() {}
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
    let (account, role) = (format!("{namespace}:{prefix}abide-agent"), format!("{prefix}abide-secrets"));
    server.kubectl(&["create", "rolebinding", "s", "--clusterrole", &role, "--serviceaccount", &account]);
    while attempt("n1", "get secret key").is_err() {}
    assert!(attempt("n1", "get secrets -A").is_err());
}

#[test]
fn leases_and_events_are_written_by_those_whose_they_are() {
    let server = ApiServer::start();
    server.deploy();
    let (agent, controller) = (server.agent("n1"), server.controller());
    let file = |name: &str, text: String| {
        let file = server.kubeconfig().with_file_name(format!("{name}.yaml"));
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let lease = |name: &str| {
        file(
            name,
            format!(
                "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: {name}, namespace: {SYSTEM}}}, spec: {{holderIdentity: me}}}}"
            ),
        )
    };
    let (ours, others, leader) = (lease("abide-node-n1"), lease("abide-node-n2"), lease("abide-controller"));
    let apply = |who: &Path, file: &str| server.kubectl_as(who, &["apply", "--server-side", "-f", file]);
    let (agents, controllers) = ("an agent may only write the Lease of its own node", "the controller may only write");
    let refuses = |who: &PathBuf, file: &str, words: &str| apply(who, file).is_err_and(|said| said.contains(words));
    while !refuses(&agent, &others, agents) {}
    let create =
        |who: &Path, file: &str, more: &[&str]| server.kubectl_as(who, &[&["create", "-f", file], more].concat());
    while create(&controller, &others, &["--dry-run=server"]).is_ok() {}
    apply(&agent, &ours).unwrap();
    apply(&agent, &ours).unwrap();
    assert!(create(&agent, &leader, &[]).unwrap_err().contains(agents));
    assert!(create(&controller, &others, &[]).unwrap_err().contains(controllers));
    create(&controller, &leader, &[]).unwrap();
    apply(&controller, &leader).unwrap();
    assert!(refuses(&controller, &ours, "forbidden"));
    assert!(refuses(&agent, &leader, agents));
    let delete = |who: &Path, name: &str| server.kubectl_as(who, &["-n", SYSTEM, "delete", "lease", name]);
    assert!(delete(&controller, "abide-controller").unwrap_err().contains(controllers));
    assert!(delete(&agent, "abide-node-n1").unwrap_err().contains("cannot delete resource"));
    delete(&controller, "abide-node-n1").unwrap();

    // Whose name it is in, about what, and who wrote it may write it.
    let event = |name: &str, by: &str, node: &str, about: &str| {
        file(
            name,
            format!(
                "{{apiVersion: events.k8s.io/v1, kind: Event, metadata: {{name: {name}, namespace: default}}, type: Normal, \
                 eventTime: '2026-01-01T00:00:00.000000Z', reason: Tried, action: Try, note: tried, reportingController: {by}, \
                 reportingInstance: {node}, regarding: {{apiVersion: {about}, kind: Container, name: one, namespace: default}}}}"
            ),
        )
    };
    let (of_abide, of_pods) = ("abide.dev/v1alpha1", "v1");
    let own = [
        (&agent, event("a", "abide-agent", "n1", of_abide)),
        (&controller, event("c", "abide.dev/controller", "controller", of_abide)),
    ];
    for (who, file) in &own {
        apply(who, file).unwrap_or_else(|said| panic!("{file}: {said}"));
    }
    server.apply(&fs::read_to_string(event("other", "kubelet", "n1", of_pods)).unwrap());
    let foreign = [
        (&agent, event("x1", "abide-agent", "n2", of_abide)),
        (&agent, event("x2", "abide-agent", "n1", of_pods)),
        (&agent, event("x3", "kubelet", "n1", of_abide)),
        (&controller, event("x4", "abide-agent", "n1", of_abide)),
        (&controller, event("x5", "abide.dev/controller", "controller", of_pods)),
        // Others' Events are not to be had by saying that they are one's own.
        (&agent, event("other", "abide-agent", "n1", of_abide)),
        (&controller, event("other", "abide.dev/controller", "controller", of_abide)),
    ];
    for (who, file) in &foreign {
        let said = server.kubectl_as(who, &["apply", "--server-side", "--force-conflicts", "-f", file]).unwrap_err();
        assert!(said.contains("may only write Events"), "{file}: {said}");
    }
}

#[test]
fn who_may_see_a_namespace_sees_what_is_ours_there() {
    let server = ApiServer::start();
    server.deploy();
    let labels = "jsonpath={.metadata.labels.rbac\\.authorization\\.k8s\\.io/aggregate-to-view}";
    assert_eq!(server.kubectl(&["get", "clusterrole", "abide-view", "-o", labels]), "true");
    server.apply(OBJECTS);
    let anna = server.account("default", "anna", None);
    server.kubectl(&["create", "rolebinding", "v", "--clusterrole", "abide-view", "--serviceaccount", "default:anna"]);
    while server.kubectl_as(&anna, &["get", "abide"]).is_err() {}
    assert!(server.kubectl_as(&anna, &["get", "abide", "-A"]).is_err());
    let delete = || server.kubectl_as(&anna, &["delete", "container", "one"]);
    assert!(delete().unwrap_err().contains("cannot delete resource"));
    server.kubectl(&["create", "rolebinding", "e", "--clusterrole", "abide-edit", "--serviceaccount", "default:anna"]);
    while delete().is_err() {}
    let status = r#"{"status":{"message":"m"}}"#;
    let status = ["patch", "container", "two", "--subresource=status", "--type=merge", "-p", status];
    let said = server.kubectl_as(&anna, &status).unwrap_err();
    assert!(said.contains("containers/status"), "an agent's to write: {said}");
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
