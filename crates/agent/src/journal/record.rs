//! What a source's journal says.
//!
//! Each record is JSON with the version of its form (`v`), the wall clock for people (`at`, milliseconds since 1970) and
//! one [`Record`]. Later releases read all earlier versions; `tests/journals/` keeps one of each.

use super::{form, state::Suspension};
use abide_reconcile::{Permit, Reclaim, Unit, UnitId, spec::kind::SourceSpec};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// The version that this release writes.
pub const VERSION: u32 = 1;

/// A line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Version of the form.
    pub v: u32,
    /// When it was written, in milliseconds since 1970: for people, never for decisions.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}

/// Something that must not be forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "record")]
pub enum Record {
    /// The machine's owner wants this source followed.
    Registered {
        /// As written.
        spec: Box<SourceSpec>,
        /// Whether it goes on by itself.
        origin: Origin,
    },
    /// The owner doesn't any more. What the source owns runs on.
    Withdrawn,
    /// A wish is in force, with the removals that passed the guard.
    Accepted(Accepted),
    /// A commit was refused; the wish in force stays.
    Refused(Refused),
    /// All that the accepted wish asked for came true.
    Settled {
        /// Its commit.
        commit: String,
    },
    /// A person's yes.
    Allowed {
        /// To what.
        #[serde(with = "form::permit")]
        permit: Permit,
    },
    /// Roll-back: this commit stays in force until another one than `over` comes, or until `resume`.
    Pinned {
        /// What stays.
        commit: String,
        /// What was the newest when it was pinned.
        over: String,
    },
    /// Follow again.
    Unpinned,
    /// Whether new commits are taken, and whether anything runs.
    Suspended {
        /// How far.
        how: Suspension,
    },
    /// A version of a unit proved itself; it was the last that did.
    Good {
        /// The version.
        unit: Arc<Unit>,
    },
    /// A version of a unit failed.
    Bad {
        /// The version.
        unit: Arc<Unit>,
        /// How, for people.
        why: String,
    },
    /// A version of a unit ran to its end as it should.
    Completed {
        /// The version.
        unit: Arc<Unit>,
    },
    /// A person wants a failed version tried again.
    Retried {
        /// Of which unit.
        id: UnitId,
    },
    /// The unit is gone for good.
    Forgotten {
        /// Which.
        id: UnitId,
    },
}

/// Where a source's commits come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// A repository or a cluster, which is followed.
    #[serde(rename = "repository")]
    Followed,
    /// A folder, whose content becomes a commit each time it is applied.
    Folder,
}

/// A wish that is in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Of the source; grows with each wish.
    pub generation: u64,
    /// Which commit says so.
    pub commit: String,
    /// The first line of its message.
    pub summary: String,
    /// How much the source owned when the wish came into force: what the guard's shares are shares of.
    pub owned_before: usize,
    /// Everything that passed the guard since, and what becomes of the data.
    #[serde(with = "form::removals")]
    pub removals: BTreeMap<UnitId, Reclaim>,
}

/// A commit that was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub commit: String,
    /// The first line of its message.
    pub summary: String,
    /// The mistakes, as the author should see them.
    pub message: String,
}
