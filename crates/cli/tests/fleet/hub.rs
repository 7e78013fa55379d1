//! The hub's side: its repository, its processes, and what is asked of it.

use abide_lab::{GitServer, HostPort, Repository, Rig, Said, TOKEN, host_port, oci, run};
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::symlink,
    process::{Child, Command},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Waves have their times, and machines that test are slow and shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// One process of a fleet's hub, and the repository that it follows.
pub(crate) struct Hub {
    pub(crate) rig: Rig,
    pub(crate) repository: Repository,
    address: String,
    pub(crate) port: HostPort,
    /// The fleet's identity.
    pub(crate) id: String,
    arguments: Vec<String>,
    process: Option<Child>,
    /// When it was started last: milliseconds since 1970.
    started_at: i64,
}

/// Everybody runs one container, of `base`.
pub(crate) fn fleet(id: &str, more: &str) -> String {
    format!(
        "apiVersion: abide.dev/v1alpha1
kind: Fleet
metadata: {{name: shops}}
spec:
  id: {id}
{more}
  machines:
  - {{names: [\"*\"], paths: [base]}}
"
    )
}

/// The rule of a roll-out.
pub(crate) fn rollout(rule: &str) -> String {
    format!("---\napiVersion: abide.dev/v1alpha1\nkind: Rollout\nmetadata: {{name: all-shops}}\nspec: {{{rule}}}\n")
}

/// The container that everybody runs, saying this.
pub(crate) fn web(greeting: &str) -> String {
    format!(
        "apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {{name: web}}
spec:
  image: \"oci:base/images/hello\"
  env: {{GREETING: {{value: {greeting}}}}}
  readiness: {{http: {{port: 8080, path: /healthz}}, interval: 1s}}
"
    )
}

/// One that ends at once.
pub(crate) fn broken_web() -> String {
    web("bad").replace("  env:", "  command: [\"/nothing\"]\n  env:")
}

fn serving(repository: &Repository, address: &str, port: &HostPort, arguments: &[&str]) -> Vec<String> {
    let listen = format!("{address}:{}", port.number);
    let words = ["hub", "serve", "--repository", repository.bare.to_str().unwrap(), "--listen", &listen];
    words.iter().chain(arguments).map(|&word| word.to_owned()).collect()
}

impl Hub {
    /// A hub that serves a repository with this rule of a roll-out.
    pub(crate) fn started(rule: &str) -> Self {
        let mut hub = Self::made("127.0.0.1", &[]);
        hub.repository.write("fleet.yaml", &(fleet(&hub.id, "") + &rollout(rule)));
        hub.repository.land("the fleet");
        hub.start();
        hub
    }

    /// One that is yet to be started, at this address, with these arguments besides.
    pub(crate) fn made(address: &str, arguments: &[&str]) -> Self {
        let rig = Rig::new(env!("CARGO_BIN_EXE_abide"));
        let port = host_port();
        let said: Value =
            serde_json::from_str(&rig.must(&["hub", "init", "--name", address, "--fleet", "shops", "-o", "json"]))
                .unwrap();
        let id = said["fleetId"].as_str().unwrap_or_else(|| panic!("hub init says no id: {said}")).to_owned();
        let repository = rig.plain("fleet");
        oci::hello().write_layout(&repository.path("base/images/hello"), "hello");
        repository.write("base/web.yaml", &web("one"));
        let arguments = serving(&repository, address, &port, arguments);
        Self { rig, repository, address: address.to_owned(), port, id, arguments, process: None, started_at: 0 }
    }

    /// Another process of the same hub, on a root of its own.
    pub(crate) fn beside(&self, arguments: &[&str]) -> Self {
        let rig = Rig::new(env!("CARGO_BIN_EXE_abide"));
        let (from, to) = (self.rig.root().join("state/hub"), rig.root().join("state"));
        fs::create_dir_all(&to).unwrap();
        run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
        let port = host_port();
        let repository = self.repository.clone();
        let arguments = serving(&repository, &self.address, &port, arguments);
        Self {
            rig,
            repository,
            address: self.address.clone(),
            port,
            id: self.id.clone(),
            arguments,
            process: None,
            started_at: 0,
        }
    }

    /// From the next start on it has these arguments.
    pub(crate) fn says(&mut self, arguments: &[&str]) {
        self.arguments = serving(&self.repository, &self.address, &self.port, arguments);
    }

    /// From the next start on it follows the same repository as others do that is elsewhere, by https, with these arguments.
    pub(crate) fn is_behind_a_server(&mut self, arguments: &[&str]) -> GitServer {
        let folder = self.rig.path("served");
        fs::create_dir(&folder).unwrap();
        symlink(&self.repository.bare, folder.join("fleet.git")).unwrap();
        let server = GitServer::start(&folder);
        let [token, authority] = ["token", "ca.pem"].map(|name| folder.join(name).to_str().unwrap().to_owned());
        fs::write(&token, TOKEN).unwrap();
        self.says(&[arguments, &["--token-file", &token, "--ca-file", &authority]].concat());
        let at = self.arguments.iter().position(|word| *word == self.repository.bare.to_str().unwrap()).unwrap();
        self.arguments[at] = server.url("fleet.git");
        server
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.start_by(&[]);
    }

    /// The same by a program that becomes it.
    pub(crate) fn start_by(&mut self, program: &[&str]) {
        assert!(self.process.is_none(), "it runs");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.started_at = i64::try_from(now.as_millis()).unwrap();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut command = self.rig.command(&arguments);
        if let [first, rest @ ..] = program {
            let mut outer = Command::new(first);
            outer.args(rest).arg(command.get_program()).args(command.get_args());
            outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command = outer;
        }
        let log = OpenOptions::new().create(true).append(true).open(self.rig.path("agent.log")).unwrap();
        self.process = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        self.rig.until("the hub answers", || (self.ask(&["hub", "machine", "list"]).code == 0).then_some(()));
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Asks it to end, as a service manager does.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        run("kill", &["-TERM", &process.id().to_string()]);
        let status = self.rig.until("the hub ends", || process.try_wait().unwrap());
        assert!(status.success(), "the hub ended with {status}: {}", self.rig.log());
    }

    /// A command about the hub.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Said {
        self.rig.abide(arguments)
    }

    /// Where machines find it.
    pub(crate) fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.port.number)
    }

    /// A token that lets so many machines in.
    pub(crate) fn token(&self, uses: usize) -> String {
        let uses = uses.to_string();
        let said = self.rig.must(&["hub", "token", "create", "--uses", &uses, "-o", "json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        said["token"].as_str().unwrap_or_else(|| panic!("no token in {said}")).to_owned()
    }

    /// What the hub knows of a machine.
    pub(crate) fn machine(&self, name: &str) -> Value {
        let said = self.ask(&["get", "--fleet", "-o", "json"]);
        let said: Value =
            serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said}\n{}", self.rig.log()));
        let machines = said["machines"].as_array().unwrap();
        machines.iter().find(|machine| machine["name"] == name).cloned().unwrap_or(Value::Null)
    }

    /// All that is in the database of a machine.
    pub(crate) fn described(&self, name: &str) -> Value {
        serde_json::from_str(&self.rig.must(&["hub", "machine", "describe", name, "-o", "json"])).unwrap()
    }

    /// The number of what a machine is told, which grows.
    pub(crate) fn target(&self, name: &str) -> u64 {
        let said = self.described(name);
        said["target"].as_u64().unwrap_or_else(|| panic!("{name} is told nothing: {said}"))
    }

    /// Waits until a machine is in this state with this commit, as this process of the hub heard.
    pub(crate) fn sees(&self, name: &str, state: &str, commit: &str) {
        self.patiently(&format!("{name} is {state} with {commit}"), || {
            let machine = self.machine(name);
            let is_heard = machine["heardAt"].as_i64().is_some_and(|at| at >= self.started_at);
            is_heard && machine["state"] == state && machine["commit"] == commit
        });
    }

    /// Waits until the hub doesn't roll out the newest commit, and says this.
    pub(crate) fn refuses(&self, words: &str) {
        self.patiently(&format!("the hub refuses it: {words}"), || {
            let rollouts = self.rollouts();
            rollouts["state"] == "refused" && rollouts["message"].as_str().is_some_and(|why| why.contains(words))
        });
    }

    /// How the roll-outs are.
    pub(crate) fn rollouts(&self) -> Value {
        let said = self.ask(&["rollout", "status", "-o", "json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Waits until a commit is proven on all machines, of which there are so many.
    pub(crate) fn rolled_out(&self, commit: &str, machines: usize) {
        self.patiently(&format!("{commit} is rolled out to {machines} machines"), || {
            let now = self.rollouts();
            let rollouts = now["rollouts"].as_array().unwrap();
            let waves = rollouts.iter().flat_map(|rollout| rollout["waves"].as_array().unwrap());
            let proved: u64 = waves.map(|wave| wave["proved"].as_u64().unwrap()).sum();
            // What is told of another commit, or of fewer machines, is over as well.
            now["commit"] == commit
                && proved == machines as u64
                && rollouts.iter().all(|rollout| rollout["state"] == "done")
        });
    }

    /// Waits until the roll-out is in this state.
    pub(crate) fn rollout_is(&self, state: &str) {
        self.patiently(&format!("the roll-out is {state}"), || self.rollouts()["rollouts"][0]["state"] == state);
    }

    /// Waits until a machine is told this commit.
    pub(crate) fn tells(&self, name: &str, commit: &str) {
        self.patiently(&format!("{name} is told {commit}"), || self.machine(name)["commit"] == commit);
    }

    /// Waits for something that takes waves, with their times.
    pub(crate) fn patiently(&self, what: &str, is: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is() {
            if Instant::now() > end {
                let (machines, rollouts) = (self.ask(&["get", "--fleet"]), self.ask(&["rollout", "status"]));
                panic!(
                    "waited too long until {what}; now:\n{machines}\n{rollouts}\nthe hub's log:\n{}",
                    self.rig.log()
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
