//! One hub process and many machines, each a connection over real TLS on the loopback.
//!
//! ```text
//!  git push ──► the hub reads it, checks it, wishes it ──► a target a machine, in SQLite ──► told ──► reported ready
//!     │ began                                                                                 │ the last one
//! ```
//!
//! All machines are of one wave that may be unavailable as a whole: what is measured is the hub, not its patience.

use super::Row;
use crate::{
    Problem,
    crowd::{self, Crowd},
    figure::{Figure, Statistic, Unit},
    measure::Spread,
    process::{Ended, cpu, memory},
    programs::release,
};
use abide_fleet::{
    protocol::ObjectId,
    server::{
        authority::{Authority, Lifetime},
        tls::WallClock,
    },
    store::{self, Millis, NewMachine, Token},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use nix::unistd::Pid;
use rcgen::{KeyPair, PublicKeyData};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(crate) const ROW: Row =
    Row { name: "hub", what: "a hub with 1,000 and 10,000 machines: commit → all told; memory and CPU", measure };

const COUNTS: [usize; 2] = [1_000, 10_000];
const COMMITS: usize = 3;
/// For how long nothing happens, to see what that costs.
const IDLE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(600);
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn measure() -> Result<Vec<Figure>, Problem> {
    let program = release("abide-cli", "abide")?;
    let mut figures = Vec::new();
    for count in COUNTS {
        let is_most = count == COUNTS[COUNTS.len() - 1];
        let mut fleet = Fleet::begin(&program, count)?;
        let all = |what: &str| format!("{count}: {what}");
        let came = fleet.push("first")?;
        figures.push(Figure::new(all("all come, and are told"), Unit::Milliseconds, Spread::of_times([came])));
        let told = (0..COMMITS).map(|n| fleet.push(&n.to_string())).collect::<Result<Vec<_>, _>>()?;
        let told = Figure::new(all("commit → all told"), Unit::Milliseconds, Spread::of_times(told));
        figures.push(if is_most { told.at_most(Statistic::Median, 10_000.0) } else { told });
        let pid = Pid::from_raw(i32::try_from(fleet.hub.0.id())?);
        let before = cpu(pid)?;
        thread::sleep(IDLE);
        let used = (cpu(pid)? - before).as_secs_f64() / IDLE.as_secs_f64();
        figures.push(Figure::new(all("nothing happens"), Unit::PercentOfCore, Spread::of(vec![used])));
        let memory = memory(pid)?.proportional;
        figures.push(Figure::new(all("memory"), Unit::Mebibytes, Spread::of(vec![memory])));
        let each = memory / count as f64;
        figures.push(Figure::new(all("memory a machine"), Unit::Mebibytes, Spread::of(vec![each])));
    }
    Ok(figures)
}

/// A hub and its machines.
struct Fleet {
    folder: TempDir,
    hub: Ended,
    crowd: Option<Ended>,
    told: Option<Receiver<(ObjectId, usize)>>,
    invited: PathBuf,
    count: usize,
}

impl Fleet {
    fn begin(program: &Path, count: usize) -> Result<Self, Problem> {
        let folder = tempfile::tempdir()?;
        let root = folder.path().join("root");
        run(Command::new(program).arg("--root").arg(&root).args(["hub", "init", "--name", "localhost"]))?;
        let authority = Authority::open(&root.join("state/hub"), Lifetime::default(), WallClock::system().now())?;
        let repository = folder.path().join("repository");
        fs::create_dir_all(repository.join("base"))?;
        git(&repository, &["init", "-q", "-b", "main"])?;
        let rollout = "---\napiVersion: abide.dev/v1alpha1\nkind: Rollout\nmetadata: {name: all}\nspec: {maxUnavailable: 100%, soak: 0s}\n";
        fs::write(repository.join("fleet.yaml"), authority.fleet_yaml() + rollout)?;
        // Taken and let go: whoever takes it in between fails this row.
        let address = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?.local_addr()?;
        let invited = folder.path().join("crowd.json");
        let crowd = invite(&authority, &root.join("state/hub/store.db"), address, count)?;
        fs::write(&invited, serde_json::to_vec(&crowd)?)?;
        let mut hub = Command::new(program);
        hub.arg("--root").arg(&root).args(["hub", "serve", "--repository"]).arg(&repository);
        hub.args(["--listen", &address.to_string()]).env("ABIDE_LOG", "warn");
        let hub = Ended(hub.spawn()?);
        Ok(Self { folder, hub, crowd: None, told: None, invited, count })
    }

    /// Commits something, and waits until all were told. The first time they come only then.
    fn push(&mut self, content: &str) -> Result<Duration, Problem> {
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

    fn come(&mut self) -> Result<(), Problem> {
        let mut crowd = Command::new(env::current_exe()?);
        let mut crowd = crowd.arg(crowd::COMMAND).arg(&self.invited).stdout(Stdio::piped()).spawn()?;
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

/// Makes them machines of the fleet, without the way over the wire, which other figures tell of.
fn invite(authority: &Authority, database: &Path, address: SocketAddr, count: usize) -> Result<Crowd, Problem> {
    let store = store::open(&database.display().to_string())?;
    let now = WallClock::system().now();
    let expires_at = Millis(now).plus(Duration::from_secs(3600));
    let uses_left = u32::try_from(count)?;
    let token =
        Token { id: "bench".to_owned(), secret: [0; 32], uses_left, expires_at, names: None, labels: BTreeMap::new() };
    store.put_token(&token)?;
    let key = KeyPair::generate()?;
    let public = BASE64_STANDARD.encode(key.der_bytes());
    let mut machines = Vec::new();
    for n in 0..count {
        let name = format!("m-{n}");
        let new = NewMachine { name: name.parse()?, key: public.clone(), serial: now, recipient: RECIPIENT.to_owned() };
        store.enroll(&token.id, &token.secret, &new, Millis(now))??;
        machines.push((name.clone(), authority.issue(&name, key.der_bytes(), RECIPIENT, now)?.chain));
    }
    Ok(Crowd { address, root: authority.root_pem(), key: key.serialize_der(), machines })
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
