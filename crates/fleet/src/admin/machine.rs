//! Machines, as a hub's admin socket tells of them: `GET /admin/machines`.

use crate::{
    protocol::MachineState,
    store::{self, Presence},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// As its certificate says.
    pub name: String,
    /// In one word.
    pub state: State,
    /// Why it is in that state.
    #[serde(default)]
    pub message: String,
    /// The commit that it is told to be on; empty if none.
    #[serde(default)]
    pub commit: String,
    /// The commit that it says is in force there; empty if none.
    #[serde(default)]
    pub in_force: String,
    /// Its labels on the hub.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its release.
    #[serde(default)]
    pub version: String,
    /// When it was enrolled: milliseconds since 1970, as all times here.
    pub enrolled_at: i64,
    /// When it was heard last, as far as that was written.
    pub heard_at: i64,
    /// Since when it is silent, if it is.
    #[serde(default)]
    pub silent_since: Option<i64>,
}

/// All machines that were asked for, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machines {
    /// Each of them.
    pub machines: Vec<Machine>,
}

/// How a machine is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It was told nothing yet.
    Waiting,
    /// It is on its way to what it was told, or its guard asks whether that is meant.
    Changing,
    /// It is as it was told to be.
    Ready,
    /// What it was told failed there.
    Failed,
    /// It doesn't take what it was told.
    Refused,
    /// Its owner has stopped it from taking anything.
    Suspended,
    /// It is silent.
    Away,
    /// Two machines use its identity.
    Cloned,
    /// It is no machine of the fleet any more.
    Revoked,
}

/// Which machines to tell of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those with all of these labels on the hub.
    pub labels: BTreeMap<String, String>,
    /// Those in this state.
    pub state: Option<State>,
    /// Those that are told a commit whose id begins so, or have it in force.
    pub revision: Option<String>,
}

impl Machines {
    /// The JSON Schema.
    pub fn schema() -> serde_json::Value {
        super::schema::<Self>("abide: machines of a fleet, as `abide get --fleet -o json` says it")
    }

    /// Those of the store's that were asked for.
    pub fn of<'a>(machines: impl IntoIterator<Item = &'a store::Machine>, filter: &Filter) -> Self {
        let mut machines: Vec<Machine> =
            machines.into_iter().map(Machine::of).filter(|machine| filter.has(machine)).collect();
        machines.sort_by(|one, other| one.name.cmp(&other.name));
        Self { machines }
    }
}

impl Machine {
    /// A machine of the store's.
    pub fn of(machine: &store::Machine) -> Self {
        let report = machine.reported.as_ref().map(|reported| &reported.report);
        let silent_since = match machine.presence {
            Presence::Away { since } => Some(since.0),
            Presence::Here { .. } => None,
        };
        let is_about_target =
            report.is_some_and(|report| report.target == machine.target.as_ref().map(|told| told.number));
        Self {
            name: machine.name.to_string(),
            state: State::of(machine),
            message: report.filter(|_| is_about_target).map(|report| report.message.clone()).unwrap_or_default(),
            commit: machine.target.as_ref().map(|told| told.commit.to_string()).unwrap_or_default(),
            in_force: report.and_then(|report| report.in_force).map(|commit| commit.to_string()).unwrap_or_default(),
            labels: machine.labels.clone(),
            version: report.map(|report| report.version.clone()).unwrap_or_default(),
            enrolled_at: machine.enrolled_at.0,
            heard_at: machine.heard_at.0,
            silent_since,
        }
    }
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Changing,
        Self::Ready,
        Self::Failed,
        Self::Refused,
        Self::Suspended,
        Self::Away,
        Self::Cloned,
        Self::Revoked,
    ];

    /// That of a machine of the store's.
    pub fn of(machine: &store::Machine) -> Self {
        if machine.revoked_at.is_some() {
            return Self::Revoked;
        }
        if machine.cloned {
            return Self::Cloned;
        }
        if matches!(machine.presence, Presence::Away { .. }) {
            return Self::Away;
        }
        let report = machine.reported.as_ref().map(|reported| &reported.report);
        if report.is_some_and(|report| report.state == MachineState::Suspended) {
            return Self::Suspended;
        }
        let Some(told) = &machine.target else { return Self::Waiting };
        match report.filter(|report| report.target == Some(told.number)).map(|report| report.state) {
            Some(MachineState::Ready) => Self::Ready,
            Some(MachineState::Failed) => Self::Failed,
            Some(MachineState::Refused) => Self::Refused,
            Some(MachineState::Changing | MachineState::Suspended) | None => Self::Changing,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Changing => "changing",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Suspended => "suspended",
            Self::Away => "away",
            Self::Cloned => "cloned",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no state of a machine: waiting, changing, ready, failed, refused, suspended, away, cloned and revoked are"
)]
pub struct BadState(String);

impl FromStr for State {
    type Err = BadState;

    fn from_str(text: &str) -> Result<Self, BadState> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| BadState(text.chars().take(40).collect()))
    }
}

/// Why a query isn't understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// There is no such key.
    #[error("{0:?} is nothing to ask for: label, state and revision are")]
    Key(String),
    /// A label is `KEY=VALUE`.
    #[error("{0:?} is no label: write KEY=VALUE")]
    Label(String),
    /// A state.
    #[error(transparent)]
    State(#[from] BadState),
}

impl Filter {
    /// From the decoded pairs of a query: `label` (as `KEY=VALUE`, any number of them), `state`, `revision`.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BadFilter> {
        let mut filter = Self::default();
        for (key, value) in pairs {
            match key {
                "label" => {
                    let (key, value) = value.split_once('=').ok_or_else(|| BadFilter::Label(value.to_owned()))?;
                    filter.labels.insert(key.to_owned(), value.to_owned());
                }
                "state" => filter.state = Some(value.parse()?),
                "revision" => filter.revision = Some(value.to_owned()),
                other => return Err(BadFilter::Key(other.chars().take(40).collect())),
            }
        }
        Ok(filter)
    }

    fn has(&self, machine: &Machine) -> bool {
        let has_labels = self.labels.iter().all(|(key, value)| machine.labels.get(key) == Some(value));
        let is_on = |revision: &String| {
            machine.commit.starts_with(revision.as_str()) || machine.in_force.starts_with(revision.as_str())
        };
        has_labels && self.state.is_none_or(|state| machine.state == state) && self.revision.as_ref().is_none_or(is_on)
    }
}
