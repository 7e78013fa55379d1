//! How roll-outs are, as the hub that leads writes it down and people read it.

use crate::store::{Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is rolled out, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollouts {
    /// The commit that the roll-outs below are about; empty if none was ever in force.
    pub commit: String,
    /// The newest commit that the hub has seen, in force or refused; empty if none.
    #[serde(default)]
    pub newest: String,
    /// Where the branch was when that was decided: a newer one, if it waits for a tag. Empty if there was no branch.
    #[serde(default)]
    pub tip: String,
    /// How the hub is with the repository, in one word: following, refused, held, suspended, unreachable.
    pub state: String,
    /// Why, and what to do: why a newer commit is not rolled out, above all.
    #[serde(default)]
    pub message: String,
    /// Each of them, in the order of their names.
    pub rollouts: Vec<Rollout>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Its name in `fleet.yaml`; `all` or `rest` has the machines that no other one selects.
    pub name: String,
    /// In one word.
    pub state: RolloutState,
    /// What it waits for, or why it doesn't go on.
    #[serde(default)]
    pub why: String,
    /// So many machines are unavailable, or may be by what they were told.
    pub unavailable: usize,
    /// So many may be before one that is available is told something new.
    pub unavailable_max: usize,
    /// Its waves, in their order.
    pub waves: Vec<Wave>,
}

/// What a roll-out does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RolloutState {
    /// Its waves follow each other.
    Rolling,
    /// Nobody is told the new commit.
    Paused,
    /// A wave has more bad machines than may be: who took the commit goes back.
    Stopped,
    /// Every wave has passed.
    Done,
}

/// A wave. Each machine is counted once; what is missing in the sum is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// How many it has.
    pub machines: usize,
    /// They may be told the commit.
    pub is_open: bool,
    /// In reach, and not ready with the commit for long enough.
    pub pending: usize,
    /// Ready with it for long enough; they wait for the others.
    pub soaked: usize,
    /// The commit is proven there.
    pub proved: usize,
    /// Failed with it, or refused it.
    pub bad: usize,
    /// Out of reach.
    pub away: usize,
}

impl RolloutState {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Done => "done",
        }
    }
}

/// Why a look at the repository is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Somebody waits for this commit: its id, or how that begins.
    #[serde(default)]
    pub commit: Option<String>,
}

/// What came of a look at the repository that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    /// Where the branch is; empty if there is none, or none was ever seen.
    pub commit: String,
    /// Why the repository can't be asked just now; empty if it was.
    #[serde(default)]
    pub trouble: String,
    /// A commit after the one that is waited for took its place: [`Rollouts::newest`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_passed: bool,
}

/// A person's word about a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Whether nobody is to be told a new commit for the time being.
    pub paused: bool,
}

/// Why a person's word isn't taken.
#[derive(Debug, thiserror::Error)]
pub enum NotPaused {
    /// There is no such roll-out.
    #[error("there is no roll-out {name:?}; there are {}", there.join(", "))]
    Unknown {
        /// As it was named.
        name: String,
        /// Those that there are.
        there: Vec<String>,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Rollouts {
    /// The JSON Schema.
    pub fn schema() -> serde_json::Value {
        super::schema::<Self>("abide: how roll-outs are, as `abide rollout status -o json` says it")
    }

    /// As they were written down last. Blocks.
    pub fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let json = store.rollouts()?;
        // What another release wrote may not be understood; it is written anew when anything changes.
        Ok(json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
    }
}

/// Pauses a roll-out, or lets it go on. Who leads notices it by itself. Blocks.
pub fn pause(store: &dyn Store, name: &str, pause: Pause) -> Result<Rollouts, NotPaused> {
    let rollouts = Rollouts::read(store)?;
    let is_known = rollouts.rollouts.iter().any(|rollout| rollout.name == name);
    // One that is gone from the tree may be let go.
    if pause.paused && !is_known {
        let there = rollouts.rollouts.into_iter().map(|rollout| rollout.name).collect();
        return Err(NotPaused::Unknown { name: name.to_owned(), there });
    }
    store.set_paused(name, pause.paused)?;
    Ok(rollouts)
}
