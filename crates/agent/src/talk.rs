//! One request's way through the loop: what is asked, and every reply until there is nothing more to say.
//!
//! ```text
//!  Request ─► converse ─► loop ─► Answer ─┬─ replies ──────────────────────────────────────────────► Reply, Reply, …
//!                                         ├─ a snapshot, completed with what the instances know ────► Reply
//!                                         └─ a stream: news until the commits' outcomes are known ──► Reply, Reply, …
//! ```
//!
//! Replies go into a channel of a few places. Who reads slowly holds up this conversation alone: it misses news meanwhile,
//! and then the loop is asked whether it missed an end.

use crate::{
    api::{Happening, Outcome, Reply, Request, Snapshot, UnitStatus},
    driver::{Inbox, Message},
    news::{Looked, News},
    port::Inspector,
};
use abide_reconcile::{InstanceId, SourceId, UnitId};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, oneshot,
    },
    time::{Instant, sleep_until},
};

/// Replies that wait for who asked to read them.
pub(crate) const UNREAD_MAX: usize = 64;

/// A request on its way to the loop.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) answer: Respond,
}

/// The way back.
pub(crate) type Respond = oneshot::Sender<Answer>;

/// What the loop answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Replies(Vec<Reply>),
    /// To be completed with what the instances' directories know.
    Snapshot(Snapshot),
    Stream {
        /// What is known already.
        first: Vec<Reply>,
        news: broadcast::Receiver<News>,
        until: Until,
    },
}

/// How long a stream goes on.
#[derive(Clone, Debug)]
pub(crate) enum Until {
    HangUp,
    /// Until it is known what became of these commits, given as they begin.
    Ended(BTreeMap<SourceId, String>),
    /// The same of a commit that the source isn't at; it may yet come to it.
    Seen {
        source: SourceId,
        commit: String,
        /// The look that will tell, if it is a source that tells.
        look: u64,
        /// How long to wait for that.
        within: Duration,
        /// What to say if it doesn't come.
        or: Box<Reply>,
    },
}

/// Who asked isn't there any more.
#[derive(Debug)]
pub(crate) struct HungUp;

/// Carries out one request, and says all replies.
pub(crate) async fn converse(
    request: Request,
    inbox: &Inbox,
    inspector: Arc<dyn Inspector>,
    to: &mpsc::Sender<Reply>,
) -> Result<(), HungUp> {
    match ask(inbox, request).await {
        None => say(to, ending()).await,
        Some(Answer::Replies(replies)) => {
            for reply in replies {
                say(to, reply).await?;
            }
            Ok(())
        }
        Some(Answer::Snapshot(snapshot)) => {
            let completed = tokio::task::spawn_blocking(move || complete_all(snapshot, &*inspector)).await;
            say(to, completed.map_or_else(|_| ending(), Reply::Snapshot)).await
        }
        Some(Answer::Stream { first, news, until }) => {
            for reply in first {
                say(to, reply).await?;
            }
            match until {
                Until::HangUp => go_on(news, to).await,
                Until::Ended(commits) => Following { commits, unseen: None, inbox, to }.follow(news).await,
                Until::Seen { source, commit, look, within, or } => {
                    let unseen = Some(Unseen { look, deadline: Instant::now() + within, or: *or, trouble: None });
                    Following { commits: [(source, commit)].into(), unseen, inbox, to }.follow(news).await
                }
            }
        }
    }
}

/// Asks the loop; nothing if it is over.
pub(crate) async fn ask(inbox: &Inbox, request: Request) -> Option<Answer> {
    let (answer, answered) = oneshot::channel();
    inbox.send(Message::Asked(Asked { request, answer })).ok()?;
    answered.await.ok()
}

async fn say(to: &mpsc::Sender<Reply>, reply: Reply) -> Result<(), HungUp> {
    to.send(reply).await.map_err(|_| HungUp)
}

fn ending() -> Reply {
    Reply::Failed { message: "the agent is ending; what runs, runs on".to_owned() }
}

/// All that happens, until who asked hangs up.
async fn go_on(mut news: broadcast::Receiver<News>, to: &mpsc::Sender<Reply>) -> Result<(), HungUp> {
    loop {
        let heard = tokio::select! {
            () = to.closed() => return Err(HungUp),
            heard = news.recv() => heard,
        };
        match heard {
            Ok(News::Happened(happening)) => say(to, Reply::Happened(happening)).await?,
            Ok(News::Ended(..) | News::Looked(_)) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return say(to, ending()).await,
        }
    }
}

/// A commit that its source has yet to come to.
struct Unseen {
    /// The look that will tell whether it does.
    look: u64,
    /// A source that doesn't tell has until then.
    deadline: Instant,
    /// What to say if it doesn't come.
    or: Reply,
    /// Why the source can't be looked at.
    trouble: Option<String>,
}

impl Unseen {
    /// What is said where the commit didn't come. That it was there before is known also of a source out of reach.
    fn over(self, source: &SourceId, commit: &str, coming: Option<&str>) -> Reply {
        let short = format!("{commit:.12}");
        match (self.or, self.trouble, coming) {
            (Reply::Outcome(outcome), ..) => Reply::Outcome(outcome),
            (_, Some(trouble), _) => Reply::Failed { message: format!("commit {short} has not come: {trouble}") },
            (_, None, Some("")) => Reply::Refused {
                message: format!(
                    "source {source} was looked at just now, and has neither commit {short} nor any other"
                ),
            },
            (_, None, Some(coming)) => Reply::Refused {
                message: format!(
                    "source {source} was looked at just now: it is at commit {coming:.12}, and neither is nor was at {short}"
                ),
            },
            (or, None, None) => or,
        }
    }
}

/// Who waits for what becomes of commits.
struct Following<'a> {
    /// Those of which it isn't known.
    commits: BTreeMap<SourceId, String>,
    /// None if their sources are at them.
    unseen: Option<Unseen>,
    inbox: &'a Inbox,
    to: &'a mpsc::Sender<Reply>,
}

impl Following<'_> {
    async fn follow(mut self, mut news: broadcast::Receiver<News>) -> Result<(), HungUp> {
        while !self.commits.is_empty() {
            let deadline = self.unseen.as_ref().map(|unseen| unseen.deadline);
            let heard = tokio::select! {
                () = self.to.closed() => return Err(HungUp),
                heard = news.recv() => Some(heard),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => None,
            };
            let Some(heard) = heard else { return self.never_came(None).await };
            match heard {
                Ok(News::Happened(happening)) => self.happened(happening).await?,
                Ok(News::Ended(source, outcome)) => self.ended(&source, outcome).await?,
                Ok(News::Looked(looked)) => self.looked(looked).await?,
                // What was missed may have been the end.
                Err(RecvError::Lagged(_)) => self.ask_again().await?,
                Err(RecvError::Closed) => return say(self.to, ending()).await,
            }
        }
        Ok(())
    }

    async fn happened(&mut self, happening: Happening) -> Result<(), HungUp> {
        let of = |(source, commit): (&SourceId, &String)| {
            let is_of = happening.source.as_deref() == Some(source.0.as_str());
            let is_at = happening.commit.as_deref().is_some_and(|id| id.starts_with(commit.as_str()));
            is_of.then_some(is_at)
        };
        let Some(is_at) = self.commits.iter().find_map(of) else { return Ok(()) };
        if is_at {
            self.unseen = None;
        }
        let Some(unseen) = &mut self.unseen else { return say(self.to, Reply::Happened(happening)).await };
        // A source that can't be read is why the commit doesn't come.
        if happening.unit.is_none() && happening.kind == "failed" {
            unseen.trouble = Some(happening.text);
        }
        Ok(())
    }

    /// What comes of a look that began after this was asked is known: the commit is coming, or it isn't there.
    async fn looked(&mut self, looked: Looked) -> Result<(), HungUp> {
        let Some(unseen) = self.unseen.as_mut().filter(|unseen| looked.number >= unseen.look) else { return Ok(()) };
        let Some(commit) = self.commits.get(&looked.source) else { return Ok(()) };
        if looked.coming.starts_with(commit.as_str()) {
            self.unseen = None;
            return Ok(());
        }
        unseen.trouble = looked.trouble;
        self.never_came(Some(&looked.coming)).await
    }

    async fn never_came(&mut self, coming: Option<&str>) -> Result<(), HungUp> {
        let unseen = self.unseen.take().zip(self.commits.pop_first());
        let over = unseen.map(|(unseen, (source, commit))| unseen.over(&source, &commit, coming));
        say(self.to, over.unwrap_or_else(ending)).await
    }

    async fn ended(&mut self, source: &SourceId, outcome: Outcome) -> Result<(), HungUp> {
        let is_it = self.commits.get(source).is_some_and(|commit| outcome.commit.starts_with(commit.as_str()));
        if !is_it {
            return Ok(());
        }
        self.commits.remove(source);
        say(self.to, Reply::Outcome(outcome)).await
    }

    async fn ask_again(&mut self) -> Result<(), HungUp> {
        for (source, commit) in self.commits.clone() {
            let request = Request::Follow { source: Some(source.to_string()), commit };
            match ask(self.inbox, request).await {
                Some(Answer::Replies(replies)) => self.over(&source, replies).await?,
                Some(Answer::Stream { first, until: Until::Ended(open), .. }) if open.is_empty() => {
                    self.over(&source, first).await?;
                }
                Some(Answer::Stream { until: Until::Ended(_), .. }) => self.unseen = None,
                // It has yet to come; or the loop ends, which the news will tell.
                _ => {}
            }
        }
        Ok(())
    }

    async fn over(&mut self, source: &SourceId, replies: Vec<Reply>) -> Result<(), HungUp> {
        self.commits.remove(source);
        for reply in replies {
            say(self.to, reply).await?;
        }
        Ok(())
    }
}

fn complete_all(mut snapshot: Snapshot, inspector: &dyn Inspector) -> Snapshot {
    for unit in &mut snapshot.units {
        if let Some(id) = unit_id(unit) {
            complete(&id, unit, inspector);
        }
    }
    snapshot
}

/// Adds what only the instances' directories know.
pub(crate) fn complete(id: &UnitId, unit: &mut UnitStatus, inspector: &dyn Inspector) {
    for instance in &mut unit.instances {
        let known = instance.id.parse::<InstanceId>().ok().and_then(|number| inspector.inspect(id, number));
        let Some(details) = known else { continue };
        instance.pid = details.pid;
        unit.addresses.extend(details.address);
    }
    unit.addresses.sort_unstable();
    unit.addresses.dedup();
}

fn unit_id(unit: &UnitStatus) -> Option<UnitId> {
    let kind = abide_reconcile::Kind::ALL.into_iter().find(|kind| kind.as_str() == unit.kind)?;
    Some(UnitId { scope: unit.scope.parse().ok()?, kind, name: unit.name.parse().ok()?, index: unit.index })
}
