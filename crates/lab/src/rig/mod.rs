//! A machine of one's own: a root in a folder, the agent of it, and a repository that is pushed to, all through the binary as a
//! user has them. Any number of them live side by side.
//!
//! ```text
//! folder/  root/            the agent's      --root of every command
//!          infra.git        what is pushed to
//!          clone/           where a test writes, commits and pushes from
//!          agent.log        what the agent says
//! ```

mod repository;
mod status;

pub use repository::Repository;
pub use status::{Instance, Snapshot, Source, Unit};

use crate::traces::{self, Traces};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::{fs::PermissionsExt as _, net::UnixStream, process::ExitStatusExt as _},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Whatever takes longer doesn't come any more. Machines that test are slow and shared.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what nobody announces.
const PAUSE: Duration = Duration::from_millis(20);

/// A machine of one's own.
pub struct Rig {
    // Gone before the folder that it is in.
    _disk: Option<Disk>,
    folder: tempfile::TempDir,
    abide: PathBuf,
    agent: Option<Child>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its exit code, or 128 + n for signal n.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

impl Rig {
    /// A root where nothing runs yet. `ABIDE_BIN` names another binary to be tested than this one.
    pub fn new(abide: &str) -> Self {
        let abide = std::env::var_os("ABIDE_BIN").map_or_else(|| PathBuf::from(abide), PathBuf::from);
        // Other users have to get to the repositories in it.
        let passable = Permissions::from_mode(0o711);
        let folder = tempfile::Builder::new().prefix("abide-lab-").permissions(passable).tempdir().unwrap();
        let rig = Self { _disk: None, folder, abide: abide.canonicalize().unwrap(), agent: None };
        fs::create_dir(rig.root()).unwrap();
        rig
    }

    /// The same, whose root has a disk of its own of so many MiB.
    pub fn on_small_disk(abide: &str, mebibytes: u32) -> Self {
        let mut rig = Self::new(abide);
        let root = rig.root();
        crate::run("mount", &["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs", root.to_str().unwrap()]);
        rig._disk = Some(Disk(root));
        rig
    }

    /// The same with an agent.
    pub fn started(abide: &str) -> Self {
        let mut rig = Self::new(abide);
        rig.start();
        rig
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of `--root`.
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// A command that isn't started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.abide);
        command.args(arguments).env("ABIDE_ROOT", self.root()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn abide(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    /// The same, and it has to succeed. Returns what it printed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let said = self.abide(arguments);
        assert_eq!(said.code, 0, "abide {arguments:?}: {said}");
        said.out
    }

    /// Starts the agent, and returns when it answers.
    pub fn start(&mut self) {
        self.start_by(&[], &["agent".to_owned()]);
    }

    /// The same of an agent by another command, and by a program that becomes it, if one is named with arguments.
    pub fn start_by(&mut self, program: &[&str], arguments: &[String]) {
        assert!(self.agent.is_none(), "its agent runs");
        let log = OpenOptions::new().create(true).append(true).open(self.path("agent.log")).unwrap();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.command(&arguments);
        if let [first, rest @ ..] = program {
            let mut outer = Command::new(first);
            outer.args(rest).arg(command.get_program()).args(command.get_args());
            outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
            command = outer;
        }
        self.agent = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let pid = self.agent();
        let socket = self.root().join("run/agent.sock");
        // One that was killed may have left its socket to a child for a moment.
        let is_its = |stream: &UnixStream| getsockopt(stream, PeerCredentials).unwrap().pid().unsigned_abs() == pid;
        self.until("the agent answers", || UnixStream::connect(&socket).ok().filter(is_its));
    }

    /// The process of its agent.
    pub fn agent(&self) -> u32 {
        self.agent.as_ref().expect("its agent runs").id()
    }

    /// As `kill -9` of the agent.
    pub fn kill(&mut self) {
        let mut agent = self.agent.take().expect("its agent runs");
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Asks the agent to end, as a service manager does.
    pub fn stop(&mut self) {
        let mut agent = self.agent.take().expect("its agent runs");
        crate::run("kill", &["-TERM", &agent.id().to_string()]);
        let status = self.until("the agent ends", || agent.try_wait().unwrap());
        assert!(status.success(), "the agent ended with {status}: {}", self.log());
    }

    /// As a power failure: everything is gone that lives in memory. The agent doesn't run after it.
    pub fn reboot(&mut self) {
        if self.agent.is_some() {
            self.kill();
        }
        traces::erase(&self.root());
        fs::remove_dir_all(self.root().join("run")).unwrap();
    }

    /// What the agent said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// A repository that deploys, by `abide init`, and a clone of it.
    pub fn repository(&self, name: &str) -> Repository {
        let bare = self.path(&format!("{name}.git"));
        self.must(&["init", bare.to_str().unwrap()]);
        Repository::new(self, &bare, self.path(&format!("{name}-clone")))
    }

    /// The same, which a group may push to.
    pub fn repository_of(&self, name: &str, group: &str) -> Repository {
        let bare = self.path(&format!("{name}.git"));
        self.must(&["init", bare.to_str().unwrap(), "--group", group]);
        Repository::new(self, &bare, self.path(&format!("{name}-clone")))
    }

    /// A repository that nothing here knows of yet, `NAME.git`, and a clone of it.
    pub fn plain(&self, name: &str) -> Repository {
        let bare = self.path(&format!("{name}.git"));
        crate::run("git", &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
        Repository::new(self, &bare, self.path(&format!("{name}-clone")))
    }

    /// Says what a repository's source may ask for: lines of `grants`, as a machine's owner writes them.
    pub fn grant(&self, repository: &Repository, name: &str, grants: &str) {
        let url = repository.bare.display();
        let text = format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Source\nmetadata: {{name: {name}}}\nspec:\n  git: {{url: \"{url}\"}}\n  grants: {{{grants}}}\n"
        );
        let file = self.path("source.yaml");
        fs::write(&file, text).unwrap();
        self.must(&["source", "add", "-f", file.to_str().unwrap()]);
    }

    /// How things stand.
    pub fn get(&self) -> Snapshot {
        let said = self.abide(&["get", "-o", "json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("abide get: {error}: {said}\n{}", self.log()))
    }

    /// Waits until things stand like that.
    pub fn wait(&self, what: &str, is: impl Fn(&Snapshot) -> bool) -> Snapshot {
        self.until(what, || Some(self.get()).filter(&is))
    }

    /// Waits until all is as wished.
    pub fn settled(&self) -> Snapshot {
        self.wait("all is settled", |snapshot| snapshot.settled)
    }

    /// Waits until this commit of a source is in force, and all is settled.
    pub fn in_force(&self, source: &str, commit: &str) -> Snapshot {
        self.in_force_within(PATIENCE, source, commit)
    }

    /// The same of what may take longer.
    pub fn in_force_within(&self, patience: Duration, source: &str, commit: &str) -> Snapshot {
        let is_it = |found: &Source| found.name == source && found.commit == commit;
        let is = |now: &Snapshot| now.settled && now.sources.iter().any(is_it);
        let what = format!("commit {commit} of {source} is in force");
        self.until_within(patience, &what, || Some(self.get()).filter(is))
    }

    /// Waits for something; what comes of itself is looked for again and again.
    pub fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.until_within(PATIENCE, what, look)
    }

    fn until_within<T>(&self, patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + patience;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > end {
                let now = self.abide(&["get"]);
                panic!("waited too long until {what}; now:\n{now}\nthe agent's log:\n{}", self.log());
            }
            thread::sleep(PAUSE);
        }
    }

    /// What the kernel has of it.
    pub fn traces(&self) -> Traces {
        Traces::of(&self.root())
    }

    /// Everything is stopped, the agent ends, and nothing may be left over.
    pub fn end(mut self) {
        self.must(&["down"]);
        if self.agent.is_some() {
            self.stop();
        }
        let left = self.traces();
        assert!(left.is_empty(), "left over: {left:#?}\nthe agent's log:\n{}", self.log());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            // It may have ended by itself.
            let _ = agent.kill();
            let _ = agent.wait();
        }
        traces::erase(&self.root());
    }
}

/// A small disk, mounted there.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        crate::run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: code.unwrap_or_default(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}\n{}{}", self.code, self.out, self.err)
    }
}
