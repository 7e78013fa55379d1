//! The machine that is measured: the released binary's agent on a root of its own, a repository that deploys, containers.
//!
//! Released programs end at once when they panic, and helpers of tests panic when something is wrong: what such an end
//! would leave behind is cleared away by a hook.

use crate::{Problem, programs};
use abide_lab::{Repository, Rig, oci};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Roots that are in use, and other paths in folders that are to go.
static ROOTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A machine with an agent, and a repository that deploys to it.
pub(crate) struct World {
    pub(crate) rig: Rig,
    pub(crate) repository: Repository,
    run: InMemory,
}

impl World {
    /// One where nothing runs yet; the image of the containers is in the repository.
    pub(crate) fn begin() -> Result<Self, Problem> {
        let mut rig = rig()?;
        let run = rig.root().join("run");
        fs::create_dir(&run)?;
        let run = in_memory(&run)?;
        rig.start();
        let repository = rig.repository("infra");
        repository.image("hello", &oci::hello());
        Ok(Self { rig, repository, run })
    }

    /// The agent.
    pub(crate) fn agent(&self) -> Pid {
        Pid::from_raw(self.rig.agent().cast_signed())
    }

    /// Declares containers, as one file; a commit brings them.
    pub(crate) fn declare(&self, containers: impl IntoIterator<Item = Container>) {
        let all: Vec<String> = containers.into_iter().map(|container| container.document()).collect();
        self.repository.write("containers.yaml", &all.join("---\n"));
    }

    /// The same, and what was declared runs.
    pub(crate) fn run(&self, containers: impl IntoIterator<Item = Container>) {
        self.declare(containers);
        self.repository.deploy("what is measured");
        self.rig.settled();
    }

    /// Nothing is left of it.
    pub(crate) fn end(self) {
        let Self { mut rig, repository: _, run } = self;
        let root = rig.root();
        rig.must(&["down"]);
        rig.stop();
        drop(run);
        drop(rig);
        forget(&root);
    }
}

/// A folder whose content is in memory, as that of `/run` is, until this is dropped.
pub(crate) struct InMemory(PathBuf);

/// Mounts one there.
pub(crate) fn in_memory(folder: &Path) -> Result<InMemory, Problem> {
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
    Ok(InMemory(folder.to_owned()))
}

impl Drop for InMemory {
    fn drop(&mut self) {
        // An agent that ends with nothing running takes it along.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// A root on which no agent runs yet.
pub(crate) fn rig() -> Result<Rig, Problem> {
    let abide = programs::release("abide-cli", "abide")?;
    let rig = Rig::new(abide.to_str().ok_or("the target folder's path is no text")?);
    remember(rig.root());
    Ok(rig)
}

/// The folder of this path is to be cleared away with what runs there, if the end is a panic.
pub(crate) fn remember(path: PathBuf) {
    ROOTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(path);
}

/// This root is gone in an orderly way.
pub(crate) fn forget(root: &PathBuf) {
    ROOTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|other| other != root);
}

/// Has a panic clear away what runs on roots that are in use.
pub(crate) fn clear_away_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        end_children();
        // Whoever holds the lock is the one who panics.
        for root in ROOTS.try_lock().iter().flat_map(|roots| roots.iter()) {
            abide_lab::erase(root);
            if let Some(folder) = root.parent() {
                let _ = fs::remove_dir_all(folder);
            }
        }
    }));
}

/// Servers and agents, which would go on. Who is a child of theirs is ended by root.
fn end_children() {
    let children = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).ok();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        for child in children(task).iter().flat_map(|children| children.split_whitespace()) {
            if let Ok(child) = child.parse() {
                // It may have ended by itself.
                let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
            }
        }
    }
}

/// A container of the little server of tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) greeting: String,
    pub(crate) host_port: Option<u16>,
    pub(crate) has_readiness: bool,
}

impl Container {
    /// As it is written.
    pub(crate) fn document(&self) -> String {
        let Self { name, greeting, .. } = self;
        let mut text = format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {{name: {name}}}\nspec:\n  \
             image: oci:images/hello\n  env: {{GREETING: {{value: \"{greeting}\"}}}}\n"
        );
        if let Some(port) = self.host_port {
            let _ = writeln!(text, "  ports: [{{port: 8080, hostPort: {port}}}]");
        }
        if self.has_readiness {
            text.push_str("  readiness: {http: {port: 8080, path: /healthz}}\n");
        }
        text
    }
}
