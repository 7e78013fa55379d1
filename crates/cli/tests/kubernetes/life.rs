//! From `kubectl apply` to `kubectl delete`.

use crate::node::{Node, cluster, condition, object, wait};
use abide_lab::{host_port, http::get, oci, run};
use std::{fs, net::SocketAddr};

/// What a container says.
pub(crate) fn greeting(node: &Node, unit: &str) -> Option<String> {
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
fn a_release_that_adds_a_field_disturbs_nobody() {
    let server = cluster();
    let node = Node::started(&server, "n1");
    // The release before had no such field, and what has it is no object of that release.
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/workingDir";
    let older = format!(r#"[{{"op": "remove", "path": "{field}"}}]"#);
    server.kubectl(&["patch", "crd", "containers.abide.dev", "--type=json", "-p", &older]);
    let with_field = node.web("web", "one", "  workingDir: /tmp\n");
    let apply_new = || {
        let file = node.path("web.yaml");
        fs::write(&file, &with_field).unwrap();
        server.kubectl_as(&server.kubeconfig(), &["apply", "-f", file.to_str().unwrap()])
    };
    let refused = node.until("the older definition is served", || apply_new().err());
    assert!(refused.contains("unknown field \"spec.workingDir\""), "{refused}");
    server.apply(&node.web("web", "one", ""));
    wait(&node, &server, "Container/web", "Ready");
    let (before, pid) = (object(&server, "Container/web"), node.pid("Container/web"));

    // The upgrade, under running agents: their watches end, and nothing is written or touched.
    server.deploy();
    server.apply(&node.web("heard", "one", ""));
    wait(&node, &server, "Container/heard", "Ready");
    assert_eq!(object(&server, "Container/web"), before);
    assert_eq!(node.pid("Container/web"), pid);
    node.until("the field is served", || apply_new().ok());
    node.until("the new version is told", || {
        let now = object(&server, "Container/web");
        (condition(&now, "Ready")[0] == "True" && now["status"]["observedGeneration"] == 2).then_some(())
    });
    node.settled();
    let folder = fs::read_link(format!("/proc/{}/cwd", node.pid("Container/web"))).unwrap();
    assert_eq!(folder.file_name().unwrap(), "tmp");
    node.end(&server);
}

#[test]
fn what_a_repository_has_an_object_does_not_get() {
    let server = cluster();
    let node = Node::started(&server, "n1");
    // It is called as the namespace is, and was there first.
    let repository = node.repository("default");
    repository.image("hello", &oci::hello());
    let container = |name: &str| {
        format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {{name: {name}}}\nspec: {{image: oci:images/hello}}\n---\n"
        )
    };
    repository.write("all.yaml", &[container("web"), container("more")].concat());
    repository.deploy("web and more");
    let now = node.settled();
    let pid = now.unit("Container/web").pid();

    server.apply(&[node.web("web", "one", ""), node.web("other", "one", "")].concat());
    wait(&node, &server, "Container/other", "Ready");
    wait(&node, &server, "Container/web", "Stalled");
    let [status, reason, message] = condition(&object(&server, "Container/web"), "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Invalid"));
    assert!(message.starts_with("source default of this node"), "{message}");
    assert_eq!(node.pid("Container/web"), pid, "the repository's");

    // Nor does a commit get what an object has. It is refused as a whole, as commits are.
    repository.write("all.yaml", &[container("web"), container("more"), container("other")].concat());
    let commit = repository.land("other, too");
    let followed = repository.follow(&commit);
    assert!(followed.to_string().contains("is wished by source kubernetes too"), "{followed}");

    // What the repository gives up is the object's.
    repository.write("all.yaml", &container("more"));
    repository.deploy("web is the cluster's");
    wait(&node, &server, "Container/web", "Ready");
    assert_ne!(node.pid("Container/web"), pid);
    server.kubectl(&["delete", "containers.abide.dev", "--all", "--timeout=60s"]);
    node.must(&["down"]);
    node.end(&server);
}

#[test]
fn who_is_mistaken_is_told_and_hurts_nobody() {
    let server = cluster();
    let mut node = Node::started(&server, "n1");
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

    // What is kept of it is known to an agent that is started with other grants, too.
    node.kill();
    let shared = "  volumes: [{mountPath: /shared, hostPath: /usr/share, readOnly: true}]\n";
    server.apply(&node.web("granted", "x", shared));
    node.write_source("/usr/share");
    node.start();
    wait(&node, &server, "Container/granted", "Ready");
    assert_eq!(node.pid("Container/web"), pid);
    node.end(&server);
}
