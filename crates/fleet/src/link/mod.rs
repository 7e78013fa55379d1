//! The machine's side of the wire: a hub as a [`Source`], and the machine's reports to it.
//!
//! ```text
//!   hub ◄── polls ─── follower ── target ──► taker ── judged, brought ──► mailbox ──► Reconciler
//!    ▲                   └ certificate                                                   │
//!    └─── reports ─────────────────────── teller ◄── board ◄──────── reporter ───────────┘
//! ```
//!
//! | module | question it answers |
//! |---|---|
//! | [`enroll`] | how a machine becomes one of a fleet, and gets its next certificate |
//! | `address`, `token` | what people write: where the hub is, and the right to enrol |
//! | `identity`, `key`, `certificate` | who this machine is, and for how long |
//! | `clock`, `tls` | whom it believes to be the hub, whatever its clock says |
//! | `dial`, `proxy`, `client`, `trouble`, `words` | how it asks, what can go wrong, and how that is told |
//! | `line`, [`pace`] | the client in use; when to ask |
//! | `follower`, `taker`, `teller` | the three tasks: what the target is, what becomes of it, what the hub is told |
//! | `board`, `standing`, `voice` | what is known of the machine; what that comes to; what the agent is told |
//! | `belief`, `remote` | `trust`, and whom that asks |
//!
//! A hub that is away, lies or hangs changes nothing that runs. Without it, name service or a right clock the agent boots
//! from what it accepted last.

mod address;
mod belief;
mod board;
mod certificate;
mod client;
mod clock;
mod dial;
pub mod enroll;
mod follower;
mod identity;
mod key;
mod line;
pub mod pace;
mod proxy;
mod remote;
mod standing;
mod taker;
mod teller;
mod tls;
mod token;
mod trouble;
mod voice;
mod words;

#[cfg(test)]
mod tests;

pub use address::{Address, BadAddress};
pub use belief::reopen;
pub use certificate::Untrusted;

pub use clock::{Own, system};
pub use identity::{BadCertificate, Folder, Identity, IdentityError};
pub use key::KeyError;
pub use tls::CertificateTrouble;
pub use token::{BadToken, Token};
pub use trouble::Trouble;

use crate::trust::State;
use abide_agent::{Opened, Opening};
use abide_reconcile::{Attend, Fault, Revision, Source, spec::kind::Follow};
use belief::Belief;
use board::Board;
use clock::Clock;
use follower::Follower;
use line::{Contact, Line};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicU64},
};
use taker::{Judge, Taker};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
};
use trouble::with_causes;
use voice::Voice;

const NOT_ENROLLED: &str = "this machine is not enrolled: `abide enroll URL --token TOKEN`";

/// What an agent has to follow a hub with. There is one in a process, as the hub tells machines that use one identity
/// apart by their sessions.
#[derive(Clone)]
pub struct Link {
    handle: Handle,
    version: String,
    own: Own,
    session: String,
    /// Of the session's last report.
    sequence: Arc<AtomicU64>,
    /// Whoever judges a target is alone with what the machine remembers.
    judging: Arc<Mutex<()>>,
}

impl Link {
    /// Of a process that begins. What it does is done in the runtime of `handle`.
    pub fn new(handle: Handle, version: &str, own: Own) -> Result<Self, Fault> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Fault::Again("the kernel gives no random numbers".into()))?;
        let session = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let version = version.to_owned();
        Ok(Self { handle, version, own, session, sequence: Arc::default(), judging: Arc::default() })
    }

    /// Begins to follow the hub that the machine is enrolled with. `directory` is the source's state folder. Nobody is
    /// asked before somebody waits for what is said.
    pub fn open(&self, opening: &Opening, directory: &Path) -> Result<Opened, Fault> {
        let folder = Folder::of(directory);
        let identity = folder.identity().map_err(|error| Fault::Again(with_causes(&error).into()))?;
        let identity = identity.ok_or_else(|| Fault::Never(NOT_ENROLLED.into()))?;
        if let Follow::Hub(hub) = &opening.spec.follow
            && hub.url.trim_end_matches('/') != identity.hub
        {
            let text =
                format!("this machine is enrolled at {}, not at {}: `abide enroll {}`", identity.hub, hub.url, hub.url);
            return Err(Fault::Never(text.into()));
        }
        let belief = Belief::new(&opening.id, directory, &identity, &opening.spec.grants, Arc::clone(&self.judging))?;
        State::read(directory).map_err(|error| Fault::Never(with_causes(&error).into()))?;
        self.begin(folder, identity, Arc::new(belief))
    }

    fn begin(&self, folder: Folder, identity: Identity, judge: Arc<dyn Judge>) -> Result<Opened, Fault> {
        let clock = Arc::new(Clock::new(Arc::clone(&self.own), identity.issued_at));
        // One that can't be read is got anew.
        let trial =
            folder.next().ok().flatten().filter(|next| next.fleet == identity.fleet && next.hub == identity.hub);
        let client = enroll::client_of(trial.as_ref().unwrap_or(&identity), &clock);
        let client = client.map_err(|error| Fault::Never(with_causes(&error).into()))?;
        let contact = Arc::new(Contact::default());
        let line = Arc::new(Line::new(client, Arc::clone(&contact)));
        let board = Arc::new(Board::new(&self.session, &self.version));
        let voice = Arc::new(Voice::default());
        let (targets, told) = watch::channel(None);
        let wake = Arc::new(Notify::new());
        let taker = Taker {
            judge,
            targets: told,
            line: Arc::clone(&line),
            board: Arc::clone(&board),
            voice: Arc::clone(&voice),
            handle: self.handle.clone(),
        };
        let follower = Follower {
            line: Arc::clone(&line),
            folder,
            identity,
            trial,
            clock,
            board: Arc::clone(&board),
            voice: Arc::clone(&voice),
            targets,
            wake: Arc::clone(&wake),
            session: self.session.clone(),
            version: self.version.clone(),
            pace: Default::default(),
        };
        let teller = teller::run(Arc::clone(&board), line, Arc::clone(&self.sequence));
        let handle = self.handle.clone();
        let start = move || {
            [handle.spawn(follower.run()), handle.spawn(taker.run()), handle.spawn(teller)]
                .map(|task| task.abort_handle())
        };
        let mailbox = Arc::clone(&voice.mailbox);
        Ok(Opened {
            source: Box::new(HubSource { voice, start: Some(Box::new(start)), tasks: Vec::new() }),
            wake: Box::new(move || {
                wake.notify_one();
                mailbox.ring();
            }),
            reporter: Some(board),
            contact: Some(Box::new(move || contact.shown())),
        })
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.session)
    }
}

type Start = Box<dyn FnOnce() -> [AbortHandle; 3] + Send>;

/// A hub, as a source of wishes. What serves it ends when it is dropped.
struct HubSource {
    voice: Arc<Voice>,
    start: Option<Start>,
    tasks: Vec<AbortHandle>,
}

impl Source for HubSource {
    fn next(&mut self, attend: &dyn Attend) -> Result<Revision, Fault> {
        if let Some(start) = self.start.take() {
            self.tasks.extend(start());
        }
        self.voice.mailbox.take(attend)
    }
}

impl Drop for HubSource {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
