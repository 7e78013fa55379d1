//! A Kubernetes API server and its etcd, on loopback: what `apiserver/build.sh` makes of upstream's libraries, or stock ones where
//! KUBEBUILDER_ASSETS names them. There is no kubelet: a node is an object, and its agent a process of the test.

mod processes;

use processes::Processes;
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};
use tempfile::TempDir;

/// The namespace of agents and controller.
pub const SYSTEM: &str = "abide-system";

/// A server with an etcd of its own, until it is dropped. It keeps its port and data as long.
pub struct ApiServer {
    processes: Processes,
}

/// What was in etcd at some time.
pub struct Backup(TempDir);

impl ApiServer {
    /// Starts both, and returns when the server is ready.
    pub fn start() -> Self {
        let token = random_word();
        let server = Self { processes: Processes::start(&format!("{token},admin,admin,\"system:masters\"\n")) };
        server.write_kubeconfig("admin", &token);
        server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.processes.url()
    }

    /// The kubeconfig of somebody who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.processes.file("admin.kubeconfig")
    }

    /// The kubeconfig of the agent of a node: what its pod of `deploy/kubernetes` has, with a token that says the node. Its rights
    /// come with that folder, which is applied or not. The namespace, the account and the pod are made if they aren't there.
    pub fn agent(&self, node: &str) -> PathBuf {
        self.account(SYSTEM, "abide-agent", Some(node))
    }

    /// The kubeconfig of the controller, in the same way.
    pub fn controller(&self) -> PathBuf {
        self.account(SYSTEM, "abide-controller", None)
    }

    /// The kubeconfig of any account, for a pod of it on this node.
    pub fn account(&self, namespace: &str, name: &str, node: Option<&str>) -> PathBuf {
        let pod = node.map_or_else(|| name.to_owned(), |node| format!("{name}-{node}"));
        let spec = serde_json::json!({ "nodeName": node, "serviceAccountName": name, "containers": [{ "name": "abide", "image": "abide" }] });
        self.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}\n---\n\
             {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: {namespace}}}}}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: {pod}, namespace: {namespace}}}, spec: {spec}}}\n"
        ));
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", &pod, "--duration", "24h"];
        let token = self.kubectl(&[&["-n", namespace, "create", "token", name], &bound[..]].concat());
        self.write_kubeconfig(&pod, token.trim())
    }

    /// Applies `deploy/kubernetes`, and returns when objects of our kinds may be written.
    pub fn deploy(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes");
        // What a test changed of it is as it should be then.
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", folder.to_str().unwrap()]);
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    }

    /// Makes the object of a node.
    pub fn node(&self, name: &str) {
        self.apply(&format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}}}"));
    }

    /// `kubectl apply -f -` of these documents; what it says.
    pub fn apply(&self, documents: &str) -> String {
        self.kubectl_with(&self.kubeconfig(), &["apply", "-f", "-"], documents)
            .unwrap_or_else(|said| panic!("{said}\n{documents}"))
    }

    /// Runs kubectl as the admin, who succeeds; what it prints.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_as(&self.kubeconfig(), arguments).unwrap_or_else(|said| panic!("kubectl {arguments:?}: {said}"))
    }

    /// Runs kubectl as somebody: what it prints, or everything it says where it fails.
    pub fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<String, String> {
        self.kubectl_with(kubeconfig, arguments, "")
    }

    fn kubectl_with(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut child = self.kubectl_command(kubeconfig).args(arguments).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It needn't read what it has no use for.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&stdout).into_owned();
        if status.success() { Ok(said) } else { Err(said + &String::from_utf8_lossy(&stderr)) }
    }

    /// kubectl as somebody, which the caller starts: what comes in and out is piped.
    pub fn kubectl_command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(assets().join("kubectl"));
        command.arg("--kubeconfig").arg(kubeconfig).env("HOME", self.processes.file("")).env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Has the server stop as when it is upgraded.
    pub fn stop(&mut self) {
        self.processes.stop();
    }

    /// Kills the server, in the middle of what it does.
    pub fn kill(&mut self) {
        self.processes.kill();
    }

    /// Has the server be there again, on the same port and what is in etcd, and returns when it is ready.
    pub fn back(&mut self) {
        self.processes.back();
    }

    /// What is in etcd. The server is away meanwhile.
    pub fn backup(&mut self) -> Backup {
        let backup = Backup(tempfile::tempdir().unwrap());
        self.processes.while_stopped(|data| copy(data, backup.0.path()));
        backup
    }

    /// Has in etcd what was there when the backup was made, and nothing else.
    pub fn restore(&mut self, backup: &Backup) {
        self.processes.while_stopped(|data| {
            fs::remove_dir_all(data).unwrap();
            copy(&backup.0.path().join(data.file_name().unwrap()), data.parent().unwrap());
        });
    }

    /// Has nothing in etcd, as after the loss of its disk.
    pub fn empty(&mut self) {
        self.processes.while_stopped(|data| fs::remove_dir_all(data).unwrap());
    }

    /// Has etcd forget all that was before now, as the server has it do every few minutes: nobody can go on from there.
    pub fn compact(&self) {
        self.processes.compact();
    }

    fn write_kubeconfig(&self, name: &str, token: &str) -> PathBuf {
        let authority = self.processes.file("ca.pem");
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "lab", "cluster": { "server": self.url(), "certificate-authority": authority } }],
            "users": [{ "name": name, "user": { "token": token } }],
            "contexts": [{ "name": name, "context": { "cluster": "lab", "user": name } }],
            "current-context": name,
        });
        let path = self.processes.file(&format!("{name}.kubeconfig"));
        fs::write(&path, config.to_string()).unwrap();
        path
    }
}

/// The folder with `kube-apiserver`, `etcd` and `kubectl`. They are built when a test first asks.
pub fn assets() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("apiserver/build.sh");
        let output = Command::new(&script).stderr(Stdio::inherit()).output();
        let output = output.unwrap_or_else(|error| panic!("running {}: {error}", script.display()));
        assert!(output.status.success(), "{} failed; above is why", script.display());
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    })
}

fn copy(from: &Path, into: &Path) {
    crate::run("cp", &["-a", from.to_str().unwrap(), into.to_str().unwrap()]);
}

fn random_word() -> String {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
