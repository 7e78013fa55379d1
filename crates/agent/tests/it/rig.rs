//! A root with an agent that comes and goes, and who asks it over its sockets.

use crate::{
    repository::{Factory, Repositories},
    world::{OfKind, World, now},
};
use abide_agent::{
    Agent, Clock, Hints, Hold, HoldError, Mode, Parts, Paths,
    api::{Envelope, Outcome, Preview, Reply, Request, Snapshot, VERSION, Verdict},
    journal::InFolders,
    runtime,
};
use abide_reconcile::{Kind, Limits, Time, spec::kind::SourceSpec};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    folder: tempfile::TempDir,
    pub(crate) world: Arc<World>,
    pub(crate) repositories: Arc<Repositories>,
    agent: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Rig {
    /// A root without an agent.
    pub(crate) fn new() -> Self {
        // In memory: some thousand records are synced, and no power is cut.
        Self::at(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    pub(crate) fn at(folder: tempfile::TempDir) -> Self {
        for name in ["state", "run"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { folder, world: Arc::default(), repositories: Arc::default(), agent: None }
    }

    /// A root with an agent.
    pub(crate) fn started() -> Self {
        let mut rig = Self::new();
        rig.start();
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn parts(&self, hold: Hold) -> Parts {
        let hints = Hints::default();
        self.world.begin(hold.epoch(), &hints);
        let of_kind = |kind| Arc::new(OfKind(Arc::clone(&self.world), kind)) as Arc<dyn abide_reconcile::Backend>;
        Parts {
            paths: Paths { state: self.path("state"), run: self.path("run") },
            hold,
            clock: Clock::new(now),
            limits: limits(),
            backends: Kind::ALL.into_iter().map(|kind| (kind, of_kind(kind))).collect(),
            inspector: Arc::clone(&self.world) as Arc<dyn abide_agent::Inspector>,
            journals: Arc::new(InFolders::new(self.path("state").join("sources"))),
            factory: Arc::new(Factory(Arc::clone(&self.repositories))),
            hints,
            sweep: Box::new(|_| ()),
        }
    }

    /// A child that another test is about to begin shares the locks of this process until it executes its program.
    fn hold(&self) -> Hold {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match Hold::take(&self.path("state")) {
                Err(HoldError::Held(_)) if Instant::now() < deadline => thread::yield_now(),
                hold => return hold.unwrap(),
            }
        }
    }

    pub(crate) fn start(&mut self) {
        let agent = Agent::new(self.parts(self.hold()), Mode::Act).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime().unwrap();
            runtime.block_on(agent.serve(async { drop(stopped.await) })).unwrap();
            // What was under way lands, but nobody hears of it: as with a process that is killed, but in order.
            runtime.shutdown_timeout(DEADLINE);
        });
        self.agent = Some(Running { stop, thread });
        self.connect("agent.sock");
    }

    /// Ends the agent, whatever it is doing.
    pub(crate) fn stop(&mut self) {
        let Some(Running { stop, thread }) = self.agent.take() else { return };
        drop(stop);
        thread.join().unwrap();
    }

    /// Without an agent: one request in this process.
    pub(crate) fn ask_alone(&self, mode: Mode, request: Request) -> Vec<Reply> {
        let hold = match mode {
            Mode::Act => self.hold(),
            Mode::LookOnly => Hold::look(&self.path("state")).unwrap(),
        };
        let agent = Agent::new(self.parts(hold), mode).unwrap();
        let mut replies = Vec::new();
        let runtime = runtime().unwrap();
        runtime.block_on(agent.ask(request, |reply| replies.push(reply)));
        runtime.shutdown_timeout(DEADLINE);
        replies
    }

    fn connect(&self, socket: &str) -> UnixStream {
        let path = self.path("run").join(socket);
        let deadline = Instant::now() + DEADLINE;
        loop {
            match UnixStream::connect(&path) {
                Ok(stream) => return stream,
                Err(error) if Instant::now() > deadline => panic!("connecting to {}: {error}", path.display()),
                Err(_) => thread::yield_now(),
            }
        }
    }

    pub(crate) fn begin(&self, request: Request) -> Conversation {
        self.begin_at("agent.sock", request)
    }

    pub(crate) fn begin_at(&self, socket: &str, request: Request) -> Conversation {
        Conversation::begin(self.connect(socket), request)
    }

    /// All replies to a request.
    pub(crate) fn ask(&self, request: Request) -> Vec<Reply> {
        self.begin(request).collect()
    }

    /// The only reply, which is that it was done.
    pub(crate) fn done(&self, request: Request) -> String {
        match &self.ask(request)[..] {
            [Reply::Done { message }] => message.clone(),
            replies => panic!("{replies:?}"),
        }
    }

    pub(crate) fn refused(&self, request: Request) -> String {
        refusal(&self.ask(request))
    }

    pub(crate) fn outcome(&self, request: Request) -> Outcome {
        outcome(&self.ask(request))
    }

    pub(crate) fn get(&self) -> Snapshot {
        snapshot(&self.ask(Request::Get))
    }

    pub(crate) fn preview(&self, source: &str, yaml: &str) -> Preview {
        match &self.ask(preview(source, yaml))[..] {
            [Reply::Preview(preview)] => preview.clone(),
            replies => panic!("{replies:?}"),
        }
    }

    /// Registers a source that follows `url`.
    pub(crate) fn follow(&self, name: &str, url: &str) {
        self.done(Request::SourceAdd { name: name.to_owned(), spec: Box::new(spec(url)) });
    }

    /// Pushes, and waits until it is known what became of it.
    pub(crate) fn push(&self, source: &str, url: &str, yaml: &str) -> Outcome {
        let commit = self.repositories.push(url, yaml);
        self.outcome(Request::Follow { source: Some(source.to_owned()), commit })
    }

    /// Pushes what settles.
    pub(crate) fn settle(&self, source: &str, url: &str, yaml: &str) -> String {
        let outcome = self.push(source, url, yaml);
        assert_eq!(outcome.result, Verdict::Settled, "{outcome:?}");
        outcome.commit
    }

    /// Asks again and again until the state is as it should be.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let snapshot = self.get();
            if is_so(&snapshot) {
                return snapshot;
            }
            assert!(Instant::now() < deadline, "not {what}: {snapshot:#?}");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
        }
    }
}

/// A connection that has asked; its replies one by one.
pub(crate) struct Conversation(BufReader<UnixStream>);

impl Conversation {
    pub(crate) fn begin(mut stream: UnixStream, request: Request) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut line = serde_json::to_vec(&Envelope { version: VERSION, request }).unwrap();
        line.push(b'\n');
        stream.write_all(&line).unwrap();
        Self(BufReader::new(stream))
    }
}

impl Iterator for Conversation {
    type Item = Reply;

    fn next(&mut self) -> Option<Reply> {
        let mut line = String::new();
        let bytes = self.0.read_line(&mut line).unwrap();
        (bytes > 0).then(|| serde_json::from_str(&line).unwrap())
    }
}

/// What runs is proof at once.
fn limits() -> Limits {
    let now = Time::ZERO;
    Limits { steady: now, proof: now, proof_probed: now, retry_min: Time::from_millis(50), ..Limits::default() }
}

pub(crate) fn outcome(replies: &[Reply]) -> Outcome {
    match replies.last() {
        Some(Reply::Outcome(outcome)) => outcome.clone(),
        _ => panic!("{replies:?}"),
    }
}

pub(crate) fn refusal(replies: &[Reply]) -> String {
    match replies {
        [Reply::Refused { message }] => message.clone(),
        replies => panic!("{replies:?}"),
    }
}

pub(crate) fn snapshot(replies: &[Reply]) -> Snapshot {
    match replies {
        [Reply::Snapshot(snapshot)] => snapshot.clone(),
        replies => panic!("{replies:?}"),
    }
}

pub(crate) fn spec(url: &str) -> SourceSpec {
    serde_json::from_value(serde_json::json!({ "git": { "url": url } })).unwrap()
}

pub(crate) fn preview(source: &str, yaml: &str) -> Request {
    use abide_reconcile::spec::{Context, MemoryTree, kind::Grants, parse};
    let tree = MemoryTree([("all.yaml".to_owned(), yaml.as_bytes().into())].into());
    let scope = source.parse().unwrap();
    let parsed = parse(&tree, Context::plain(&scope, &Grants::default())).unwrap();
    let units = parsed.units.into_iter().map(|unit| (*unit).clone()).collect();
    Request::Preview { source: source.to_owned(), units }
}

/// Containers by name and image.
pub(crate) fn containers(all: &[(&str, &str)]) -> String {
    let document = |(name, image): &(&str, &str)| {
        format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {{name: {name}}}\nspec: {{image: \"{image}\"}}\n"
        )
    };
    all.iter().map(document).collect::<Vec<_>>().join("---\n")
}

pub(crate) fn volume(name: &str, reclaim: &str) -> String {
    format!(
        "---\napiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: {name}}}\nspec: {{reclaim: {reclaim}}}\n"
    )
}

/// How often each unit was started.
pub(crate) fn starts(world: &World, units: &[&str]) -> BTreeMap<String, usize> {
    units.iter().map(|unit| ((*unit).to_owned(), world.starts(unit))).collect()
}
