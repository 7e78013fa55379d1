//! What `abide get -o json` says, read as a program of somebody else would: from its contract alone.

use serde::Deserialize;
use std::net::Ipv4Addr;

/// Everything as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the schema of the contract says what they are")]
pub struct Snapshot {
    pub settled: bool,
    pub sources: Vec<Source>,
    pub units: Vec<Unit>,
}

/// A source as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the schema of the contract says what they are")]
pub struct Source {
    pub name: String,
    pub commit: String,
    pub generation: u64,
    pub state: String,
    pub message: String,
}

/// A unit as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the schema of the contract says what they are")]
pub struct Unit {
    pub scope: String,
    pub kind: String,
    pub name: String,
    pub index: u16,
    pub state: String,
    pub ready: bool,
    pub waiting: Option<String>,
    pub message: String,
    pub restarts: u32,
    pub addresses: Vec<Ipv4Addr>,
    pub instances: Vec<Instance>,
}

/// An instance as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the schema of the contract says what they are")]
pub struct Instance {
    pub id: String,
    pub role: String,
    pub state: String,
    pub pid: Option<i32>,
    pub exit_code: Option<i32>,
}

impl Snapshot {
    /// A unit, as `Container/web`, if there is one.
    pub fn find(&self, unit: &str) -> Option<&Unit> {
        let (kind, name) = unit.split_once('/').unwrap();
        self.units.iter().find(|unit| (unit.kind.as_str(), unit.name.as_str()) == (kind, name))
    }

    /// The same, where it has to be.
    pub fn unit(&self, unit: &str) -> &Unit {
        self.find(unit).unwrap_or_else(|| panic!("there is no {unit} in {self:#?}"))
    }

    /// The source of this name.
    pub fn source(&self, name: &str) -> &Source {
        let found = self.sources.iter().find(|source| source.name == name);
        found.unwrap_or_else(|| panic!("there is no source {name} in {self:#?}"))
    }
}

impl Unit {
    /// The only instance of it.
    pub fn instance(&self) -> &Instance {
        let [instance] = self.instances.as_slice() else { panic!("not one instance: {self:#?}") };
        instance
    }

    /// The instance that serves, if one runs.
    pub fn active(&self) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.role == "active" && instance.state == "running")
    }

    /// The first process of the only instance.
    pub fn pid(&self) -> i32 {
        self.instance().pid.unwrap_or_else(|| panic!("it has no process: {self:#?}"))
    }
}
