//! What gets lost: the agent, the API server, what it knew.

use crate::{
    life::greeting,
    node::{Node, cluster, condition, object, wait},
};
use abide_lab::run;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn what_runs_runs_on_whoever_is_away() {
    let mut server = cluster();
    let mut node = Node::started(&server, "n1");
    server.apply(&node.web("web", "one", ""));
    server.apply(&node.web("other", "one", ""));
    wait(&node, &server, "Container/web", "Ready");
    wait(&node, &server, "Container/other", "Ready");
    let pids = ["Container/web", "Container/other"].map(|unit| node.pid(unit));

    // The agent is killed, and comes again.
    node.kill();
    node.start();
    node.settled();
    assert_eq!(["Container/web", "Container/other"].map(|unit| node.pid(unit)), pids);

    // The API server is killed, and comes again.
    server.kill();
    node.wait("the loss is shown", |now| now.source("kubernetes").state == "unreachable");
    server.back();
    node.wait("it is found again", |now| now.source("kubernetes").state == "following");
    server.apply(&node.web("web", "two", ""));
    node.until("changes are heard of again", || {
        (object(&server, "Container/web")["status"]["observedGeneration"] == 2).then_some(())
    });
    node.settled();

    // Both are away, and something dies: it is healed from what is on disk.
    server.kill();
    node.kill();
    run("kill", &["-KILL", &pids[1].to_string()]);
    node.start();
    node.wait("it is healed without the API server", |now| {
        now.unit("Container/other").active().is_some_and(|instance| instance.pid.is_some_and(|pid| pid != pids[1]))
    });
    server.back();
    node.end(&server);
}

#[test]
fn what_vanishes_at_once_is_held() {
    let mut server = cluster();
    let node = Node::started(&server, "n1");
    let names = ["a", "b", "c", "d"];
    let without = server.backup();
    for name in names {
        server.apply(&node.web(name, "one", ""));
    }
    for name in names {
        wait(&node, &server, &format!("Container/{name}"), "Ready");
    }
    let pids = || names.map(|name| node.pid(&format!("Container/{name}")));
    let before = pids();
    let with = server.backup();
    // An old backup: nothing was deleted, and nothing is there.
    server.restore(&without);
    let now = node.wait("the guard asks", |now| now.source("kubernetes").state == "held");
    assert!(now.source("kubernetes").message.contains("removes everything it owns (4 units)"), "{now:#?}");
    assert_eq!(pids(), before);
    server.restore(&with);
    node.wait("what was there is there again", |now| now.settled && now.source("kubernetes").state == "following");
    assert_eq!(pids(), before);
    node.end(&server);
}

#[test]
fn what_a_restored_cluster_says_is_heard() {
    let mut server = cluster();
    let node = Node::started(&server, "n1");
    let says = |text: &str| {
        node.until(text, || (greeting(&node, "Container/web").as_deref() == Some(text)).then_some(()));
        node.settled();
    };
    for name in ["web", "other"] {
        server.apply(&node.web(name, "one", ""));
        wait(&node, &server, &format!("Container/{name}"), "Ready");
    }
    node.settled();
    let backup = server.backup();
    server.apply(&node.web("web", "two", ""));
    says("two");
    let other = node.pid("Container/other");

    // It goes on from the backup, and counts from there.
    server.restore(&backup);
    says("one");
    assert_eq!(node.pid("Container/other"), other, "what is as it was isn't touched");
    server.apply(&node.web("web", "three", ""));
    says("three");
    server.kubectl(&["delete", "containers.abide.dev", "web", "--timeout=60s"]);
    node.wait("it is gone", |now| now.find("Container/web").is_none());
    node.end(&server);
}

#[test]
fn agents_keep_to_their_nodes() {
    let server = cluster();
    let (one, two) = (Node::started(&server, "n1"), Node::started(&server, "n2"));
    server.apply(&one.web("a", "one", ""));
    server.apply(&two.web("b", "one", ""));
    wait(&one, &server, "Container/a", "Ready");
    wait(&two, &server, "Container/b", "Ready");
    assert!(one.get().find("Container/b").is_none());
    assert!(two.get().find("Container/a").is_none());
    assert_eq!(object(&server, "Container/b")["status"]["node"], "n2");
    assert_eq!(condition(&object(&server, "Container/b"), "Ready")[0], "True");
    let leases = server.kubectl(&["-n", "abide-system", "get", "leases", "-o", "name"]);
    assert!(leases.contains("abide-node-n1") && leases.contains("abide-node-n2"), "{leases}");
    one.end(&server);
    two.end(&server);
}

#[test]
fn the_end_of_its_pod_is_not_the_end_of_what_runs() {
    let server = cluster();
    let mut node = Node::started(&server, "n1");
    node.stop();
    let pod = Pod::new();
    node.start_in(&pod.0);
    server.apply(&node.web("web", "one", ""));
    wait(&node, &server, "Container/web", "Ready");
    let ends_with_it = fs::read_to_string(pod.0.join("cgroup.procs")).unwrap();
    assert_eq!(ends_with_it, format!("{}\n", node.agent()), "the agent alone");
    let pid = node.pid("Container/web");
    node.kill();
    node.start();
    assert_eq!(node.pid("Container/web"), pid);
    node.end(&server);
}

/// The control group of a pod, in any hierarchy.
struct Pod(PathBuf);

impl Pod {
    fn new() -> Self {
        let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
        let root = roots.iter().map(Path::new).find(|root| root.join("cgroup.procs").exists()).unwrap();
        let group = root.join(format!("abide-test-pod-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        Self(group)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // Where the test failed, somebody may be in it.
        let _ = fs::remove_dir(&self.0);
    }
}
