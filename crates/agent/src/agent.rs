//! The agent put together: what it is made of, and the two ways to use it.
//!
//! | way | who | follows repositories | orders |
//! |---|---|---|---|
//! | [`Agent::serve`] | `abide agent` | yes | yes |
//! | [`Agent::ask`] | `apply`, `down` and `rollback` where no agent runs | no | yes, until the request is answered |
//! | [`Agent::ask`] | all other requests where no agent runs | no | no: decisions are written, for the next agent |
//! | either, in [`Mode::LookOnly`] | `plan` and `get` where no agent runs | no | no, and nothing is written |

use crate::{
    api::{Reply, Request},
    asker::Asker,
    clock::Clock,
    door::{Door, ListenError},
    driver::{Loop, Means, Reach, Start},
    files::FileStore,
    hints::Hints,
    hold::Hold,
    journal::Journals,
    port::{Inspector, SourceFactory},
    talk::{UNREAD_MAX, converse},
};
use abide_reconcile::{Backend, Kind, Limits, SourceId, Time, Unit, spec::kind::SourceSpec};
use std::{collections::BTreeMap, fmt, io, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinSet,
};

/// How long a commit may take to settle before who follows it is told that it failed. It is worked on all the same.
const PATIENCE: Time = Time::from_secs(600);

/// A thread that waits for a call's end needs little; the deepest call is the parsing of a unit.
const STACK: usize = 1 << 20;

/// Threads for calls go away soon after there was something to do: an idle agent is small.
const THREAD_KEPT: Duration = Duration::from_secs(2);

/// Calls at once: orders, looks, probes, sources that are opened. More than the core's limits let happen.
const CALLS_MAX: usize = 64;

/// What an agent is made of.
pub struct Parts {
    /// Where its state is.
    pub paths: Paths,
    /// The right to be the agent there.
    pub hold: Hold,
    /// The time to decide by.
    pub clock: Clock,
    /// The numbers that are policy.
    pub limits: Limits,
    /// Who acts, by kind.
    pub backends: BTreeMap<Kind, Arc<dyn Backend>>,
    /// Who knows and enters instances.
    pub inspector: Arc<dyn Inspector>,
    /// Where what is decided about each source is written: [`crate::journal::InFolders`] below the state, unless it is to
    /// outlive this machine.
    pub journals: Arc<dyn Journals>,
    /// Who makes sources.
    pub factory: Arc<dyn SourceFactory>,
    /// Where backends tell what happened.
    pub hints: Hints,
    /// Told now and then of all units that are wanted or may be gone back to: what serves none of them may be cleared
    /// away. It may block.
    pub sweep: Sweep,
}

/// Clears away what no unit needs, as images.
pub type Sweep = Box<dyn Fn(&[Arc<Unit>]) + Send + Sync>;

/// The folders of a root, which exist.
#[derive(Clone, Debug)]
pub struct Paths {
    /// What lasts.
    pub state: PathBuf,
    /// What is of this boot, and the sockets.
    pub run: PathBuf,
}

/// Whether anything may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Yes.
    Act,
    /// No: look at the world and at what was decided, to answer [`Request::Get`] and [`Request::Preview`].
    LookOnly,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Which sources there are isn't known.
    #[error("could not read which sources there are")]
    Sources(#[source] io::Error),
}

/// An agent that is ready to begin.
pub struct Agent {
    start: Start,
    run: PathBuf,
    inspector: Arc<dyn Inspector>,
    mode: Mode,
    hold: Hold,
}

impl Agent {
    /// Reads which sources there are; nothing is done yet.
    pub fn new(parts: Parts, mode: Mode) -> Result<Self, StartError> {
        let Parts { paths, hold, clock, limits, backends, inspector, journals, factory, hints, sweep } = parts;
        let ids = journals.ids().map_err(StartError::Sources)?;
        let (inbox, messages) = mpsc::unbounded_channel();
        let files = FileStore::new(&paths.state.join("files"));
        let start = Start {
            clock,
            limits,
            epoch: hold.epoch(),
            patience: PATIENCE,
            ids,
            hints,
            means: Means { backends, inspector: Arc::clone(&inspector), journals, factory, files, sweep },
            reach: Reach::Look,
            purpose: None,
            in_vain: None,
            inbox,
            messages,
        };
        Ok(Self { start, run: paths.run, inspector, mode, hold })
    }

    /// Has the agent follow this source, whatever was registered under its name before: it is there for it.
    #[must_use]
    pub fn for_source(mut self, id: SourceId, spec: SourceSpec) -> Self {
        self.start.purpose = Some((id, spec));
        self
    }

    /// Has this called with the reason should the source that it is there for not be followed: what was decided about it can't
    /// be read, or that it is followed can't be written. That stays so for as long as this agent serves.
    #[must_use]
    pub fn or_else(mut self, in_vain: impl FnOnce(String) + Send + 'static) -> Self {
        self.start.in_vain = Some(Box::new(in_vain));
        self
    }

    /// Asks it from within this process, while it serves.
    pub fn asker(&self) -> Asker {
        Asker::new(self.start.inbox.clone())
    }

    /// Serves both sockets and keeps everything as wished, until `stop`. What runs then, runs on. The hold is given back: calls
    /// that are under way need it until the runtime is gone.
    pub async fn serve(mut self, stop: impl Future<Output = ()>) -> Result<Hold, ListenError> {
        // Open before anything is read: who asks early waits a moment, and is not turned away.
        let owner = Door::Owner.open(&self.run.join("agent.sock"))?;
        let hook = Door::Hook.open(&self.run.join("hook.sock"))?;
        self.start.reach = if self.mode == Mode::LookOnly { Reach::Look } else { Reach::Follow };
        let looped = Loop::new(self.start);
        let mut doors = JoinSet::new();
        for (door, listener) in [(Door::Owner, owner), (Door::Hook, hook)] {
            doors.spawn(door.serve(listener, looped.inbox(), Arc::clone(&self.inspector)));
        }
        looped.run(stop).await;
        Ok(self.hold)
    }

    /// Carries out one request in this process, as no agent runs, and hands every reply to `say`. Returns when there is no
    /// more to be said; what runs then, runs on. The hold is given back, as by [`Agent::serve`].
    pub async fn ask(mut self, request: Request, mut say: impl FnMut(Reply)) -> Hold {
        let acts = matches!(request, Request::Apply { .. } | Request::Down | Request::Rollback { .. });
        self.start.reach = match (self.mode, acts) {
            (Mode::LookOnly, _) => Reach::Look,
            (Mode::Act, true) => Reach::Once,
            (Mode::Act, false) => Reach::Write,
        };
        let looped = Loop::new(self.start);
        let (reply, mut replies) = mpsc::channel(UNREAD_MAX);
        let (inbox, inspector) = (looped.inbox(), self.inspector);
        tokio::spawn(async move { drop(converse(request, &inbox, inspector, &reply).await) });
        let heard = async {
            while let Some(reply) = replies.recv().await {
                say(reply);
            }
        };
        looped.run(heard).await;
        self.hold
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agent({:?})", self.mode)
    }
}

/// What an agent runs in. Calls that are under way when it is dropped are waited for; `Runtime::shutdown_timeout` doesn't.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(STACK)
        .max_blocking_threads(CALLS_MAX)
        .thread_keep_alive(THREAD_KEPT)
        .enable_all()
        .build()
}
