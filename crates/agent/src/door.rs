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
    api::{Envelope, REQUEST_BYTES_MAX, Reply, Request, VERSION},
    driver::{Inbox, Message},
    may::{self, About, Peer},
    port::Inspector,
    talk::{UNREAD_MAX, converse},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, oneshot},
    time::{sleep, timeout},
};

/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long who asked may take to read a reply.
const REPLY_TIME: Duration = Duration::from_secs(30);

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;

/// The pause after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

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

/// A socket for whom the mode lets in. Takes the place of whatever an earlier process left there: who has the hold on the
/// root has its sockets.
pub fn listen(path: &Path, mode: u32) -> Result<UnixListener, ListenError> {
    let open = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        Ok(listener)
    };
    open().map_err(|source| ListenError { path: path.to_owned(), source })
}

impl Door {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Hook => 0o666,
        }
    }

    /// Connections at once of one user: anybody may come to the hooks' door, and nobody may fill it.
    fn connections_max(self) -> usize {
        match self {
            Self::Owner => CONNECTIONS_MAX,
            Self::Hook => CONNECTIONS_MAX / 4,
        }
    }

    /// Bytes of a request. What hooks ask is held in memory before it is known who may ask it.
    fn request_bytes_max(self) -> usize {
        match self {
            Self::Owner => REQUEST_BYTES_MAX,
            Self::Hook => REQUEST_BYTES_MAX / 4,
        }
    }

    pub(crate) fn open(self, path: &Path) -> Result<UnixListener, ListenError> {
        listen(path, self.mode())
    }

    /// Serves for ever.
    pub(crate) async fn serve(self, listener: UnixListener, inbox: Inbox, inspector: Arc<dyn Inspector>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let visitors = Visitors::default();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, as a rule: who waits in line may have to wait until some are closed.
                    tracing::warn!(%error, "could not accept a connection");
                    sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let Ok(peer) = stream.peer_cred().map(|peer| Peer { uid: peer.uid(), gid: peer.gid() }) else { continue };
            let Some(visit) = visitors.enter(peer.uid, self.connections_max()) else {
                // Hung up on, without a task that it could hold.
                continue;
            };
            let (inbox, inspector) = (inbox.clone(), Arc::clone(&inspector));
            tokio::spawn(async move {
                if let Err(error) = connection(self, stream, peer, inbox, inspector).await {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop((place, visit));
            });
        }
    }
}

/// How many connections each user has.
#[derive(Clone, Debug, Default)]
struct Visitors(Arc<Mutex<BTreeMap<u32, usize>>>);

/// A connection that counts, until this is dropped.
#[derive(Debug)]
struct Visit(Visitors, u32);

impl Visitors {
    fn enter(&self, uid: u32, at_most: usize) -> Option<Visit> {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = present.entry(uid).or_default();
        (*count < at_most).then(|| {
            *count += 1;
            Visit(self.clone(), uid)
        })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut present = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = present.entry(self.1) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

async fn connection(
    door: Door,
    stream: UnixStream,
    peer: Peer,
    inbox: Inbox,
    inspector: Arc<dyn Inspector>,
) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let refused = match request(&mut from, door.request_bytes_max()).await? {
        Err(message) => message,
        Ok(request) => match admit(door, &request, peer, &inbox).await {
            Err(message) => message,
            Ok(()) => return replies(request, from, to, inbox, inspector).await,
        },
    };
    write(&mut to, &Reply::Refused { message: refused }).await
}

async fn request(from: &mut BufReader<OwnedReadHalf>, most: usize) -> io::Result<Result<Request, String>> {
    let mut line = Vec::new();
    let mut limited = from.take(most as u64 + 1);
    timeout(REQUEST_TIME, limited.read_until(b'\n', &mut line)).await.map_err(io::Error::from)??;
    if line.len() > most {
        return Ok(Err(format!("a request has at most {most} bytes")));
    }
    Ok(match serde_json::from_slice(&line) {
        Ok(Envelope { version: VERSION, request }) => Ok(request),
        Ok(Envelope { version, .. }) => Err(format!(
            "this agent speaks version {VERSION} of its protocol, and was asked in version {version}: use the `abide` of the agent's release"
        )),
        Err(error) => Err(format!("no request: {error}")),
    })
}

/// Whether this may be asked at this door by this user.
async fn admit(door: Door, request: &Request, peer: Peer, inbox: &Inbox) -> Result<(), String> {
    if door == Door::Owner {
        return Ok(());
    }
    let about = may::about(request).ok_or(
        "hooks may ask what a push would change, to look now, to follow and to allow, and that of a named source; for all else use `abide` as root",
    )?;
    let no = || match &about {
        About::Source(name) => format!("there is no source {name} whose repository is yours to push to"),
        About::Repository(path) => format!("{} is no repository that is yours to push to", path.display()),
    };
    let path = match &about {
        About::Repository(path) => Some(path.clone()),
        About::Source(name) => {
            let (answer, answered) = oneshot::channel();
            drop(inbox.send(Message::Whose { source: name.clone(), answer }));
            let spec = answered.await.ok().flatten();
            spec.and_then(|spec| may::repository(&spec).map(Path::to_owned))
        }
    };
    let path = path.ok_or_else(no)?;
    let may = tokio::task::spawn_blocking(move || may::may_write(peer, &path)).await;
    if may.unwrap_or(false) { Ok(()) } else { Err(no()) }
}

/// Says all replies, until there is none or the other end hangs up.
async fn replies(
    request: Request,
    mut from: BufReader<OwnedReadHalf>,
    mut to: OwnedWriteHalf,
    inbox: Inbox,
    inspector: Arc<dyn Inspector>,
) -> io::Result<()> {
    let (reply, mut replies) = mpsc::channel(UNREAD_MAX);
    let talk = tokio::spawn(async move { drop(converse(request, &inbox, inspector, &reply).await) });
    let mut more = [0; 64];
    let result = loop {
        tokio::select! {
            reply = replies.recv() => match reply {
                None => break Ok(()),
                Some(reply) => if let Err(error) = write(&mut to, &reply).await {
                    break Err(error);
                },
            },
            // Who asked has nothing more to say, and keeps its end open for as long as it wants to hear.
            read = from.read(&mut more) => match read {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            },
        }
    };
    talk.abort();
    result
}

async fn write(to: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    timeout(REPLY_TIME, to.write_all(&line)).await.map_err(io::Error::from)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_fills_the_door_for_others() {
        let visitors = Visitors::default();
        let many: Vec<Visit> = (0..20).filter_map(|_| visitors.enter(1000, 16)).collect();
        assert_eq!(many.len(), 16);
        assert!(visitors.enter(1001, 16).is_some());
        drop(many);
        assert!(visitors.enter(1000, 16).is_some());
        assert!(visitors.0.lock().unwrap().is_empty());
    }
}
