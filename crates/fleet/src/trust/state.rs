//! What a machine remembers of its fleet: the commit that all later ones must follow, what it ran, and who may sign.

use crate::protocol::{ObjectId, Target};
use abide_spec::fleet;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

const FILE: &str = "link.json";
const NEXT: &str = "link.json.new";

/// The form that is written.
const VERSION: u32 = 1;

/// Commits that a machine may be taken back to.
pub const RAN_MAX: usize = 64;

/// What must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Require {
    /// The commit.
    Commit,
    /// A tag of it.
    Tag,
}

/// Who may sign for the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signers {
    /// Grows with each set.
    pub version: u64,
    /// What they must sign.
    pub require: Require,
    /// Their keys, each a line as a file `*.pub` has it.
    pub keys: Vec<String>,
}

/// As a machine remembers them: what people call a key is not the key.
impl From<&fleet::Signers> for Signers {
    fn from(signers: &fleet::Signers) -> Self {
        let require = match signers.require {
            fleet::Require::Commit => Require::Commit,
            fleet::Require::Tag => Require::Tag,
        };
        let keys = signers.keys.iter().map(fleet::SignerKey::without_comment).collect();
        Self { version: signers.version.into(), require, keys }
    }
}

/// The newest commit that was accepted going forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Which.
    pub commit: ObjectId,
    /// What its tree says: nothing older is run any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<ObjectId>,
}

/// What a machine remembers. Written before a commit is said to be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    version: u32,
    /// The fleet's identity, since enrolment.
    pub fleet: String,
    /// None before the first commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// Commits that it took, the newest first, at most [`RAN_MAX`].
    #[serde(default)]
    pub ran: Vec<ObjectId>,
    /// The number of the target by which it went forward last, or the highest of those since. What has a smaller one is
    /// said by a hub that forgot what it said since, as one that was restored from an old backup: it takes nobody back.
    #[serde(default, skip_serializing_if = "is_none")]
    pub number: u64,
    /// Who signs what follows the head; before there is one, who its owner said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signers: Option<Signers>,
    /// The highest version of signers so far: also after there were none for a while, none of before count again.
    #[serde(default)]
    pub signers_version: u64,
}

/// Why what a machine remembers can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk.
    #[error("{what} {path}: {source}")]
    Disk {
        /// What was being done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is damaged.
    #[error(
        "{path} can't be read: {source}. Without it nothing tells which commits may be run: enroll the machine anew"
    )]
    Form {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A later release wrote it.
    #[error("{path} is of version {version}, and this release knows {VERSION}: use the release that wrote it")]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Another fleet's.
    #[error(
        "{path} is about the fleet {found}, and the machine is enrolled in {wanted}: remove the folder of the old one"
    )]
    Fleet {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
}

impl State {
    /// Of a machine that is new in its fleet.
    pub fn new(fleet: &str, signers: Option<Signers>) -> Self {
        let signers_version = signers.as_ref().map_or(0, |signers| signers.version);
        let (version, fleet) = (VERSION, fleet.to_owned());
        Self { version, fleet, head: None, ran: Vec::new(), number: 0, signers, signers_version }
    }

    /// Reads what is below `directory`, if there is anything.
    pub fn read(directory: &Path) -> Result<Option<Self>, StateError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let path = directory.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk("reading", &path)(error)),
        };
        let form = |source| StateError::Form { path: path.clone(), source };
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(form)?;
        if version != VERSION {
            return Err(StateError::Version { path: path.clone(), version });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(form)
    }

    /// What is below `directory`, of that fleet; or what a new machine begins with.
    pub fn open(directory: &Path, fleet: &str, signers: Option<Signers>) -> Result<Self, StateError> {
        match Self::read(directory)? {
            None => Ok(Self::new(fleet, signers)),
            Some(state) if state.fleet == fleet => Ok(state),
            Some(state) => {
                let path = directory.join(FILE);
                Err(StateError::Fleet { path, found: state.fleet, wanted: fleet.to_owned() })
            }
        }
    }

    /// Writes it, so that either the old or the new one is there, whatever happens.
    pub fn write(&self, directory: &Path) -> Result<(), StateError> {
        let (path, next) = (directory.join(FILE), directory.join(NEXT));
        let bytes =
            serde_json::to_vec_pretty(self).map_err(|source| StateError::Form { path: path.clone(), source })?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next);
        let written = file.and_then(|mut file| {
            // One that a crash left may have any mode.
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written.map_err(disk("writing", &next))?;
        fs::rename(&next, &path).map_err(disk("renaming", &next))?;
        File::open(directory).and_then(|folder| folder.sync_all()).map_err(disk("syncing", directory))
    }

    /// Whether a hub says something that it said before the last target that was taken.
    pub fn is_earlier(&self, target: &Target) -> bool {
        target.number < self.number
    }

    /// Whether this is the commit that it took last.
    pub(super) fn is_on(&self, commit: ObjectId) -> bool {
        self.ran.first() == Some(&commit)
    }

    /// Notes that a target was taken which goes forward. Numbers count from it anew: one of the far future, whoever said
    /// it, makes the machine deaf to nobody who has a commit to say.
    pub(super) fn went_on(&mut self, number: u64, commit: ObjectId) {
        self.number = number;
        self.ran_last(commit);
    }

    /// Notes that a target was taken which ran before.
    pub(super) fn went_back(&mut self, number: u64, commit: ObjectId) {
        self.number = self.number.max(number);
        self.ran_last(commit);
    }

    /// Whatever hubs said before counts no more: the machine's owner says that the hub is the right one.
    pub fn forget_number(&mut self) {
        self.number = 0;
    }

    fn ran_last(&mut self, commit: ObjectId) {
        self.ran.retain(|ran| *ran != commit);
        self.ran.insert(0, commit);
        self.ran.truncate(RAN_MAX);
    }
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |source| StateError::Disk { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
