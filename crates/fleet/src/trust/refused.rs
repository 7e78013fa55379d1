//! Why a target isn't taken. Nothing changes then, and what runs, runs on.

use super::{
    chain::BadChain,
    hub::HubError,
    object::BadObject,
    objects::ObjectsError,
    signature::{BadKey, BadSignature},
    state::StateError,
};
use crate::protocol::ObjectId;
use abide_git::SnapshotError;

/// What the hub wants, or sends, is against the rules. It was refused, and stays so until there is another target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another repository.
    #[error(
        "commit {commit} is of the fleet {found}, and this machine was enrolled in {pinned}: let the hub follow the repository of this fleet, or enroll the machine in the other one"
    )]
    Fleet {
        /// Which.
        commit: ObjectId,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        pinned: String,
    },
    /// No fleet's repository.
    #[error("commit {commit} has no file fleet.yaml at its root, so it is no commit of a fleet: put it back")]
    NoFleet {
        /// Which.
        commit: ObjectId,
    },
    /// Nobody can tell what it says.
    #[error(
        "fleet.yaml of commit {commit} has mistakes, so nobody can tell who may sign and what runs where: correct it in the next commit\n{mistakes}"
    )]
    FleetFile {
        /// Which.
        commit: ObjectId,
        /// All of them.
        mistakes: String,
    },
    /// It leads away from what was accepted.
    #[error(
        "commit {commit} doesn't descend from {head}, which this machine accepted last. If the history was rewritten on purpose, name {head} under `replaces` in fleet.yaml in a signed commit, or merge it (git merge -s ours)"
    )]
    Fork {
        /// Which.
        commit: ObjectId,
        /// What it should follow.
        head: ObjectId,
    },
    /// Nobody signs for it.
    #[error(
        "commit {commit} says that it replaces {head}, but this fleet has no signers who could say so: merge {head} instead (git merge -s ours), or enroll the machine anew"
    )]
    Unstated {
        /// Which.
        commit: ObjectId,
        /// What it should follow.
        head: ObjectId,
    },
    /// It is too old.
    #[error(
        "commit {commit} is not {floor} or one after it, which is the `floor` in fleet.yaml of the newest commit: roll back to a newer one, or lower the floor in a new commit"
    )]
    Floor {
        /// Which.
        commit: ObjectId,
        /// What it should follow.
        floor: ObjectId,
    },
    /// No signature.
    #[error(
        "{what} isn't signed, and the signers of version {version} must sign it: sign it (git {command}), or sign a commit after it"
    )]
    Unsigned {
        /// A commit or a tag.
        what: String,
        /// Of the set that must.
        version: u64,
        /// How.
        command: &'static str,
    },
    /// A signature that doesn't count.
    #[error("{what} must be signed by the signers of version {version}: {why}")]
    Signature {
        /// A commit or a tag.
        what: String,
        /// Of the set that must.
        version: u64,
        /// What is wrong with it.
        why: BadSignature,
    },
    /// No tag.
    #[error(
        "commit {commit} has no signed tag, and the fleet's policy asks for one: tag it (git tag -s) and push the tag"
    )]
    Untagged {
        /// Which.
        commit: ObjectId,
    },
    /// Another's tag.
    #[error("tag {tag} is of commit {of}, and was sent for {commit}")]
    TagOf {
        /// Which.
        tag: ObjectId,
        /// Whose it is.
        of: ObjectId,
        /// Whose it should be.
        commit: ObjectId,
    },
    /// Other signers without a higher version.
    #[error(
        "commit {commit} has signers of version {version}, and those of version {seen} were there already: raise the version with each change of the signers"
    )]
    SignersVersion {
        /// Which.
        commit: ObjectId,
        /// What it has.
        version: u64,
        /// The highest so far.
        seen: u64,
    },
    /// Nobody could ever sign again.
    #[error("a signer can't be read: {0}")]
    Signer(#[from] BadKey),
    /// The way from one commit to the other is none.
    #[error("what the hub sent to show that {to} descends from {from} doesn't: {why}")]
    Chain {
        /// The ancestor.
        from: ObjectId,
        /// The descendant.
        to: ObjectId,
        /// Why.
        why: BadChain,
    },
    /// An object that is none.
    #[error("what the hub sent for commit {commit} can't be used{}: {why}", .id.map(|id| format!(" ({id})")).unwrap_or_default())]
    Object {
        /// For which commit.
        commit: ObjectId,
        /// Its name, if it has one.
        id: Option<ObjectId>,
        /// Why.
        why: BadObject,
    },
    /// Something that nobody asked for.
    #[error("for commit {commit} the hub sent a {kind} that nobody asked for, {id}")]
    Unasked {
        /// For which commit.
        commit: ObjectId,
        /// What it is.
        kind: &'static str,
        /// Its name.
        id: ObjectId,
    },
    /// More than any machine's configuration has.
    #[error("commit {commit} needs {what}: give the machine less of the repository, with the `paths` of fleet.yaml")]
    TooMuch {
        /// Which.
        commit: ObjectId,
        /// Of what.
        what: String,
    },
}

impl Refused {
    /// Whether it is the file fleet.yaml, and nothing that the hub sent for it.
    pub(super) fn is_about_fleet(&self) -> bool {
        matches!(self, Self::Fleet { .. } | Self::NoFleet { .. } | Self::FleetFile { .. })
    }
}

/// Why a target isn't taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It may never be.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// Not all of it is there, so it is as if the hub had said nothing.
    #[error("commit {commit} is not complete: the hub lacks {missing}. What runs, runs on; it is tried again")]
    Incomplete {
        /// What lacks.
        missing: ObjectId,
        /// For which commit.
        commit: ObjectId,
    },
    /// The hub doesn't answer.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The machine's own objects.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// What the machine remembers.
    #[error(transparent)]
    State(#[from] StateError),
    /// The commit can't be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The hub said it before what it said last, and it doesn't go forward: an old backup says so, and sends nobody back.
    #[error("commit {commit} is what the hub said earlier, and nobody is sent back by that")]
    Earlier {
        /// Which.
        commit: ObjectId,
    },
    /// Nobody waits any more.
    #[error("cancelled")]
    Cancelled,
}

impl From<Refused> for NotTaken {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

impl NotTaken {
    /// Of a commit that doesn't follow: it is older than the head, or so it seems, if it was said earlier.
    pub(super) fn or_earlier(self, commit: ObjectId) -> Self {
        let Self::Refused(refused) = &self else { return self };
        if matches!(**refused, Refused::Fork { .. } | Refused::Unstated { .. }) {
            Self::Earlier { commit }
        } else {
            self
        }
    }
}
