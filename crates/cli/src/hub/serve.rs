//! `abide hub serve`: a process of a hub.

use super::folder;
use crate::{
    agent,
    args::hub::Serve,
    ask::{Holder, holder},
    exit::{Done, Exit, Failure, with_causes},
    files,
    here::Here,
};
use abide_agent::{Clock, Hold, Paths};
use abide_fleet::{
    deciding::{self, Bell, follower::Follower, roster::Roster},
    link::Address,
    server::{self, Server, authority::Authority, limits::Limits, tls::WallClock},
    store::{self, Millis, Store},
};
use abide_host::time::boottime;
use abide_reconcile::{Name, SourceId, spec::kind};
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{net::TcpListener, sync::watch};
use tracing::Level;

/// What the hub keeps, where no other database is named.
const DATABASE: &str = "store.db";

/// Where people ask, in the run folder.
const SOCKET: &str = "hub.sock";

/// This very program, whatever the file that it was started from is by now.
const PROGRAM: &str = "/proc/self/exe";

/// Serves until a signal says that it is enough.
pub(super) fn run(here: &Here, command: &Serve) -> Done {
    agent::log(Level::INFO);
    let hold = match holder(here, agent::PATIENCE)? {
        Holder::Us(hold) => hold,
        Holder::Other(_) => {
            let state = here.paths.state.display();
            return Err(Failure::failed(format!("another agent holds {state}: choose another root with --root")));
        }
    };
    // Each machine is a connection.
    files::open_many("fewer machines can be served");
    let runtime = abide_agent::runtime().map_err(Failure::doing("starting threads"))?;
    let parts = assemble(here, command)?;
    let served = runtime.block_on(serve(parts, command, hold));
    runtime.shutdown_timeout(agent::CALLS);
    drop(served?);
    Ok(Exit::Done)
}

struct Hub {
    server: Server,
    deciding: deciding::Settings,
    socket: PathBuf,
}

fn assemble(here: &Here, command: &Serve) -> Result<Hub, Failure> {
    let paths = here.paths.make()?;
    let authority = folder(here);
    let database = command.database.clone().unwrap_or_else(|| authority.join(DATABASE).display().to_string());
    let me = agent::identity(None)?;
    let bell = Arc::new(Bell::default());
    let git = repository(&paths.state.join("sources").join(deciding::SOURCE), command)?;
    let cache = git.directory.clone();
    // What isn't a hub's folder is said before a database is made in it.
    if !authority.join("hub.json").exists() {
        let init = here.command("hub init --name HOST");
        return Err(Failure::refused(format!("{} isn't a hub's: make it one with `{init}`", authority.display())));
    }
    let store: Arc<dyn Store> = store::open(&database)?;
    let follower = Arc::new(Follower::start(git, Arc::clone(&bell))?);
    let server = Server::new(server::Settings {
        authority,
        store: Arc::clone(&store),
        cache,
        repository: Arc::clone(&follower) as _,
        hub: me.clone(),
        clock: WallClock::system(),
        lifetime: command.certificate_lifetime,
        grace: command.certificate_grace.0,
        limits: Limits { away: command.away_after.0, ..Limits::default() },
    })?;
    let deciding = deciding::Settings {
        paths: Paths { state: paths.state, run: paths.run.clone() },
        roster: Arc::new(Roster::new(Arc::clone(&store), Arc::clone(&bell))),
        store,
        me,
        fleet: server.authority().fleet().to_owned(),
        follower,
        bell,
        clock: Clock::new(boottime),
        world: || Millis(WallClock::system().now()),
        limits: deciding::limits(),
    };
    Ok(Hub { server, deciding, socket: paths.run.join(SOCKET) })
}

/// How the fleet's repository is followed, into this folder.
fn repository(directory: &Path, command: &Serve) -> Result<abide_git::Settings, Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(Failure::file("making", directory))?;
    let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    // A folder of this machine may be said as seen from here.
    let local = Path::new(&command.repository);
    let url = if local.is_dir() {
        std::path::absolute(local).map_err(Failure::file("finding", local))?.display().to_string()
    } else {
        command.repository.clone()
    };
    Ok(abide_git::Settings {
        id: SourceId(deciding::SOURCE.parse::<Name>()?),
        repository: kind::GitSource { url, branch: command.branch.clone(), path: None, interval: command.interval },
        credentials: kind::Credentials { token_file: text(&command.token_file), ca_file: text(&command.ca_file) },
        grants: kind::Grants::default(),
        directory: directory.to_owned(),
        program: PROGRAM.into(),
        said: None,
        keep: Vec::new(),
        history: abide_git::cache::History::Whole,
        reading: None,
        bounds: Default::default(),
    })
}

async fn serve(hub: Hub, command: &Serve, hold: Hold) -> Result<Hold, Failure> {
    let Hub { server, deciding, socket } = hub;
    let listening = |at: SocketAddr, error: io::Error| Failure::failed(format!("listening on {at}: {error}"));
    let machines = TcpListener::bind(command.listen).await.map_err(|error| listening(command.listen, error))?;
    let address = machines.local_addr().map_err(Failure::doing("listening"))?;
    let reached = reached(&server.authority(), command.url.as_ref(), address.port())?;
    // For root alone.
    let people = abide_agent::listen(&socket, 0o600)?;
    let metrics = match command.metrics {
        Some(at) => Some(TcpListener::bind(at).await.map_err(|error| listening(at, error))?),
        None => None,
    };
    let (ending, ended) = watch::channel(false);
    let end = || {
        let mut ended = ended.clone();
        async move { drop(ended.wait_for(|ended| *ended).await) }
    };
    let signal = agent::end_signal()?;
    tracing::info!(%address, fleet = server.authority().fleet(), "the hub serves");
    let serving = Box::pin(server.serve(machines, end()));
    let asked = Box::pin(server.serve_admin(people, &reached));
    let measured = Box::pin(async {
        match metrics {
            Some(metrics) => server.serve_metrics(metrics).await,
            None => std::future::pending().await,
        }
    });
    let decided = Box::pin(deciding::decide(deciding, hold, end()));
    let watched = async {
        tokio::select! {
            () = signal => tracing::info!("the hub ends; what machines run, runs on"),
            () = asked => {}
            () = measured => {}
        }
        ending.send_replace(true);
        std::future::pending::<()>().await;
    };
    let both = async {
        let decided = async {
            let decided = decided.await;
            // A process that can't decide is of no use: another may.
            ending.send_replace(true);
            decided
        };
        tokio::join!(serving, decided).1
    };
    tokio::select! {
        decided = both => decided.map_err(|error| Failure::failed(with_causes(&error))),
        () = watched => Err(Failure::failed("the hub ended by itself")),
    }
}

/// Where machines reach it: they take it for the hub by the names of its certificate alone.
fn reached(authority: &Authority, said: Option<&Address>, port: u16) -> Result<Address, Failure> {
    let names = authority.names();
    let Some(said) = said else {
        return Ok(Address::of(names.first().map(String::as_str).unwrap_or_default(), port)?);
    };
    if names.iter().any(|name| name.eq_ignore_ascii_case(said.host())) {
        return Ok(said.clone());
    }
    let (host, names) = (said.host(), names.join(", "));
    Err(Failure::refused(format!("machines would not take {host} for this hub, whose certificate is for {names}")))
}
