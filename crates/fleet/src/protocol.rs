//! What a machine and its hub say to each other: JSON over HTTP/1.1 or 2, and frames where objects of Git are sent.
//!
//! | request | who | what comes back |
//! |---|---|---|
//! | `POST /v1/enroll` [`Enroll`] | who has a token | [`Enrolled`] |
//! | `POST /v1/renew` [`Renew`] | a machine | [`Issued`] |
//! | `POST /v1/poll` [`Poll`] | a machine | 200 and a [`Target`] that it doesn't know yet, or after [`Poll::wait`] 204 |
//! | `POST /v1/report` [`Report`] | a machine | 204 |
//! | `POST /v1/chain` [`Chain`] | a machine | frames: commits from [`Chain::to`] on, each a parent of the one before, up to a child of [`Chain::from`] |
//! | `POST /v1/objects` [`Objects`] | a machine | frames: what there is of those objects, in the order asked for, up to a bound |
//!
//! In the handshake a hub shows its whole chain, the root included: who enrols knows no more of it than the SHA-256 of
//! its DER, which the token has, and everybody else the root itself. Answers have the header `Date`: it is the hub's
//! clock, and a machine whose own is wrong renews its certificate by it.
//!
//! A machine is who its certificate says. Every refusal is a [`Refusal`] as JSON; 429 and 503 have `Retry-After`.
//! Within a version of the protocol, later releases add fields, words and codes; what is not known is ignored, and what is
//! missing has a default. So machines of any release of a version are served by hubs of any. What would be misunderstood
//! raises the version: a hub serves the present one and the one before, so hubs are updated first.

mod frame;
mod object_id;

pub use frame::{Frame, FrameError, ObjectKind, read_frames, write_frame};
pub use object_id::{BadObjectId, ObjectId};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of this protocol. A hub serves the present one and the one before.
pub const PROTOCOL: u32 = 1;

/// Bytes of a request's body.
pub const REQUEST_BYTES_MAX: usize = 256 << 10;

/// Objects asked for in one request.
pub const OBJECTS_MAX: usize = 1000;

/// Bytes of frames in one answer, before compression. An answer has at least one frame if there is one.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Commits of a chain in one answer. A longer one goes on from its last commit.
pub const CHAIN_MAX: usize = 10_000;

/// Happenings in one report.
pub const HAPPENINGS_MAX: usize = 100;

/// Units in one report that are not as they should be.
pub const TROUBLES_MAX: usize = 20;

/// A machine wants to become one of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enroll {
    /// The token without the fingerprint of the root: `ID.SECRET`.
    pub token: String,
    /// The name it wants.
    pub name: String,
    /// Its public key: a point of P-256, uncompressed, as base64.
    pub key: String,
    /// By that key, over [`Enroll::possession`]: ECDSA with SHA-256, ASN.1, as base64.
    pub proof: String,
    /// The age recipient that values for it are encrypted to: `age1…`.
    pub recipient: String,
    /// Its release.
    #[serde(default)]
    pub version: String,
}

/// It is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enrolled {
    /// The fleet's identity, as the tree has it.
    pub fleet: String,
    /// The machine's name.
    pub name: String,
    /// What it shows from now on.
    pub issued: Issued,
    /// The root that hubs of this fleet are known by: PEM.
    pub root: String,
}

/// A machine wants a certificate for the time to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Renew {
    /// The new public key, as [`Enroll::key`].
    pub key: String,
    /// By the new key, over [`Renew::possession`], as [`Enroll::proof`].
    pub proof: String,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Issued {
    /// The certificate and those between it and the root: PEM, the machine's own first.
    pub chain: String,
    /// From when on it should be renewed: seconds since 1970, by the hub's clock.
    pub renew_at: i64,
    /// When it expires: seconds since 1970, by the hub's clock.
    pub expires_at: i64,
    /// The hub's clock, so that the machine's own needs not be right.
    pub now: i64,
}

/// A machine asks for its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Poll {
    /// The protocol it speaks.
    pub protocol: u32,
    /// Its release.
    pub version: String,
    /// Drawn at random at each start of its agent.
    pub session: String,
    /// The number of the target that it knows: only another one is news.
    #[serde(default)]
    pub knows: Option<u64>,
    /// For how many seconds it is ready to wait for news. The hub may answer sooner.
    pub wait: u32,
}

/// What a machine is to be on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Grows with each target that a machine is told; from an old backup of the hub it may be smaller.
    pub number: u64,
    /// The commit.
    pub commit: ObjectId,
    /// A tag of it, signed, if the fleet's policy asks for one.
    #[serde(default)]
    pub tag: Option<ObjectId>,
    /// The commits, oldest first, that brought other signers since the one that the machine accepted last, as the hub
    /// has it. Only a help to find them.
    #[serde(default)]
    pub rotations: Vec<ObjectId>,
    /// Over how many seconds machines are to come back when they lose the hub: more of them over a longer time.
    #[serde(default = "spread")]
    pub spread: u32,
}

/// What hubs that don't say it expect.
fn spread() -> u32 {
    4
}

/// How a machine is. Sent when it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// As in [`Poll::session`].
    pub session: String,
    /// Grows by one with each report of a session.
    pub sequence: u64,
    /// The target that it is about, by its number; none if it has none.
    #[serde(default)]
    pub target: Option<u64>,
    /// The commit in force.
    #[serde(default)]
    pub in_force: Option<ObjectId>,
    /// How it is with the target.
    pub state: MachineState,
    /// For how many milliseconds it has been in that state.
    #[serde(default)]
    pub state_for: u64,
    /// Why it is in that state.
    #[serde(default)]
    pub message: String,
    /// Its release.
    #[serde(default)]
    pub version: String,
    /// Number of its units, by state.
    #[serde(default)]
    pub units: BTreeMap<String, u32>,
    /// Those that are not as they should be, at most [`TROUBLES_MAX`].
    #[serde(default)]
    pub troubles: Vec<Trouble>,
    /// What happened since the last report, oldest first, at most [`HAPPENINGS_MAX`].
    #[serde(default)]
    pub happened: Vec<Happening>,
    /// So many happenings before these got lost, as there were too many while the hub was away.
    #[serde(default)]
    pub lost: u64,
}

/// How a machine is with its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MachineState {
    /// Every unit is as wished, and serves or has completed.
    Ready,
    /// A unit's version failed there, and was taken back or has nothing to go back to.
    Failed,
    /// It doesn't take it: not a commit that this machine may take, or broken for it.
    Refused,
    /// Its owner has stopped it from taking targets.
    Suspended,
    /// It has taken it and is on its way, or something of it isn't ready. So is read what a later release calls otherwise: it
    /// isn't ready, and nothing says that it failed.
    #[default]
    #[serde(other)]
    Changing,
}

/// A unit that isn't as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trouble {
    /// `KIND/NAME`.
    pub unit: String,
    /// Its state in one word.
    pub state: String,
    /// Why.
    pub message: String,
}

/// Something that happened on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Happening {
    /// When: milliseconds since 1970, by the machine's clock.
    pub at: i64,
    /// `KIND/NAME`; empty if it is about the machine.
    #[serde(default)]
    pub unit: String,
    /// What.
    pub text: String,
}

/// A machine asks how one commit leads to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    /// The ancestor.
    pub from: ObjectId,
    /// The descendant.
    pub to: ObjectId,
}

/// A machine asks for objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Objects {
    /// Which, at most [`OBJECTS_MAX`].
    pub want: Vec<ObjectId>,
}

/// Why a request isn't granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// In one word, for programs.
    pub code: RefusalCode,
    /// In a sentence, for people.
    pub message: String,
}

/// Why, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The token is unknown, used up or expired.
    Token,
    /// Another machine has the name.
    NameTaken,
    /// The certificate is not one of a machine of this fleet.
    Unknown,
    /// The machine was revoked.
    Revoked,
    /// Two machines use this identity.
    Cloned,
    /// There is no way from one commit to the other.
    NoDescendant,
    /// Such an object isn't there, or not yet.
    Missing,
    /// The request is no such.
    BadRequest,
    /// The hub doesn't speak this version any more, or not yet.
    Protocol,
    /// Too much at once: later.
    Busy,
    /// The hub can't just now: later.
    Unavailable,
    /// A code of a later release.
    #[serde(other)]
    Other,
}

impl Enroll {
    /// What the new key signs.
    pub fn possession(&self) -> Vec<u8> {
        let id = self.token.split('.').next().unwrap_or_default();
        possession("enroll", id, &self.name, &self.key, &self.recipient)
    }
}

impl Renew {
    /// What the new key of the machine of this name signs.
    pub fn possession(&self, name: &str) -> Vec<u8> {
        possession("renew", name, name, &self.key, "")
    }
}

/// What a key signs to show that who asks for its certificate has it.
fn possession(purpose: &str, about: &str, name: &str, key: &str, recipient: &str) -> Vec<u8> {
    format!("abide {purpose}\n{about}\n{name}\n{key}\n{recipient}\n").into_bytes()
}
