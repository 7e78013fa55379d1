//! The local API: what the command line and the hooks say to the agent, and what it answers.
//!
//! A connection to the socket carries one [`Request`] as a line of JSON, and then [`Reply`]s, a line each, until the
//! agent closes it. Who asks keeps its end open until then: closing it is hanging up. `get -o json` prints a [`Snapshot`]
//! as it is: a contract, with a schema of its own ([`snapshot_schema`]).

use abide_reconcile::{Unit, spec::kind::SourceSpec};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The version of this protocol, sent with each request. An agent refuses one that it doesn't know.
pub const VERSION: u32 = 1;

/// More than the longest request needs: a tree's resolved units.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;

/// A request with its version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// [`VERSION`] of who asks.
    pub version: u32,
    /// What is asked.
    pub request: Request,
}

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "verb")]
pub enum Request {
    /// Everything, as it is now. One [`Reply::Snapshot`].
    Get,
    /// What happened: the last ones, and then what comes, if `follow`. [`Reply::Happened`] each.
    Events {
        /// Go on until the asker hangs up.
        follow: bool,
    },
    /// What these units would change here. One [`Reply::Preview`].
    Preview {
        /// As which source; its own units alone are compared.
        source: String,
        /// All that it would want.
        units: Vec<Unit>,
    },
    /// Wait for a commit of a source: [`Reply::Happened`] as it goes on, and one [`Reply::Outcome`]. A source that was not
    /// seen at that commit so far is made to look.
    Follow {
        /// Which source; the one that has the commit if not said.
        source: Option<String>,
        /// The commit's id, or how it begins.
        commit: String,
    },
    /// Look at the source now: something was pushed.
    Wake {
        /// Which.
        source: String,
    },
    /// Make a folder's content a commit of a source of its own, and follow that like [`Request::Follow`].
    Apply {
        /// How the source is called.
        source: String,
        /// The folder: an absolute path.
        path: String,
        /// What its documents may ask for.
        spec: Box<SourceSpec>,
    },
    /// Which sources follow a repository of this machine. One [`Reply::Sources`].
    SourcesOf {
        /// Its path, absolute and without symbolic links.
        repository: String,
    },
    /// Register a source, or change it.
    SourceAdd {
        /// How it is called.
        name: String,
        /// What to follow.
        spec: Box<SourceSpec>,
    },
    /// Give a source up: what it owns runs on, unowned.
    SourceRemove {
        /// Which.
        name: String,
    },
    /// Take no new commits.
    SourceSuspend {
        /// Which.
        name: String,
    },
    /// Follow again: after `suspend`, `rollback` and `down`.
    SourceResume {
        /// Which.
        name: String,
    },
    /// Say yes to the removals that the guard holds.
    Allow {
        /// The plan's id, as shown.
        plan: String,
        /// Whose removals; a hook has to say it.
        source: Option<String>,
    },
    /// Try a unit again that was given up.
    Retry {
        /// As people write it: `[SCOPE:]KIND/NAME`, or a bare name.
        unit: String,
    },
    /// Go back to an earlier commit and stay there until `resume` or a newer push. Answered like [`Request::Follow`].
    Rollback {
        /// Of which source; the only one if not said.
        source: Option<String>,
        /// To which commit; the last good one before the present if not said.
        commit: Option<String>,
    },
    /// Stop everything of this root, keep its volumes, and suspend its sources. [`Reply::Happened`] as it goes on, and a
    /// [`Reply::Outcome`] for each source of which anything was in force.
    Down,
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "reply")]
pub enum Reply {
    /// To [`Request::Get`].
    Snapshot(Snapshot),
    /// Something happened.
    Happened(Happening),
    /// To [`Request::Preview`].
    Preview(Preview),
    /// To [`Request::SourcesOf`].
    Sources {
        /// By name.
        sources: Vec<Registered>,
    },
    /// The end of waiting.
    Outcome(Outcome),
    /// It was done; in words.
    Done {
        /// What was done.
        message: String,
    },
    /// It was not done, and is not to be as it was asked.
    Refused {
        /// Why, and what to do.
        message: String,
    },
    /// It could not be done: what it takes is out of reach or out of order. It may work another time.
    Failed {
        /// Why, and what to do.
        message: String,
    },
}

/// A source as its owner registered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// How it is called, which is the scope of its units.
    pub name: String,
    /// What its owner wrote.
    pub spec: SourceSpec,
}

/// Everything as it is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Every source was heard, and every unit is as wished and ready or completed.
    pub settled: bool,
    /// All sources, by name.
    pub sources: Vec<SourceStatus>,
    /// All units, by scope, kind and name.
    pub units: Vec<UnitStatus>,
}

/// A source as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceStatus {
    /// How it is called.
    pub name: String,
    /// What is followed: the URL of a repository, a folder's path, or `kubernetes:NODE`.
    pub url: String,
    /// The branch of a repository.
    pub branch: String,
    /// The commit in force; empty before the first.
    pub commit: String,
    /// The first line of its message.
    pub summary: String,
    /// Grows with each wish.
    pub generation: u64,
    /// `following`, `refused`, `held`, `suspended`, `unreachable` or `withdrawn`.
    pub state: String,
    /// Why it is in that state, and what to do.
    pub message: String,
    /// Units that were taken back to their last good version: the commit is partly in force.
    pub taken_back: Vec<String>,
    /// The last contact with a hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// Commits that settled here, the newest first.
    pub history: Vec<Commit>,
}

/// The last contact with a hub, which may be away for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// When the hub was heard last since the agent started: milliseconds since 1970, by this machine's clock.
    #[serde(default)]
    pub heard_at: Option<u64>,
    /// When the newest commit that was taken was made, as the commit says: seconds since 1970.
    #[serde(default)]
    pub committed_at: Option<u64>,
}

/// A commit, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// The first line of its message.
    pub summary: String,
}

/// A unit as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnitStatus {
    /// The source that wishes it, or else owns it; empty if none does.
    #[serde(default)]
    pub source: String,
    /// In whose scope it is: its source's, by the same name, or a Kubernetes namespace.
    pub scope: String,
    /// `Container`, `VirtualMachine` or `Volume`.
    pub kind: String,
    /// How its document is called.
    pub name: String,
    /// Which replica.
    pub index: u16,
    /// `settled`, `changing`, `waiting`, `held` or `failed`.
    pub state: String,
    /// It serves, or it completed.
    pub ready: bool,
    /// What it waits for, if it does.
    pub waiting: Option<String>,
    /// More about its state.
    pub message: String,
    /// How often it was started again since it last proved itself.
    pub restarts: u32,
    /// Its addresses on the bridge.
    pub addresses: Vec<Ipv4Addr>,
    /// All there is of it.
    pub instances: Vec<InstanceStatus>,
}

/// An instance as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    /// Which: epoch and number.
    pub id: String,
    /// `candidate`, `active` or `retiring`.
    pub role: String,
    /// `starting`, `running`, `stopping` or `exited`.
    pub state: String,
    /// Of its first process.
    pub pid: Option<i32>,
    /// 128 + n for signal n.
    pub exit_code: Option<i32>,
}

/// Something that happened, as people read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// Milliseconds since 1970.
    pub at: u64,
    /// The source, if it concerns one.
    pub source: Option<String>,
    /// The commit it belongs to.
    pub commit: Option<String>,
    /// The unit, if it concerns one: `KIND/NAME`, or `SCOPE:KIND/NAME` where the scope isn't the source's.
    pub unit: Option<String>,
    /// `step`, `progress`, `done`, `failed`, `exited`, `source`.
    pub kind: String,
    /// One line.
    pub text: String,
}

/// What a wish would change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// Unit by unit, those without a change left out.
    pub changes: Vec<Change>,
    /// How many units the wish has.
    pub units: usize,
    /// Units of which this version is known to be bad: the last good one stays.
    pub known_bad: Vec<String>,
    /// The plan's id that would have to be allowed, and what it removes, if the guard would hold the wish.
    pub held: Option<Held>,
}

/// What would change in a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// `KIND/NAME`, or `SCOPE:KIND/NAME` where the scope isn't the source's.
    pub unit: String,
    /// `create`, `start`, `replace`, `update`, `end` or `remove`.
    pub action: String,
    /// How: `surge`, or `swap` with its downtime and why; of a removal, what becomes of the data.
    pub how: String,
    /// The fields that differ.
    pub fields: Vec<Field>,
    /// Units that need this one: they feel it if there is downtime.
    pub dependents: Vec<String>,
}

/// A field that differs; secrets are masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Where, as `spec.image`.
    pub path: String,
    /// What it is.
    pub old: String,
    /// What it would be.
    pub new: String,
}

/// What the guard holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// For `abide allow PLAN` or `git push -o allow=PLAN`.
    pub plan: String,
    /// Why it asks, in words.
    pub why: String,
    /// What would go.
    pub removals: Vec<String>,
}

/// How waiting ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Of which commit.
    pub commit: String,
    /// What became of it.
    pub result: Verdict,
    /// In words.
    pub message: String,
    /// The wall-clock milliseconds it took.
    pub took_ms: u64,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Every unit is as wished, and ready or completed.
    Settled,
    /// In force, but not all of it came true, or not in time.
    Failed,
    /// Not in force: invalid, or held by the guard.
    Refused,
    /// A newer commit took its place.
    Superseded,
}

/// The JSON Schema of a [`Snapshot`].
pub fn snapshot_schema() -> serde_json::Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Snapshot>();
    let mut schema = schema.to_value();
    schema["title"] = "abide: how things stand, as `abide get -o json` says it".into();
    schema
}
