//! What is written of units and instances in the run directory, for agents of this release and of later ones.
//!
//! `instance.json` is written before anything of the instance is made, so that whatever a crash leaves can be found and
//! taken away. `unit.json` says whose the unit is and who serves: one file, so that never two do. Neither is synced, as both
//! end with the boot.

use crate::form::{Form, FormError};
use abide_host::{
    cgroup::Group,
    fs::{self, Dir, Resolve, Sync},
};
use abide_reconcile::{InstanceId, Owner, Role, Unit};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeSet, net::Ipv4Addr};

/// Of both records.
const FORM: Form = Form { version: 1, remedy: "end what runs there, and remove the folder" };
/// A unit's ConfigMaps and Secrets are in there, each of 1 MiB at most.
const BYTES_MAX: u64 = 64 << 20;

const UNIT: &str = "unit.json";

/// What can go wrong with records.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Their files.
    #[error("cannot use the records of instances")]
    Files(#[from] fs::Error),
    /// What is in one.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// What an instance is, and what was made for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceRecord {
    v: u32,
    /// Of which boot it is.
    pub(crate) boot: String,
    /// What it was started as, with what was changed live since.
    pub(crate) unit: Unit,
    /// How many instances of this version exited in a row before it.
    pub(crate) attempt: u32,
    /// Where it is on the bridge.
    #[serde(default)]
    pub(crate) network: Option<Attached>,
    pub(crate) group: Group,
}

/// An instance's place on the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attached {
    pub(crate) address: Ipv4Addr,
    /// The name of its link at the bridge.
    pub(crate) link: String,
}

/// What all instances of a unit have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnitRecord {
    v: u32,
    #[serde(default)]
    pub(crate) owner: Option<Owner>,
    /// Who has the unit's host ports.
    #[serde(default)]
    pub(crate) active: Option<InstanceId>,
    /// Who had them before.
    #[serde(default)]
    pub(crate) retiring: BTreeSet<InstanceId>,
}

impl InstanceRecord {
    pub(crate) const FILE: &str = "instance.json";

    pub(crate) fn new(boot: String, unit: Unit, attempt: u32, network: Option<Attached>, group: Group) -> Self {
        Self { v: FORM.version, boot, unit, attempt, network, group }
    }

    pub(crate) fn read(directory: &Dir) -> Result<Option<Self>, RecordError> {
        read(directory, Self::FILE)
    }

    pub(crate) fn write(&self, directory: &Dir) -> Result<(), RecordError> {
        write(directory, Self::FILE, self)
    }
}

impl UnitRecord {
    /// Of a unit of which nothing is written, that.
    pub(crate) fn read(directory: &Dir) -> Result<Self, RecordError> {
        Ok(read(directory, UNIT)?.unwrap_or_default())
    }

    pub(crate) fn write(&self, directory: &Dir) -> Result<(), RecordError> {
        write(directory, UNIT, &Self { v: FORM.version, ..self.clone() })
    }

    pub(crate) fn role(&self, instance: InstanceId) -> Role {
        match self.active {
            Some(active) if active == instance => Role::Active,
            _ if self.retiring.contains(&instance) => Role::Retiring,
            _ => Role::Candidate,
        }
    }

    /// Who had the ports retires.
    pub(crate) fn activate(&mut self, instance: InstanceId) {
        self.retiring.extend(self.active.replace(instance).filter(|before| *before != instance));
        self.retiring.remove(&instance);
    }

    pub(crate) fn forget(&mut self, instance: InstanceId) {
        self.active = self.active.filter(|active| *active != instance);
        self.retiring.remove(&instance);
    }
}

fn read<T: DeserializeOwned>(directory: &Dir, name: &str) -> Result<Option<T>, RecordError> {
    let bytes = match directory.read(name, Resolve::Beneath, BYTES_MAX) {
        Err(error) if error.is_missing() => return Ok(None),
        bytes => bytes?,
    };
    Ok(Some(FORM.read(&bytes, directory.path().join(name))?))
}

/// With the secrets that are part of the unit: for root alone.
fn write(directory: &Dir, name: &str, record: &impl Serialize) -> Result<(), RecordError> {
    let bytes = serde_json::to_vec(record).expect("records have only keys and values that JSON has");
    Ok(directory.write(name, &bytes, 0o600, Sync::ThisBoot)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_reconcile::Ticket;
    use std::path::Path;

    #[test]
    fn the_first_form_is_read_for_good() {
        let fixture = Dir::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/instance-v1")).unwrap();
        let record = InstanceRecord::read(&fixture).unwrap().unwrap();
        assert_eq!(record.network.unwrap().address, Ipv4Addr::new(10, 1, 16, 2));
        assert_eq!(record.unit.secrets.len(), 1);
        let unit = UnitRecord::read(&fixture).unwrap();
        assert_eq!(unit.owner.as_ref().unwrap().source.to_string(), "infra");
        assert_eq!(unit.role(Ticket { epoch: 3, n: 12 }), Role::Active);
        assert_eq!(unit.role(Ticket { epoch: 3, n: 9 }), Role::Retiring);
        assert_eq!(unit.role(Ticket { epoch: 3, n: 15 }), Role::Candidate);
    }

    #[test]
    fn never_two_serve() {
        let [a, b] = [1, 2].map(|n| Ticket { epoch: 1, n });
        let mut unit = UnitRecord::default();
        unit.activate(a);
        unit.activate(a);
        assert_eq!([a, b].map(|instance| unit.role(instance)), [Role::Active, Role::Candidate]);
        unit.activate(b);
        assert_eq!([a, b].map(|instance| unit.role(instance)), [Role::Retiring, Role::Active]);
        unit.activate(a);
        assert_eq!([a, b].map(|instance| unit.role(instance)), [Role::Active, Role::Retiring]);
        unit.forget(a);
        unit.forget(b);
        assert_eq!(unit, UnitRecord::default());
    }
}
