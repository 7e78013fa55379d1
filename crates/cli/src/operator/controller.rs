//! `abide operator --controller`: an agent whose units are places, and which acts only while it leads.

use super::cluster;
use crate::{
    agent,
    args::operator::Operator,
    ask::{Holder, holder},
    exit::{Done, Exit, Failure},
    here::Here,
};
use abide_agent::{Agent, Clock, Hints, Hold, Mode, Parts, Paths, journal::InFolders};
use abide_host::time::boottime;
use abide_operator::placement::{NothingInside, Placement, Settings, elect::Election, lease::Leadership};
use abide_reconcile::spec::kind::{Credentials, Follow, Grants, SourceSpec};
use kube::Client;
use std::sync::Arc;
use tokio::runtime::Handle;
use tracing::Level;

/// Waits to lead, and places until a signal says that it is enough, or until another one leads.
pub(super) fn run(here: &Here, command: &Operator) -> Done {
    agent::log(Level::INFO);
    let hold = match holder(here, agent::PATIENCE)? {
        Holder::Us(hold) => hold,
        Holder::Other(_) => {
            let state = here.paths.state.display();
            return Err(Failure::failed(format!("another agent holds {state}: choose another root with --root")));
        }
    };
    let runtime = abide_agent::runtime().map_err(Failure::doing("starting threads"))?;
    let client = cluster::client(&runtime, command)?;
    let ended = runtime.block_on(lead(here, command, client, hold));
    runtime.shutdown_timeout(agent::CALLS);
    let Ended { hold, lost } = ended?;
    drop(hold);
    match lost {
        None => Ok(Exit::Done),
        Some(why) => {
            Err(Failure::failed(format!("{why}: this controller ends, and waits to lead when it is started again")))
        }
    }
}

/// How leading ended.
struct Ended {
    hold: Option<Hold>,
    /// Why it couldn't go on, if nobody wanted it to end.
    lost: Option<String>,
}

async fn lead(here: &Here, command: &Operator, client: Client, hold: Hold) -> Result<Ended, Failure> {
    let stop = agent::end_signal()?;
    tokio::pin!(stop);
    let clock = Clock::new(boottime);
    let me = agent::identity(std::env::var("POD_NAME").ok().filter(|name| !name.is_empty()))?;
    let election = Election::new(client.clone(), &command.namespace, me.clone(), clock.clone());
    tracing::info!(me, "waits to lead");
    let term = tokio::select! {
        term = Box::pin(election.win()) => term,
        () = &mut stop => return Ok(Ended { hold: Some(hold), lost: None }),
    };
    tracing::info!(term = term.number, "leads");
    // Orders have numbers that grow from one leader to the next, whatever root it has.
    let hold = hold.at_least(&here.paths.state, term.number)?;
    let (parts, placement) = assemble(here, command, client, hold, clock, election.leadership().clone())?;
    let follow =
        SourceSpec { follow: Follow::Placement, credentials: Credentials::default(), grants: Grants::default() };
    let agent = Agent::new(parts, Mode::Act)?.for_source(placement.source().clone(), follow);
    let mut lost = None;
    // What the requests of a renewal need is much to carry along.
    let kept = Box::pin(election.keep(term));
    let end = async {
        tokio::select! {
            () = &mut stop => tracing::info!("the controller ends; what has a node keeps it"),
            why = kept => lost = Some(why),
        }
    };
    let hold = agent.serve(end).await?;
    election.leave().await;
    Ok(Ended { hold: Some(hold), lost })
}

fn assemble(
    here: &Here,
    command: &Operator,
    client: Client,
    hold: Hold,
    clock: Clock,
    leadership: Leadership,
) -> Result<(Parts, Arc<Placement>), Failure> {
    let paths = here.paths.make()?;
    let hints = Hints::default();
    let placement = Arc::new(Placement::new(Settings {
        client,
        runtime: Handle::current(),
        namespace: command.namespace.clone(),
        lost_after: command.node_timeout.0,
        clock: clock.clone(),
        hints: hints.clone(),
        leadership,
    }));
    let parts = Parts {
        hold,
        clock,
        limits: Placement::limits(),
        backends: placement.backends(),
        inspector: Arc::new(NothingInside),
        journals: Arc::new(InFolders::new(paths.state.join("sources"))),
        factory: Arc::clone(&placement) as _,
        hints,
        sweep: Box::new(|_| {}),
        paths: Paths { state: paths.state, run: paths.run },
    };
    Ok((parts, placement))
}
