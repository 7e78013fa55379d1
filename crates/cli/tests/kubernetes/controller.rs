//! Controllers, and nodes that are nothing but their objects: a `Node`, and the Lease that its agent would renew.

use abide_lab::{ApiServer, SYSTEM, rig::PATIENCE, run};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Between two looks at what nobody announces.
const PAUSE: Duration = Duration::from_millis(200);

/// A controller on a root of its own, which is killed when it is dropped.
pub(crate) struct Controller {
    folder: TempDir,
    child: Child,
}

impl Controller {
    /// One that takes nodes for lost after two seconds, with the rights that deploy/kubernetes gives it.
    pub(crate) fn start(server: &ApiServer) -> Self {
        Self::with_patience(server, "2s")
    }

    /// The same, which waits so long for silent nodes.
    pub(crate) fn with_patience(server: &ApiServer, node_timeout: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("abide-lab-").tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let binary = std::env::var_os("ABIDE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_abide").into());
        let mut command = Command::new(binary);
        command.arg("--root").arg(folder.path().join("root"));
        command
            .args(["operator", "--controller", "--node-timeout", node_timeout, "--kubeconfig"])
            .arg(server.controller());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { folder, child }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        run("kill", &[&format!("-{name}"), &self.child.id().to_string()]);
    }

    /// Its exit code, or 128 + n for signal n, as soon as it ends.
    pub(crate) fn ended(&mut self) -> i32 {
        let status = until("the controller ends", || self.child.try_wait().unwrap());
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    /// What it says.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits until it leads.
    pub(crate) fn leads(&self) {
        until("it leads", || self.log().contains(" leads ").then_some(()));
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("a controller's log:\n{}", self.log());
        }
        // It may have ended, or be stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what somebody brings about.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited too long until {what}");
        thread::sleep(PAUSE);
    }
}

/// Makes a node whose agent renewed its Lease just now, for an hour.
pub(crate) fn node(server: &ApiServer, name: &str, labels: &str) {
    server.apply(&format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{{labels}}}}}}}"));
    beat(server, name, 3600);
}

/// Has the agent of a node renew its Lease, for so long.
pub(crate) fn beat(server: &ApiServer, name: &str, seconds: u32) {
    let now = Command::new("date").args(["-u", "+%FT%T.%6NZ"]).output().unwrap().stdout;
    let now = String::from_utf8(now).unwrap();
    server.apply(&format!(
        "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: abide-node-{name}, namespace: {SYSTEM}}}, \
         spec: {{holderIdentity: {name}, leaseDurationSeconds: {seconds}, renewTime: {:?}}}}}",
        now.trim()
    ));
}

/// A container with this in its spec.
pub(crate) fn container(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: abide.dev/v1alpha1, kind: Container, metadata: {{name: {name}}}, spec: {{image: hello, {spec}}}}}\n---\n"
    )
}

/// All objects of our kinds.
pub(crate) fn objects(server: &ApiServer) -> Vec<Value> {
    let list: Value = serde_json::from_str(&server.kubectl(&["get", "abide", "-A", "-o", "json"])).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// The node of each object, by name; empty where it has none.
pub(crate) fn nodes(server: &ApiServer) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects(server).iter().map(|object| (text(&object["metadata"]["name"]), text(&object["spec"]["node"]))).collect()
}

/// Waits until every object has a node, and tells which.
pub(crate) fn placed(server: &ApiServer) -> BTreeMap<String, String> {
    until("all have a node", || Some(nodes(server)).filter(|nodes| nodes.values().all(|node| !node.is_empty())))
}
