//! The local API's sockets: one request a connection, a line of JSON, and replies a line each.
//!
//! Each connection has a task of its own, so that who reads slowly delays nobody; who neither reads nor asks is hung up on.
//! There are two doors:
//!
//! | door | who may come | what may be asked |
//! |---|---|---|
//! | `agent.sock` | who may open it: its mode is 0600 | everything |
//! | `hook.sock` | everybody | of a source whose repository is one's own to write: what a push would change, to look now, to follow, to allow what a push was shown |

use crate::{
    api::{Envelope, Happening, Outcome, Reply, Request, Verdict, REQUEST_BYTES_MAX, VERSION},
    driver::{Inbox, Message},
    news::News,
    port::Inspector,
};
use abide_reconcile::{InstanceId, SourceId, UnitId, spec::kind::SourceSpec};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf, UCred},
    },
    sync::{Semaphore, broadcast, oneshot},
    time::{sleep, timeout},
};

/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long who asked may take to read a reply.
const REPLY_TIME: Duration = Duration::from_secs(30);

/// How long to wait for a source to come to a commit that it was never seen at.
const UNSEEN_MAX: Duration = Duration::from_secs(30);

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
    Snapshot(crate::api::Snapshot),
    Stream { first: Vec<Happening>, news: broadcast::Receiver<News>, until: Until },
}

/// How long a stream goes on.
#[derive(Clone, Debug)]
pub(crate) enum Until {
    HangUp,
    /// Until it is known what became of these commits, given as they begin; `known` if their sources are at them already.
    Ended { commits: BTreeMap<SourceId, String>, known: bool },
}

/// Which socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Owner,
    Hook,
}

/// Why a socket can't be had.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {path}")]
pub struct ListenError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Door {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Hook => 0o666,
        }
    }

    /// Connections at once. Anybody may fill the hooks' door, and each may hold a whole request.
    fn connections_max(self) -> usize {
        match self {
            Self::Owner => 64,
            Self::Hook => 8,
        }
    }

    /// Takes the place of whatever an earlier agent left at `path`: who has the hold on the root has its sockets.
    pub(crate) fn open(self, path: &Path) -> Result<UnixListener, ListenError> {
        let open = || {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(self.mode()))?;
            Ok(listener)
        };
        open().map_err(|source| ListenError { path: path.to_owned(), source })
    }

    /// Serves for ever.
    pub(crate) async fn serve(self, listener: UnixListener, inbox: Inbox, inspector: Arc<dyn Inspector>) {
        let places = Arc::new(Semaphore::new(self.connections_max()));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, as a rule: who waits in line may have to wait until some are closed.
                    tracing::warn!(%error, "could not accept a connection");
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let (inbox, inspector) = (inbox.clone(), Arc::clone(&inspector));
            tokio::spawn(async move {
                if let Err(error) = connection(self, stream, inbox, inspector).await {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(place);
            });
        }
    }
}

async fn connection(door: Door, stream: UnixStream, inbox: Inbox, inspector: Arc<dyn Inspector>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (from, to) = stream.into_split();
    let mut talk = Talk { from: BufReader::new(from), to };
    let request = match talk.request().await? {
        Ok(request) => request,
        Err(message) => return talk.say(&Reply::Refused { message }).await,
    };
    if door == Door::Hook
        && let Err(message) = may(&request, peer, &inbox).await
    {
        return talk.say(&Reply::Refused { message }).await;
    }
    serve(&mut talk, request, &inbox, inspector).await
}

/// Carries out one request and says all replies.
async fn serve(talk: &mut Talk, request: Request, inbox: &Inbox, inspector: Arc<dyn Inspector>) -> io::Result<()> {
    loop {
        match ask(inbox, request.clone()).await {
            None => return talk.say(&Reply::Refused { message: "the agent is ending".to_owned() }).await,
            Some(Answer::Replies(replies)) => {
                for reply in &replies {
                    talk.say(reply).await?;
                }
                return Ok(());
            }
            Some(Answer::Snapshot(snapshot)) => {
                let completed = tokio::task::spawn_blocking(move || complete(snapshot, &*inspector)).await;
                return talk.say(&Reply::Snapshot(completed.map_err(io::Error::other)?)).await;
            }
            Some(Answer::Stream { first, news, until }) => {
                for happening in first {
                    talk.say(&Reply::Happened(happening)).await?;
                }
                match talk.stream(news, until).await? {
                    Ended::Over => return Ok(()),
                    // What was missed may have been the end, so the loop is asked how things stand.
                    Ended::Missed(commits) => return talk.follow_again(commits, inbox).await,
                }
            }
        }
    }
}

/// Asks the loop.
pub(crate) async fn ask(inbox: &Inbox, request: Request) -> Option<Answer> {
    let (answer, answered) = oneshot::channel();
    inbox.send(Message::Asked(Asked { request, answer })).ok()?;
    answered.await.ok()
}

struct Talk {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

enum Ended {
    Over,
    Missed(BTreeMap<SourceId, String>),
}

impl Talk {
    async fn request(&mut self) -> io::Result<Result<Request, String>> {
        let mut line = Vec::new();
        let most = REQUEST_BYTES_MAX as u64 + 1;
        let mut limited = (&mut self.from).take(most);
        timeout(REQUEST_TIME, limited.read_until(b'\n', &mut line)).await.map_err(io::Error::from)??;
        if line.len() > REQUEST_BYTES_MAX {
            return Ok(Err(format!("a request has at most {REQUEST_BYTES_MAX} bytes")));
        }
        Ok(match serde_json::from_slice(&line) {
            Ok(Envelope { version: VERSION, request }) => Ok(request),
            Ok(Envelope { version, .. }) => Err(format!(
                "this agent speaks version {VERSION} of its protocol, and was asked in version {version}: use the `abide` of the agent's release"
            )),
            Err(error) => Err(format!("no request: {error}")),
        })
    }

    async fn say(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        timeout(REPLY_TIME, self.to.write_all(&line)).await.map_err(io::Error::from)?
    }
}
