//! The agent in a pod, as `deploy/kubernetes/agent.yaml` has it: what it runs is the node's and not the pod's.
//!
//! There is no kubelet here. The pod is made by runc, which is what most kubelets have it made by, and ended as they do: everything
//! in its control group is killed. The node is a mount namespace that shares, as systemd has it on nodes.

use crate::{
    documents::{machine, web},
    rig,
    support::{boots, greeting},
};
use abide_lab::{Rig, guest, host_port, oci, run, write};
use serde_json::{Value, json};
use std::{
    env, fs,
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

struct Node(Child);

impl Node {
    fn new() -> Self {
        let script = "echo it shares; exec sleep infinity";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "shared", "sh", "-c", script]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
        Self(child)
    }

    fn run(&self, arguments: &[&str]) {
        let pid = self.0.id().to_string();
        run("nsenter", &[&["--target", &pid, "--mount"], arguments].concat());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Pod<'a> {
    node: &'a Node,
    name: String,
    states: PathBuf,
}

impl<'a> Pod<'a> {
    /// With an agent of the rig's root, which answers.
    fn start(node: &'a Node, rig: &Rig, name: &str) -> Self {
        let bundle = rig.path(name);
        fs::create_dir_all(bundle.join("rootfs")).unwrap();
        fs::copy(rig.command(&[]).get_program(), bundle.join("rootfs/abide")).unwrap();
        write(&bundle.join("config.json"), container(rig, name).to_string().as_bytes());
        let pod = Self { node, name: format!("{name}-{}", std::process::id()), states: rig.path("runc") };
        let script =
            format!("exec runc --root $0 run --detach --bundle $1 $2 </dev/null >{0}/log 2>&1", bundle.display());
        let (states, bundle) = (pod.states.to_str().unwrap(), bundle.to_str().unwrap());
        node.run(&["sh", "-c", &script, states, bundle, &pod.name]);
        rig.until("the agent in the pod answers", || Some(rig.abide(&["events"])).filter(|said| said.code == 0));
        pod
    }

    fn runc(&self, arguments: &[&str]) {
        self.node.run(&[&["runc", "--root", self.states.to_str().unwrap()], arguments].concat());
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        // Without a pid namespace of its own, that is every process in its control group.
        self.runc(&["kill", &self.name, "KILL"]);
        self.runc(&["delete", "--force", &self.name]);
    }
}

/// The container of `agent.yaml`, as a kubelet says it to runc; the root is where the test has it.
fn container(rig: &Rig, name: &str) -> Value {
    let bound = |from: &str, more: &[&str]| {
        let options = [&["rbind"], more].concat();
        json!({"type": "none", "source": from, "destination": from, "options": options})
    };
    let mut mounts = vec![
        json!({"type": "proc", "source": "proc", "destination": "/proc"}),
        bound("/sys", &["rw"]),
        bound("/sys/fs/cgroup", &["rw"]),
        bound("/dev", &["rw"]),
        bound("/etc/ssl/certs", &["ro"]),
        json!({"type": "tmpfs", "source": "tmpfs", "destination": "/tmp"}),
        bound(rig.path("").to_str().unwrap(), &["rw", "rshared"]),
    ];
    if env::var_os("ABIDE_BIN").is_none() {
        // The release has all in one file; what cargo builds for the machine is linked.
        mounts.extend(["/lib", "/lib64"].map(|folder| bound(folder, &["ro"])));
    }
    let capabilities = capabilities();
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": true},
        "process": {
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "args": ["/abide", "agent", "--root", rig.root()],
            "env": ["KUBERNETES_SERVICE_HOST=192.0.2.1"],
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "mounts": mounts,
        "linux": {
            // No pid and network namespace: `hostPID` and `hostNetwork`.
            "namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "ipc"}],
            "rootfsPropagation": "rshared",
            "cgroupsPath": format!("/abide-lab-{name}-{}", std::process::id()),
            "resources": {"devices": [{"allow": true, "access": "rwm"}]},
        },
    })
}

/// All that this machine has, as `privileged` does.
fn capabilities() -> Vec<String> {
    let output = Command::new("setpriv").arg("--dump").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let bounding = text.lines().find_map(|line| line.strip_prefix("Capability bounding set: ")).unwrap();
    bounding.split(',').map(|name| format!("CAP_{}", name.trim().to_uppercase())).collect()
}

#[test]
fn units_outlive_the_pod_and_the_next_one_finds_them() {
    let (node, rig, ports) = (Node::new(), rig(), [host_port(), host_port()]);
    let shop = rig.path("shop");
    oci::hello().write_layout(&shop.join("images/hello"), "hello");
    write(&shop.join("images/guest"), &fs::read(guest()).unwrap());
    let mounted = "  volumes: [{secret: word, mountPath: /word}]\n";
    write(&shop.join("word.yaml"), b"apiVersion: v1\nkind: Secret\nmetadata: {name: word}\nstringData: {word: hush}\n");
    write(&shop.join("web.yaml"), web("web", "hello", ports[0].number, mounted).as_bytes());
    write(&shop.join("guest.yaml"), machine("guest", ports[1].number).as_bytes());

    let first = Pod::start(&node, &rig, "first");
    rig.must(&["apply", shop.to_str().unwrap()]);
    let (before, answered) = (rig.settled(), boots(&rig, ports[1].number));
    drop(first);
    assert_eq!(greeting(ports[0].number), "hello", "it serves without an agent");

    let second = Pod::start(&node, &rig, "second");
    let now = rig.settled();
    for unit in ["Container/web", "VirtualMachine/guest"] {
        assert_eq!(now.unit(unit).instance(), before.unit(unit).instance(), "it was left alone");
    }
    assert_eq!((greeting(ports[0].number), boots(&rig, ports[1].number)), ("hello".to_owned(), answered));
    // What the pod before it mounted, this one can take away.
    rig.must(&["down"]);
    drop(second);
    rig.end();
}
