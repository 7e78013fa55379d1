//! Nodes of a cluster: an agent each, on a root of its own.

use abide_lab::{ApiServer, Rig, guest, oci, run};
use serde_json::Value;
use std::{
    fs,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
};

/// An API server that knows our kinds, and nodes with their agents' rights as deploy/kubernetes gives them.
pub(crate) fn cluster() -> ApiServer {
    let server = ApiServer::start();
    server.deploy();
    server
}

/// A node's agent.
pub(crate) struct Node {
    rig: Rig,
    name: String,
    images: PathBuf,
    kubeconfig: PathBuf,
}

impl Node {
    /// With an agent that may use the images in its own folder.
    pub(crate) fn started(server: &ApiServer, name: &str) -> Self {
        let kubeconfig = server.agent(name);
        Self::with(server, name, kubeconfig, None)
    }

    /// With an agent that no pod is, but the node's owner has started, with an account of their own.
    pub(crate) fn of_an_owner(server: &ApiServer, name: &str) -> Self {
        Self::with(server, name, server.kubeconfig(), None)
    }

    /// Another node, on which the images of this one are in the same place.
    pub(crate) fn beside(&self, server: &ApiServer, name: &str) -> Self {
        let kubeconfig = server.agent(name);
        Self::with(server, name, kubeconfig, Some(self.images.clone()))
    }

    fn with(server: &ApiServer, name: &str, kubeconfig: PathBuf, images: Option<PathBuf>) -> Self {
        server.node(name);
        let rig = Rig::new(env!("CARGO_BIN_EXE_abide"));
        let images = images.unwrap_or_else(|| {
            let images = rig.path("images");
            oci::hello().write_layout(&images.join("hello"), "hello");
            images
        });
        let mut node = Self { rig, name: name.to_owned(), images, kubeconfig };
        node.write_source("/nothing/else");
        node.start();
        node
    }

    /// What the agent follows from its next start on, and whose files objects may have: the rig's, the images, and this folder's.
    pub(crate) fn write_source(&self, folder: &str) {
        let (rig, images) = (self.rig.path(""), &self.images);
        let source = format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Source\nmetadata: {{name: kubernetes}}\nspec:\n  kubernetes: {{node: {}}}\n  grants: {{hostPaths: [{rig:?}, {images:?}, {folder}]}}\n",
            self.name
        );
        fs::write(self.rig.path("source.yaml"), source).unwrap();
    }

    /// Starts the agent again.
    pub(crate) fn start(&mut self) {
        self.rig.start_by(&[], &self.arguments());
    }

    /// The same in a pod whose control group this is.
    pub(crate) fn start_in(&mut self, pod: &Path) {
        let arguments = self.arguments();
        let join = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", pod.display());
        self.rig.start_by(&["env", "KUBERNETES_SERVICE_HOST=127.0.0.1", "sh", "-c", &join], &arguments);
    }

    fn arguments(&self) -> Vec<String> {
        let source = self.rig.path("source.yaml").to_str().unwrap().to_owned();
        let kubeconfig = self.kubeconfig.to_str().unwrap().to_owned();
        let words = ["operator", "--node", &self.name, "--kubeconfig", &kubeconfig, "-f", &source];
        words.map(str::to_owned).to_vec()
    }

    /// A container of this node which says `greeting`. `more` is of its spec.
    pub(crate) fn web(&self, name: &str, greeting: &str, more: &str) -> String {
        self.container(name, greeting, &format!("node: {}", self.name), more)
    }

    /// The same of any node that has this one's images.
    pub(crate) fn placed(&self, name: &str) -> String {
        self.container(name, "x", "nodeSelector: {}", "")
    }

    fn container(&self, name: &str, greeting: &str, place: &str, more: &str) -> String {
        let image = self.images.join("hello");
        format!(
            "apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {{name: {name}}}
spec:
  {place}
  image: \"oci:{}\"
  env: {{GREETING: {{value: {greeting}}}}}
  readiness: {{http: {{port: 8080, path: /healthz}}, interval: 1s}}
{more}
---
",
            image.display()
        )
    }

    /// A virtual machine of this node, which answers on this host port.
    pub(crate) fn machine(&self, name: &str, port: u16) -> String {
        let kernel = self.rig.path("guest");
        fs::copy(guest(), &kernel).unwrap();
        format!(
            "apiVersion: abide.dev/v1alpha1
kind: VirtualMachine
metadata: {{name: {name}}}
spec:
  node: {}
  boot: {{kernel: {{hostPath: {kernel:?}}}}}
  resources: {{cpu: 1, memory: 64Mi}}
  ports: [{{port: 80, hostPort: {port}}}]
",
            self.name
        )
    }

    /// Sends its agent a signal.
    pub(crate) fn signal(&self, name: &str) {
        run("kill", &[&format!("-{name}"), &self.rig.agent().to_string()]);
    }

    /// The process of a unit's only instance.
    pub(crate) fn pid(&self, unit: &str) -> i32 {
        self.rig.get().unit(unit).pid()
    }

    /// All objects are deleted, and nothing may be left over.
    pub(crate) fn end(mut self, server: &ApiServer) {
        let kinds = "containers.abide.dev,virtualmachines.abide.dev,volumes.abide.dev";
        server.kubectl(&["delete", kinds, "--all", "-A", "--timeout=60s"]);
        self.rig.stop();
        let left = self.rig.traces();
        assert!(left.is_empty(), "left over: {left:#?}\nthe agent's log:\n{}", self.rig.log());
    }
}

impl Deref for Node {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.rig
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut Rig {
        &mut self.rig
    }
}

/// An object, as the API server has it.
pub(crate) fn object(server: &ApiServer, unit: &str) -> Value {
    serde_json::from_str(&server.kubectl(&["get", &lower(unit), "-o", "json"])).unwrap()
}

/// The status, reason and message of a condition; empty where it isn't there.
pub(crate) fn condition(object: &Value, kind: &str) -> [String; 3] {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
    ["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned())
}

/// Waits by kubectl, as people do.
pub(crate) fn wait(node: &Node, server: &ApiServer, unit: &str, condition: &str) {
    let arguments = ["wait", &format!("--for=condition={condition}"), "--timeout=60s", &lower(unit)];
    if let Err(said) = server.kubectl_as(&server.kubeconfig(), &arguments) {
        let object = server.kubectl(&["get", &lower(unit), "-o", "yaml"]);
        panic!("{said}\n{object}\n{}\nthe agent's log:\n{}", node.abide(&["get"]), node.log());
    }
}

/// `container.abide.dev/web`: other groups have containers, too.
fn lower(unit: &str) -> String {
    let (kind, name) = unit.split_once('/').unwrap();
    format!("{}s.abide.dev/{name}", kind.to_lowercase())
}
