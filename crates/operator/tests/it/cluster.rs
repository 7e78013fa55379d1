//! A real API server that knows our kinds.

use abide_lab::ApiServer;
use abide_operator::crd;
use abide_spec::Kind;
use kube::{
    Api, Client, Config, Error,
    api::{DynamicObject, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use std::io::Write as _;
use tokio::runtime::Runtime;

/// A server with our definitions, and a client of it.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    runtime: Runtime,
    client: Client,
}

impl Cluster {
    /// Starts a server, and returns when objects of our kinds may be written.
    pub(crate) fn start() -> Self {
        let server = ApiServer::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let file = Kubeconfig::read_from(server.kubeconfig()).unwrap();
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
            Client::try_from(config).unwrap()
        });
        let cluster = Self { server, runtime, client };
        cluster.define(&crd::definitions());
        cluster
    }

    /// Applies definitions; the server takes them without a word of warning.
    pub(crate) fn define(&self, definitions: &[Value]) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": definitions }).to_string();
        let mut kubectl = self.server.kubectl_command(&self.server.kubeconfig());
        let mut child = kubectl.args(["apply", "--server-side", "-f", "-"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
        self.server.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    }

    /// Applies an object, which is right.
    pub(crate) fn apply(&self, document: &Value) {
        self.patch(document, &PatchParams::apply("test").validation_strict()).unwrap();
    }

    /// What the server finds wrong with an object: which field, and what was written followed by why it is wrong.
    pub(crate) fn mistakes(&self, document: &Value) -> Vec<(String, String)> {
        let status = match self.patch(document, &PatchParams::apply("test").validation_strict().dry_run()) {
            Ok(_) => return Vec::new(),
            Err(Error::Api(status)) => status,
            Err(error) => panic!("{document}: {error}"),
        };
        let causes = status.details.map(|details| details.causes).unwrap_or_default();
        if causes.is_empty() {
            return vec![(String::new(), status.message)];
        }
        causes.into_iter().map(|cause| (cause.field, cause.message)).collect()
    }

    fn patch(&self, document: &Value, how: &PatchParams) -> Result<DynamicObject, Error> {
        let kind = Kind::WRITTEN.into_iter().find(|kind| document["kind"] == kind.as_str()).unwrap();
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), "default", &crd::resource(kind));
        let name = document["metadata"]["name"].as_str().unwrap();
        self.runtime.block_on(api.patch(name, how, &Patch::Apply(document)))
    }
}

/// A document of one of our kinds.
pub(crate) fn document(kind: &str, name: &str, spec: &Value) -> Value {
    let api = format!("{}/{}", crd::GROUP, crd::VERSION);
    json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name }, "spec": spec })
}
