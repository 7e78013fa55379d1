//! The hub decides: on which commit each machine is to be, and when. It is the Reconciler of every other mode, with machines
//! as its units, a commit as their version, and roll-outs as their groups.
//!
//! ```text
//!  Follower: the repository ─┐              ┌─ Reconciler ─► Machines: targets, written in the store while this hub leads
//!  Roster: the store's rows ─┴► FleetSource ┘      └───────► Board: how the roll-outs are, in the store as well
//! ```
//!
//! | module | question it answers |
//! |---|---|
//! | [`follower`], [`roster`], `watch` | what is in the repository, and in the store |
//! | `choice`, `commit`, `lineage` | which commit is rolled out, what it says, and whether the fleet may go on to it |
//! | `wish`, `source` | what is wished |
//! | `phase`, `machines`, `clock` | how each machine is, and how it is told |
//! | `board`, `retries` | what people see of it, and ask for |
//! | `leader`, `journal` | who decides, and where decisions are |
//!
//! A hub can't make up what a machine runs: that the machine reads from the commit. So a broken `fleet.yaml`, a folder that can't
//! be parsed, a history that machines wouldn't follow and a signature that they wouldn't believe are refused here only so that nobody is told in vain.

mod bell;
mod board;
mod choice;
mod clock;
mod commit;
pub mod follower;
mod journal;
mod leader;
mod lineage;
mod machines;
mod phase;
mod retries;
pub mod roster;
mod source;
mod watch;
mod wish;

pub use bell::Bell;

use crate::store::{Millis, Store, Term};
use abide_agent::{
    Agent, Clock, Details, Hints, Hold, Inspector, ListenError, Mode, Opened, Opening, Parts, Paths, SourceFactory,
    StartError,
};
use abide_reconcile::{
    Fault, InstanceId, Kind, Limits, Name, Revision, SourceId, UnitId,
    spec::kind::{Credentials, Follow, Grants, SourceSpec},
    with_causes,
};
use board::Board;
use clock::Translator;
use follower::Follower;
use journal::InStore;
use leader::Candidate;
use machines::Machines;
use roster::Roster;
use source::{FleetSource, Means};
use std::{io, sync::Arc, time::Duration};
use tokio::{sync::oneshot, task::spawn_blocking, time::sleep};
use watch::Watch;

/// How the source is called, on the hub and on machines.
pub const SOURCE: &str = "fleet";

/// What deciding is done with.
#[derive(Clone)]
pub struct Settings {
    /// Where the state is, and the sockets of the agent while this hub leads.
    pub paths: Paths,
    /// What all hubs of the fleet share.
    pub store: Arc<dyn Store>,
    /// Who this is, and nobody else at any time.
    pub me: String,
    /// The fleet's identity, as its tree has it.
    pub fleet: String,
    /// The repository.
    pub follower: Arc<Follower>,
    /// The machines.
    pub roster: Arc<Roster>,
    /// Rung by both.
    pub bell: Arc<Bell>,
    /// The time to decide by.
    pub clock: Clock,
    /// The world's clock.
    pub world: fn() -> Millis,
    /// The numbers that are policy, as [`limits`].
    pub limits: Limits,
}

/// Why a hub can't decide.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// What was decided before can't be read.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The agent's sockets.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A thread.
    #[error("could not start a thread")]
    Thread(#[from] io::Error),
}

/// How much at once: a target is a row in the database, those that are written at the same time share a transaction, and there
/// are many. A machine tries often enough by itself, so a
/// target that failed there isn't tried again before it is judged.
pub fn limits() -> Limits {
    Limits { orders_max: 48, prepares_max: 48, tries_max: 1, retry_max: Duration::from_secs(300), ..Limits::default() }
}

/// Waits to lead, decides while it leads, and waits again, until `stop`. The hold is given back.
pub async fn decide(settings: Settings, mut hold: Hold, stop: impl Future<Output = ()>) -> Result<Hold, DecideError> {
    tokio::pin!(stop);
    let Settings { store, me, clock, world, .. } = settings.clone();
    let candidate = Candidate { store, me, clock, world };
    let mut told = String::new();
    loop {
        let term = tokio::select! {
            term = candidate.win() => term,
            () = &mut stop => return Ok(hold),
        };
        tracing::info!(epoch = term.epoch, "leads");
        let mut lost = None;
        let end = async {
            tokio::select! {
                () = &mut stop => {}
                why = candidate.keep(&term) => lost = Some(why),
            }
        };
        let (given_back, in_vain) = lead(&settings, &term, hold, end).await?;
        hold = given_back;
        candidate.leave(term).await;
        match (lost, in_vain) {
            (None, None) => return Ok(hold),
            (Some(why), _) => tracing::warn!(why, "leads no more; what machines were told stays as it is"),
            (None, Some(why)) => {
                // Once for each reason, or it fills the log.
                if told != why {
                    tracing::error!(why, "can't decide: gives the lead up, and tries again in a while");
                    told = why;
                }
                tokio::select! {
                    () = sleep(IN_VAIN) => {}
                    () = &mut stop => return Ok(hold),
                }
            }
        }
    }
}

/// Who led in vain lets others try first.
const IN_VAIN: Duration = Duration::from_secs(3);

/// The source's name.
fn source() -> SourceId {
    SourceId(Name::new(SOURCE).expect("it is a name"))
}

/// Decides for a term. What comes back with the hold is why it can't: who leads then keeps others from it, and is to stop.
async fn lead(
    settings: &Settings,
    term: &Term,
    hold: Hold,
    end: impl Future<Output = ()>,
) -> Result<(Hold, Option<String>), DecideError> {
    let Settings { paths, store, fleet, follower, roster, bell, clock, world, limits, .. } = settings.clone();
    let (source, hints) = (source(), Hints::default());
    let journals = InStore::load(Arc::clone(&store), term.clone(), source.clone());
    let journals = match spawn_blocking(journals).await.map_err(io::Error::other)? {
        Ok(journals) => journals,
        Err(error) => return Ok((hold, Some(with_causes(&error)))),
    };
    let (board, _written) = Board::start(Arc::clone(&store), term.clone())?;
    let _watched = Watch::start(Arc::clone(&roster), hints.clone(), source.clone())?;
    let machines = Machines {
        store: Arc::clone(&store),
        roster: Arc::clone(&roster),
        term: term.clone(),
        source: source.clone(),
        clock: Translator::new(clock.clone(), world),
        world,
        wants: Default::default(),
    };
    let means = Means { source: source.clone(), fleet, follower, roster: Arc::clone(&roster), bell, board };
    let parts = Parts {
        paths,
        // Orders have numbers that grow from one leader to the next, whatever root it has.
        hold: hold.of_term(term.epoch),
        clock,
        limits,
        backends: [(Kind::Machine, Arc::new(machines) as _)].into(),
        inspector: Arc::new(NothingInside),
        journals: Arc::new(journals),
        factory: Arc::new(Factory { means }),
        hints,
        sweep: Box::new(|_| {}),
    };
    let follow = SourceSpec { follow: Follow::Fleet, credentials: Credentials::default(), grants: Grants::default() };
    let (tell, told) = oneshot::channel();
    let agent = Agent::new(parts, Mode::Act)?.for_source(source.clone(), follow);
    // Who doesn't listen any more stops anyway.
    let agent = agent.or_else(move |why| drop(tell.send(why)));
    let retries = retries::carry_out(roster, store, source, agent.asker());
    let mut in_vain = None;
    let end = async {
        tokio::pin!(end);
        tokio::select! {
            () = &mut end => {}
            Ok(why) = told => in_vain = Some(why),
        }
    };
    tokio::select! {
        hold = agent.serve(end) => Ok((hold?, in_vain)),
        never = retries => match never {},
    }
}

/// Makes the one source there is.
struct Factory {
    means: Means,
}

impl SourceFactory for Factory {
    fn open(&self, opening: &Opening) -> Result<Opened, Fault> {
        self.check(&opening.id)?;
        let bell = Arc::clone(&self.means.bell);
        Ok(Opened {
            source: Box::new(FleetSource::new(self.means.clone(), opening)),
            wake: Box::new(move || bell.ring()),
            reporter: Some(Arc::clone(&self.means.board) as _),
            contact: None,
        })
    }

    fn reopen(&self, id: &SourceId, _: &SourceSpec, commit: &str) -> Result<Revision, Fault> {
        self.check(id)?;
        source::reopen(&self.means, commit)
    }

    fn commit_folder(&self, _: &SourceId, _: &SourceSpec) -> Result<Revision, Fault> {
        Err(Fault::Never("a hub takes no folders: push to the fleet's repository".into()))
    }
}

impl Factory {
    fn check(&self, id: &SourceId) -> Result<(), Fault> {
        let text = || format!("a hub follows its fleet's repository and nothing else, so not {id}");
        if *id == self.means.source { Ok(()) } else { Err(Fault::Never(text().into())) }
    }
}

/// Nobody can enter what a hub has: it is a row in its database.
struct NothingInside;

impl Inspector for NothingInside {
    fn inspect(&self, _: &UnitId, _: InstanceId) -> Option<Details> {
        None
    }

    fn exec(&self, _: &UnitId, _: InstanceId, _: &[String], _: Duration) -> Result<i32, Fault> {
        Err(Fault::Never("nothing runs here: ask the machine".into()))
    }
}
