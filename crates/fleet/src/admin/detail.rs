//! All that a hub knows of one machine: `GET /admin/machines/NAME`.

use super::machine::Machine;
use crate::{
    protocol::{Happening, Trouble},
    store,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// What lists show of it.
    #[serde(flatten)]
    pub machine: Machine,
    /// What values for it are encrypted to; empty if the hub doesn't know.
    #[serde(default)]
    pub recipient: String,
    /// When its newest certificate was issued: milliseconds since 1970, as all times here.
    pub issued_at: i64,
    /// When it was revoked, if it was.
    #[serde(default)]
    pub revoked_at: Option<i64>,
    /// The hub process that it is connected to, if it is.
    #[serde(default)]
    pub hub: Option<String>,
    /// The number of what it is told.
    #[serde(default)]
    pub target: Option<u64>,
    /// Number of its units, by state.
    #[serde(default)]
    pub units: BTreeMap<String, u32>,
    /// Those that are not as they should be.
    #[serde(default)]
    pub troubles: Vec<Trouble>,
    /// What happened lately, oldest first.
    #[serde(default)]
    pub happened: Vec<Happening>,
}

/// Labels to set, or to take away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// By key.
    pub labels: BTreeMap<String, Option<String>>,
}

impl Detail {
    /// Of a machine of the store's, and what happened on it.
    pub fn of(machine: &store::Machine, happened: Vec<Happening>) -> Self {
        let report = machine.reported.as_ref().map(|reported| &reported.report);
        Self {
            machine: Machine::of(machine),
            recipient: machine.recipient.clone(),
            issued_at: machine.serial,
            revoked_at: machine.revoked_at.map(|at| at.0),
            hub: match &machine.presence {
                store::Presence::Here { hub } => Some(hub.clone()),
                store::Presence::Away { .. } => None,
            },
            target: machine.target.as_ref().map(|target| target.number),
            units: report.map(|report| report.units.clone()).unwrap_or_default(),
            troubles: report.map(|report| report.troubles.clone()).unwrap_or_default(),
            happened,
        }
    }
}
