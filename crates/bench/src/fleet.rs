//! A hub process, the repository that it follows, and many machines of its fleet in a process of their own.

use crate::{
    Problem,
    crowd::{self, Crowd},
    process::Ended,
};
use abide_fleet::{
    admin::rollout::{RolloutState, Rollouts},
    protocol::ObjectId,
    server::{
        authority::{Authority, Lifetime},
        tls::WallClock,
    },
    store::{self, Millis, NewMachine, Store, Token},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};
use rcgen::{KeyPair, PublicKeyData};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// For anything.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Threads that make the machines known: what they write together is one transaction.
const INVITING: usize = 16;
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// All are of one wave, and may be unavailable together: what is measured is the hub, not its patience.
const ROLLOUT: &str = "---\napiVersion: abide.dev/v1alpha1\nkind: Rollout\nmetadata: {name: all}\nspec: {maxUnavailable: 100%, soak: 0s}\n";

/// A hub and its machines.
pub(crate) struct Fleet {
    program: PathBuf,
    folder: TempDir,
    store: Arc<dyn Store>,
    /// Where machines come, and where it is asked how it goes.
    addresses: [SocketAddr; 2],
    hub: Ended,
    crowd: Option<Ended>,
    told: Option<Receiver<(ObjectId, usize)>>,
    count: usize,
}

impl Fleet {
    /// Starts a hub that knows so many machines, none of which is there yet. Each will wait for news for `wait` at a time.
    pub(crate) fn begin(program: &Path, count: usize, wait: Duration) -> Result<Self, Problem> {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let needed = u64::try_from(count)? * 5 / 4 + 1000;
        setrlimit(Resource::RLIMIT_NOFILE, most.max(needed), most.max(needed))?;
        let folder = tempfile::tempdir()?;
        let root = folder.path().join("root");
        run(Command::new(program).arg("--root").arg(&root).args(["hub", "init", "--name", "localhost"]))?;
        let authority = Authority::open(&root.join("state/hub"), Lifetime::default(), WallClock::system().now())?;
        let repository = folder.path().join("repository");
        fs::create_dir_all(repository.join("base"))?;
        git(&repository, &["init", "-q", "-b", "main"])?;
        fs::write(repository.join("fleet.yaml"), authority.fleet_yaml() + ROLLOUT)?;
        let addresses = [free_address()?, free_address()?];
        let store = store::open(&root.join("state/hub/store.db").display().to_string())?;
        let crowd = invite(&authority, &*store, addresses[0], count, wait)?;
        fs::write(folder.path().join("crowd.json"), serde_json::to_vec(&crowd)?)?;
        let hub = start(program, folder.path(), &addresses)?;
        let program = program.to_owned();
        Ok(Self { program, folder, store, addresses, hub, crowd: None, told: None, count })
    }

    /// The hub's process.
    pub(crate) fn hub(&self) -> Result<Pid, Problem> {
        Ok(Pid::from_raw(i32::try_from(self.hub.0.id())?))
    }

    /// Commits something, and waits until all were told. The first time they come only then.
    pub(crate) fn push(&mut self, content: &str) -> Result<Duration, Problem> {
        let repository = self.folder.path().join("repository");
        let document = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: \"{content}\"}}\n");
        fs::write(repository.join("base/a.yaml"), document)?;
        git(&repository, &["add", "-A"])?;
        let began = Instant::now();
        git(&repository, &["commit", "-q", "-m", content])?;
        let commit: ObjectId = git(&repository, &["rev-parse", "HEAD"])?.trim().parse()?;
        if self.told.is_none() {
            self.come()?;
        }
        let told = self.told.as_ref().ok_or("nobody came")?;
        loop {
            let left = PATIENCE.checked_sub(began.elapsed()).ok_or("they weren't all told in time")?;
            let (of, count) = told.recv_timeout(left).map_err(|_| "they weren't all told in time")?;
            if of == commit && count == self.count {
                return Ok(began.elapsed());
            }
        }
    }

    /// Waits until the newest commit is proven on all, as the hub sees it.
    pub(crate) fn until_done(&self) -> Result<(), Problem> {
        let commit = git(&self.folder.path().join("repository"), &["rev-parse", "HEAD"])?;
        until("the roll-out isn't done", || {
            let Rollouts { commit: of, rollouts, .. } = Rollouts::read(&*self.store)?;
            let is_done = rollouts.iter().all(|rollout| rollout.state == RolloutState::Done);
            Ok(of == commit.trim() && is_done && !rollouts.is_empty())
        })
    }

    /// Kills the hub, starts it again, and waits until all machines poll: as it is for the hub that is started.
    pub(crate) fn restart(&mut self) -> Result<Duration, Problem> {
        self.hub.0.kill()?;
        self.hub.0.wait()?;
        let began = Instant::now();
        self.hub = start(&self.program, self.folder.path(), &self.addresses)?;
        until("they didn't all come back", || Ok(self.metric("abide_hub_polling").is_ok_and(|n| n == self.count)))?;
        Ok(began.elapsed())
    }

    /// One of the hub's own numbers.
    pub(crate) fn metric(&self, name: &str) -> Result<usize, Problem> {
        let text = ureq::get(format!("http://{}/metrics", self.addresses[1])).call()?.body_mut().read_to_string()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.ok_or_else(|| format!("the hub doesn't tell {name}"))?.parse()?)
    }

    fn come(&mut self) -> Result<(), Problem> {
        let mut crowd = Command::new(env::current_exe()?);
        let crowd = crowd.arg(crowd::COMMAND).arg(self.folder.path().join("crowd.json"));
        let mut crowd = crowd.stdout(Stdio::piped()).spawn()?;
        let output = crowd.stdout.take().ok_or("the crowd has no output")?;
        let (say, told) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Some((commit, count)) = line.split_once(' ') else { continue };
                if let (Ok(commit), Ok(count)) = (commit.parse(), count.parse())
                    && say.send((commit, count)).is_err()
                {
                    return;
                }
            }
        });
        (self.crowd, self.told) = (Some(Ended(crowd)), Some(told));
        Ok(())
    }
}

fn start(program: &Path, folder: &Path, [machines, metrics]: &[SocketAddr; 2]) -> Result<Ended, Problem> {
    let mut hub = Command::new(program);
    hub.arg("--root").arg(folder.join("root")).args(["hub", "serve", "--repository"]).arg(folder.join("repository"));
    hub.args(["--listen", &machines.to_string(), "--metrics", &metrics.to_string()]).env("ABIDE_LOG", "warn");
    Ok(Ended(hub.spawn()?))
}

/// Taken and let go: whoever takes it in between fails this row.
fn free_address() -> Result<SocketAddr, Problem> {
    Ok(TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?)
}

/// Makes them machines of the fleet, without the way over the wire.
fn invite(
    authority: &Authority,
    store: &dyn Store,
    address: SocketAddr,
    count: usize,
    wait: Duration,
) -> Result<Crowd, Problem> {
    let now = WallClock::system().now();
    let expires_at = Millis(now).plus(Duration::from_secs(3600));
    let uses_left = u32::try_from(count)?;
    let token =
        Token { id: "bench".to_owned(), secret: [0; 32], uses_left, expires_at, names: None, labels: BTreeMap::new() };
    store.put_token(&token)?;
    let key = KeyPair::generate()?;
    let public = BASE64_STANDARD.encode(key.der_bytes());
    let one = |n: usize| -> Result<(String, String), String> {
        let name = format!("m-{n}");
        let parsed = name.parse().map_err(|error| format!("{error}"))?;
        let new = NewMachine { name: parsed, key: public.clone(), serial: now, recipient: RECIPIENT.to_owned() };
        let enrolled = store.enroll(&token.id, &token.secret, &new, Millis(now)).map_err(|error| error.to_string())?;
        enrolled.map_err(|error| error.to_string())?;
        let issued = authority.issue(&name, key.der_bytes(), RECIPIENT, now, now).map_err(|error| error.to_string())?;
        Ok((name, issued.chain))
    };
    let part = |first: usize| (first..count).step_by(INVITING).map(one).collect::<Result<Vec<_>, _>>();
    let parts: Result<Vec<_>, String> = thread::scope(|scope| {
        let part = &part;
        let threads: Vec<_> = (0..INVITING).map(|first| scope.spawn(move || part(first))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?).collect()
    });
    let machines = parts?.concat();
    Ok(Crowd { address, root: authority.root_pem(), key: key.serialize_der(), wait_seconds: wait.as_secs(), machines })
}

fn until(otherwise: &str, mut is_so: impl FnMut() -> Result<bool, Problem>) -> Result<(), Problem> {
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > PATIENCE {
            return Err(format!("{otherwise} in {} s", PATIENCE.as_secs()).into());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String, Problem> {
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    run(Command::new("git").args(identity).args(arguments).current_dir(folder))
}

fn run(command: &mut Command) -> Result<String, Problem> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
