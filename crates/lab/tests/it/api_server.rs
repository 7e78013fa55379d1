//! The API server behaves as one where tests of the operator rely on it.

use abide_lab::{ApiServer, SYSTEM};

#[test]
fn it_keeps_what_it_was_told_whatever_happens_to_it() {
    let mut server = ApiServer::start();
    server.kubectl(&["create", "configmap", "first"]);
    server.kill();
    assert!(server.kubectl_as(&server.kubeconfig(), &["get", "configmap", "first"]).is_err(), "it is away");
    server.back();
    server.kubectl(&["get", "configmap", "first"]);
    let backup = server.backup();
    server.kubectl(&["create", "configmap", "second"]);
    server.stop();
    server.back();
    server.kubectl(&["get", "configmap", "first", "second"]);
    server.restore(&backup);
    server.kubectl(&["get", "configmap", "first"]);
    assert!(
        server.kubectl_as(&server.kubeconfig(), &["get", "configmap", "second"]).is_err(),
        "it came after the backup"
    );
    server.empty();
    assert!(server.kubectl_as(&server.kubeconfig(), &["get", "configmap", "first"]).is_err(), "nothing is there");
}

#[test]
fn an_agent_is_who_its_pod_is_and_may_what_it_was_given() {
    let server = ApiServer::start();
    let agent = server.agent("n1");
    let who = server.kubectl_as(&agent, &["auth", "can-i", "get", "secret/a", "-n", "default"]);
    assert!(who.unwrap_err().starts_with("no"));
    server.apply(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: one-secret}, rules: [
           {apiGroups: [''], resources: [secrets], resourceNames: [a], verbs: [get, list, watch]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: one-secret},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: one-secret},
 subjects: [{kind: ServiceAccount, name: abide-agent, namespace: abide-system}]}
---
{apiVersion: v1, kind: Secret, metadata: {name: a}}
---
{apiVersion: v1, kind: Secret, metadata: {name: b}}
",
    );
    // The rules are known a moment after they are stored.
    let by_name = ["get", "secrets", "--field-selector", "metadata.name=a", "-o", "name"];
    while server.kubectl_as(&agent, &by_name).is_err() {}
    assert_eq!(server.kubectl_as(&agent, &by_name).unwrap(), "secret/a\n");
    for refused in [["get", "secret", "b"], ["get", "secrets", "-A"], ["delete", "secret", "a"]] {
        assert!(server.kubectl_as(&agent, &refused).unwrap_err().contains("forbidden"), "{refused:?}");
    }
    let controller = server.controller();
    assert!(server.kubectl_as(&controller, &by_name).unwrap_err().contains("forbidden"));
    let pods = server.kubectl(&["-n", SYSTEM, "get", "pods", "-o", "name", "--field-selector", "spec.nodeName=n1"]);
    assert_eq!(pods, "pod/abide-agent-n1\n");
}
