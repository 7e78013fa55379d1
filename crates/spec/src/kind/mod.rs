//! What may be written: one struct a kind. Field names are the YAML's, in camelCase; an unknown field is a mistake.
//!
//! A field means the same, by the same name, in a container and in a virtual machine.

mod container;
mod source;
mod virtual_machine;
mod volume;

pub use container::*;
pub use source::*;
pub use virtual_machine::*;
pub use volume::*;

use crate::{id::{Name, UnitRef}, quantity::{Bytes, Cpu, Span}};
use std::collections::BTreeMap;

/// Who a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Unique among the documents of its kind and source.
    pub name: Name,
    /// Free words for people and selectors. Changing them restarts nothing.
    pub labels: BTreeMap<String, String>,
    /// Free text for tools. Changing it restarts nothing.
    pub annotations: BTreeMap<String, String>,
}

/// What a unit may use at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Processor time; a virtual machine has so many vCPUs (whole ones; 1 unless said).
    pub cpu: Option<Cpu>,
    /// Memory; a virtual machine has so much (256Mi unless said).
    pub memory: Option<Bytes>,
    /// Processes and threads of a container.
    pub pids: Option<u64>,
}

/// A port of the unit, and the one under which the host publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Where the unit listens, 1 to 65535.
    pub port: u16,
    /// Where the host answers for it, on all its addresses and on localhost.
    pub host_port: Option<u16>,
    /// `tcp` unless said.
    pub protocol: Protocol,
}

/// What a port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// How to find out whether a unit is well. Exactly one of `exec`, `http` and `tcp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is tried.
    pub action: ProbeAction,
    /// From the end of one try to the start of the next; 2s unless said.
    pub interval: Span,
    /// How long a try may take; 1s unless said.
    pub timeout: Span,
    /// Failures in a row that count as failed; 3 unless said.
    pub failure_threshold: u32,
    /// Readiness: a new version that isn't ready after this is bad. Liveness: failures don't count before. 30s unless said.
    pub start_period: Span,
}

/// What a probe tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    /// A command in the container; 0 is well. Containers only.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// An HTTP GET to the unit's own address; 200 to 399 is well.
    Http {
        /// The unit's port.
        port: u16,
        /// The path, `/` unless said.
        path: String,
    },
    /// A connection to the unit's own address.
    Tcp {
        /// The unit's port.
        port: u16,
    },
}

/// When what has exited is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever the exit code.
    #[default]
    Always,
    /// Unless it was 0: then the unit is completed.
    OnFailure,
    /// Not at all: the unit is completed, or failed.
    Never,
}

/// What a unit waits for before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// A unit of the same source.
    pub unit: UnitRef,
    /// What must be true of it.
    pub condition: Condition,
}

/// What a dependency waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It runs.
    Started,
    /// It runs, and its readiness probe says yes.
    #[default]
    Ready,
    /// It ran to its end with exit code 0.
    Completed,
}
