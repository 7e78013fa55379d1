//! Fleets: what `fleet.yaml`, at the root of a fleet's repository, says about machines and how commits get to them.
//!
//! ```text
//!  fleet.yaml ─parse─► FleetFile ─┬─ Fleet:   a machine's certified name ─content_of─► its labels, its folders
//!                                 │                 └─ documents_of: what is in those folders, as the machine reads it
//!                                 └─ Rollout: machines and their labels on the hub ─waves─► who comes first, who next
//! ```
//!
//! What a machine runs follows from the tree and its name alone. Labels on the hub steer the order of a roll-out, and
//! nothing else: so a hub can't give a machine what the tree doesn't.

mod check;
mod file;
mod glob;
mod rollout;
mod rule;
mod word;

pub(crate) use file::elsewhere;
pub use file::{FleetFile, parse};
pub use glob::{BadGlob, Glob};
pub use rollout::{CountOrShare, Percent, RolloutSpec, WaveSpec};
pub use rule::{Content, ContentRule, FleetSpec, MachineRule, Require, Signers};
pub use word::{BadWord, Commit, FleetId, Folder, SignerKey};

use std::collections::BTreeMap;

/// The one file that says it all, at the root of the repository.
pub const FILE: &str = "fleet.yaml";

/// Words by which machines are told apart.
pub type Labels = BTreeMap<String, String>;

/// Whether all that is asked for is there.
fn has_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}
