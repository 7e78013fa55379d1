//! What may be written: one struct a kind. Field names are the YAML's, in camelCase; an unknown field is a mistake.
//!
//! A field means the same, by the same name, in a container and in a virtual machine. Each struct is the source of three
//! things: the decoder (the `object!` list below it), the recorded form and the JSON Schema (serde's and schemars'
//! attributes); a test holds them together.

mod container;
mod sealed;
mod source;
mod virtual_machine;
mod volume;

pub use container::*;
pub use sealed::*;
pub use source::*;
pub use virtual_machine::*;
pub use volume::*;

use crate::{
    decode::{Decode, Decoder, object},
    id::{Name, UnitRef},
    quantity::{Bytes, Cpu, Span},
    yaml::Node,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Who a document is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique among the documents of its kind and source.
    pub name: Name,
    /// Free words for people and selectors. Changing them restarts nothing.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Free text for tools. Changing it restarts nothing.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

object!(Metadata { name "name" required, labels "labels" optional, annotations "annotations" optional });

/// What a unit may use at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Processor time; a virtual machine has so many vCPUs (whole ones; 1 unless said).
    #[serde(default)]
    pub cpu: Option<Cpu>,
    /// Memory; a virtual machine has so much (256Mi unless said).
    #[serde(default)]
    pub memory: Option<Bytes>,
    /// Processes and threads of a container.
    #[serde(default)]
    pub pids: Option<u64>,
}

object!(Resources { cpu "cpu" optional, memory "memory" optional, pids "pids" optional });

/// A port of the unit, and the one under which the host publishes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// Where the unit listens, 1 to 65535.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Where the host answers for it, on all its addresses and on localhost.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub host_port: Option<u16>,
    /// `TCP` unless said.
    #[serde(default)]
    pub protocol: Protocol,
}

object!(Port { port "port" required, host_port "hostPort" optional, protocol "protocol" optional });

/// What a port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Decode for Protocol {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.word(node, &[("TCP", Self::Tcp), ("UDP", Self::Udp)])
    }
}

/// How to find out whether a unit is well. Exactly one of `exec`, `http` and `tcp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// A command in the container; exit code 0 is well. Containers only.
    #[serde(default)]
    pub exec: Option<ExecProbe>,
    /// An HTTP GET to the unit's own address; 200 to 399 is well.
    #[serde(default)]
    pub http: Option<HttpProbe>,
    /// A connection to the unit's own address.
    #[serde(default)]
    pub tcp: Option<TcpProbe>,
    /// From the end of one try to the start of the next; 2s unless said.
    #[serde(default = "interval")]
    pub interval: Span,
    /// How long a try may take; 1s unless said.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Failures in a row that count as failed; 3 unless said.
    #[serde(default = "failure_threshold")]
    pub failure_threshold: u32,
    /// Readiness: a new version that isn't ready after this is bad. Liveness: failures don't count before. 30s unless said.
    #[serde(default = "start_period")]
    pub start_period: Span,
}

object!(Probe {
    exec "exec" optional,
    http "http" optional,
    tcp "tcp" optional,
    interval "interval" or(interval()),
    timeout "timeout" or(timeout()),
    failure_threshold "failureThreshold" or(failure_threshold()),
    start_period "startPeriod" or(start_period()),
});

fn interval() -> Span {
    Span(Duration::from_secs(2))
}

fn timeout() -> Span {
    Span(Duration::from_secs(1))
}

fn failure_threshold() -> u32 {
    3
}

/// The start period of a probe, and of a unit without one.
pub fn start_period() -> Span {
    Span(Duration::from_secs(30))
}

/// A command that tells whether a container is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecProbe {
    /// Program and arguments.
    pub command: Vec<String>,
}

object!(ExecProbe { command "command" required });

/// A request that tells whether a unit is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpProbe {
    /// The unit's port.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// `/` unless said.
    #[serde(default = "slash")]
    pub path: String,
}

object!(HttpProbe { port "port" required, path "path" or(slash()) });

fn slash() -> String {
    "/".to_owned()
}

/// A connection that tells whether a unit is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpProbe {
    /// The unit's port.
    #[schemars(range(min = 1))]
    pub port: u16,
}

object!(TcpProbe { port "port" required });

/// When what has exited is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// Whatever the exit code.
    #[default]
    Always,
    /// Unless it was 0: then the unit is completed.
    OnFailure,
    /// Not at all: the unit is completed, or failed.
    Never,
}

impl Decode for RestartPolicy {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.word(node, &[("Always", Self::Always), ("OnFailure", Self::OnFailure), ("Never", Self::Never)])
    }
}

/// What a unit waits for before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependency {
    /// A unit of the same source or namespace, as `VirtualMachine/db`.
    pub unit: UnitRef,
    /// What must be true of it; `Ready` unless said.
    #[serde(default)]
    pub condition: Condition,
}

object!(Dependency { unit "unit" required, condition "condition" optional });

/// What a dependency waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Condition {
    /// It runs.
    Started,
    /// It runs, and its readiness probe says yes.
    #[default]
    Ready,
    /// It ran to its end with exit code 0.
    Completed,
}

impl Decode for Condition {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.word(node, &[("Started", Self::Started), ("Ready", Self::Ready), ("Completed", Self::Completed)])
    }
}
