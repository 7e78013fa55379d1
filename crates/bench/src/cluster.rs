//! A cluster that is measured: a real API server with its etcd, and nodes that are the released binary's agents, each on a root
//! of its own. There is no kubelet, and nobody else asks the server.

use crate::{
    Problem, agent,
    api::Api,
    process::Ended,
    world::{self, InMemory, in_memory},
};
use abide_lab::{ApiServer, Rig, oci};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// Between two looks at what nobody announces.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(120);

/// An API server and its nodes.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) api: Api,
    pub(crate) nodes: Vec<Node>,
    controller: Option<(Rig, Ended)>,
}

/// A node with an agent that may use the image of the containers.
pub(crate) struct Node {
    name: String,
    rig: Rig,
    run: InMemory,
}

impl Cluster {
    /// With nodes of these names, whose agents answer. They have the rights that `deploy/kubernetes` gives them.
    pub(crate) fn begin(names: &[&str]) -> Result<Self, Problem> {
        let server = ApiServer::start();
        world::remember(server.kubeconfig());
        server.deploy();
        let nodes = names.iter().map(|name| Node::begin(&server, name)).collect::<Result<_, _>>()?;
        let api = Api::of(&server)?;
        Ok(Self { server, api, nodes, controller: None })
    }

    /// Starts a controller, and returns when it leads.
    pub(crate) fn control(&mut self) -> Result<(), Problem> {
        let rig = world::rig()?;
        let kubeconfig = self.server.controller();
        let mut command = rig.command(&["operator", "--controller", "--kubeconfig"]);
        let log = fs::File::create(rig.path("controller.log"))?;
        command.arg(kubeconfig).stdout(log.try_clone()?).stderr(log);
        let child = Ended(command.spawn()?);
        let log = rig.path("controller.log");
        self.controller = Some((rig, child));
        until(
            || Ok(fs::read_to_string(&log)?.contains(" leads ").then_some(())),
            || "the controller doesn't lead".into(),
        )
    }

    /// Nothing is left of it. What the nodes ran has to be deleted before.
    pub(crate) fn end(self) {
        let Self { server, api: _, nodes, controller } = self;
        nodes.into_iter().for_each(Node::end);
        if let Some((rig, child)) = controller {
            drop(child);
            let root = rig.root();
            drop(rig);
            world::forget(&root);
        }
        world::forget(&server.kubeconfig());
    }
}

impl Node {
    fn begin(server: &ApiServer, name: &str) -> Result<Self, Problem> {
        server.node(name);
        let mut rig = world::rig()?;
        oci::hello().write_layout(&rig.path("images/hello"), "hello");
        let source = json!({
            "apiVersion": "abide.dev/v1alpha1", "kind": "Source", "metadata": { "name": "kubernetes" },
            "spec": { "kubernetes": { "node": name }, "grants": { "hostPaths": [rig.path("images")] } },
        });
        let file = rig.path("source.yaml");
        fs::write(&file, source.to_string())?;
        let run = rig.root().join("run");
        fs::create_dir(&run)?;
        let run = in_memory(&run)?;
        let text = |path: PathBuf| path.to_str().map(str::to_owned).ok_or("a temporary folder's path is no text");
        let [kubeconfig, file] = [text(server.agent(name))?, text(file)?];
        let words = ["operator", "--node", name, "--kubeconfig", &kubeconfig, "-f", &file];
        rig.start_by(&[], &words.map(str::to_owned));
        Ok(Self { name: name.to_owned(), rig, run })
    }

    /// The agent.
    pub(crate) fn agent(&self) -> Pid {
        Pid::from_raw(self.rig.agent().cast_signed())
    }

    /// How many units its agent knows.
    pub(crate) fn units(&self) -> Result<usize, Problem> {
        let snapshot = agent::get(&self.rig.root().join("run/agent.sock"))?;
        Ok(snapshot.ok_or_else(|| format!("the agent of {} is gone: {}", self.name, self.rig.log()))?.units.len())
    }

    /// A container of this node that says `greeting`.
    pub(crate) fn container(&self, name: &str, greeting: &str) -> Value {
        let image = format!("oci:{}", self.rig.path("images/hello").display());
        json!({
            "apiVersion": "abide.dev/v1alpha1", "kind": "Container", "metadata": { "name": name, "namespace": "default" },
            "spec": { "node": self.name, "image": image, "env": { "GREETING": { "value": greeting } } },
        })
    }

    /// Waits until its agent knows so many units.
    pub(crate) fn until_units(&self, count: usize) -> Result<(), Problem> {
        let is = || Ok((self.units()? == count).then_some(()));
        until(is, || format!("{} has not {count} units: {}", self.name, self.rig.abide(&["get"])))
    }

    fn end(self) {
        let Self { name: _, mut rig, run } = self;
        let root = rig.root();
        rig.stop();
        drop(run);
        drop(rig);
        world::forget(&root);
    }
}

fn until<T>(mut look: impl FnMut() -> Result<Option<T>, Problem>, or: impl Fn() -> String) -> Result<T, Problem> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(or().into());
        }
        thread::sleep(PAUSE);
    }
}
