//! `abide agent`, and an agent for one request.
//!
//! | module | what it is |
//! |---|---|
//! | `assemble` | all crates, put together |
//! | `factory` | sources out of repositories, folders and clusters |
//! | `inspector` | what probes and people ask about instances |

mod assemble;
mod factory;
mod inspector;

use crate::{
    ask::{Holder, holder},
    client::Heard,
    exit::{Done, Exit, Failure},
    here::Here,
    render::style::Style,
};
use abide_agent::{Agent, Hold, Mode, api::Request};
use abide_fleet::link::{self, Link};
use abide_operator::node::Node;
use abide_reconcile::{SourceId, spec::kind::SourceSpec};
use assemble::Assembled;
use factory::Factory;
use std::{
    fs,
    io::{self, Read as _},
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tracing::Level;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How long an agent waits for commands that are under way on its root.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Calls that are under way at the end are cancelled. One that doesn't notice for so long is left to end with the process.
pub(crate) const CALLS: Duration = Duration::from_secs(5);

/// What an agent is there for besides what its root has registered.
#[derive(Debug)]
pub(crate) struct Purpose {
    pub(crate) node: Node,
    pub(crate) source: SourceId,
    pub(crate) spec: SourceSpec,
}

/// Serves until a signal says that it is enough.
pub(crate) fn run(here: &Here) -> Done {
    serve(here, |_| Ok(None))
}

/// The same with a purpose, which may begin tasks in the agent's runtime.
pub(crate) fn serve(here: &Here, purpose: impl FnOnce(&Runtime) -> Result<Option<Purpose>, Failure>) -> Done {
    abide_host::memory::share_heaps();
    log(Level::INFO);
    let hold = match holder(here, PATIENCE)? {
        Holder::Us(hold) => hold,
        Holder::Other(_) => {
            let state = here.paths.state.display();
            let text = format!("another agent holds {state}: stop it first, or choose another root with --root");
            return Err(Failure::failed(text));
        }
    };
    let runtime = abide_agent::runtime().map_err(Failure::doing("starting threads"))?;
    let purpose = purpose(&runtime)?;
    let node = purpose.as_ref().map(|purpose| purpose.node.clone());
    let Assembled { parts, ground } = assemble::assemble(here, hold, factory(here, node, &runtime)?)?;
    tracing::info!(state = %here.paths.state.display(), "the agent begins");
    let hold = runtime.block_on(async {
        let end = end_signal()?;
        let stop = async move {
            end.await;
            tracing::info!("the agent ends; what runs, runs on");
        };
        let agent = Agent::new(parts, Mode::Act)?;
        let agent = match purpose {
            Some(Purpose { source, spec, .. }) => agent.for_source(source, spec),
            None => agent,
        };
        Ok::<Hold, Failure>(agent.serve(stop).await?)
    })?;
    runtime.shutdown_timeout(CALLS);
    assemble::leave(&ground);
    drop(hold);
    Ok(Exit::Done)
}

/// Answers one request in this process.
pub(crate) fn ask(
    here: &Here,
    hold: Hold,
    mode: Mode,
    request: Request,
    say: &mut dyn FnMut(Heard) -> ControlFlow<()>,
) -> Result<(), Failure> {
    log(Level::WARN);
    let runtime = abide_agent::runtime().map_err(Failure::doing("starting threads"))?;
    let Assembled { parts, ground } = assemble::assemble(here, hold, factory(here, None, &runtime)?)?;
    let agent = Agent::new(parts, mode)?;
    let hold = runtime.block_on(agent.ask(request, |reply| {
        // It is one request: what it says last is the end.
        let _more = say(Heard::Reply(reply));
    }));
    runtime.shutdown_timeout(CALLS);
    if mode == Mode::Act {
        assemble::leave(&ground);
    }
    drop(hold);
    Ok(())
}

/// Comes with the signal that says that it is enough, from now on.
pub(crate) fn end_signal() -> io::Result<impl Future<Output = ()>> {
    let mut ends = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    Ok(async move {
        let [terminate, interrupt] = &mut ends;
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}

/// Who this process is among those that may lead, and nobody else at any time: that name, or else the machine's, and a
/// random number.
pub(crate) fn identity(name: Option<String>) -> Result<String, Failure> {
    let name = name.or_else(|| fs::read_to_string("/proc/sys/kernel/hostname").ok()).unwrap_or_default();
    let mut random = [0; 8];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
    read.map_err(Failure::doing("reading /dev/urandom"))?;
    Ok(format!("{}_{:016x}", name.trim(), u64::from_ne_bytes(random)))
}

/// What an agent of this root can follow: the objects of a cluster, if it is a node's.
fn factory(here: &Here, node: Option<Node>, runtime: &Runtime) -> Result<Arc<Factory>, Failure> {
    let link = Link::new(runtime.handle().clone(), env!("CARGO_PKG_VERSION"), link::system())?;
    Ok(Arc::new(Factory { sources: here.paths.state.join("sources"), node, link }))
}

/// What happens goes to standard error; `ABIDE_LOG` says how much (`debug`, or `abide_agent=debug,warn`).
pub(crate) fn log(usual: Level) {
    let asked = std::env::var("ABIDE_LOG").ok().and_then(|text| text.parse().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(usual));
    let is_coloured = Style::of(&io::stderr()) == Style::Coloured;
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(is_coloured);
    // A second request of one command finds it set up.
    drop(tracing_subscriber::registry().with(layer).with(filter).try_init());
}
