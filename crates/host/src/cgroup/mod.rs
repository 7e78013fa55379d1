//! Control groups, v1, v2 and both at once (hybrid), behind one type.
//!
//! [`Hierarchies::detect`] finds where each controller lives. A [`Group`] is one instance's group in all of them:
//!
//! ```text
//! v2                                      v1, hybrid
//! /sys/fs/cgroup            base          /sys/fs/cgroup/{memory,cpu,pids,devices}   bases
//! ├─ abide-agent            leaf *        └─ abide-<tag>/<instance>                  in each
//! └─ abide-<tag>            parent        /sys/fs/cgroup/unified
//!    └─ <instance>          group         └─ abide-<tag>/<instance>                  for `cgroup.kill`
//! ```
//!
//! In v2 a group with processes can't hand controllers on. Where the base has processes and isn't the machine's own root
//! group, they are moved to the leaf. Who runs the agent in a group named `abide-agent` (systemd's `DelegateSubgroup=`)
//! makes the group above it the base.
//!
//! A controller that is missing is an error only for whom needs its limit. The list of devices is not optional: without
//! it every device node that a container makes would work.

mod bpf;
mod detect;
mod device;
mod life;
mod limit;
mod mounts;
mod top;

pub use detect::{Hierarchies, Report};
pub use device::{Access, CONTAINER_DEVICES, Device, DeviceKind};
pub use limit::Limits;
pub use top::top;

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// What a limit needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Number of processes.
    Pids,
    /// Device nodes. In v2 not a controller but a BPF program.
    Devices,
}

impl Controller {
    const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Pids, Self::Devices];

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Devices => "devices",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An instance's group, in every hierarchy. It is recorded with the instance: the agent may be started elsewhere next time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The folder of each controller of v1.
    v1: BTreeMap<Controller, PathBuf>,
    /// The folder in the hierarchy of v2.
    v2: Option<PathBuf>,
    /// Which controllers that folder has.
    v2_controllers: Vec<Controller>,
}

/// What can go wrong with control groups.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of a hierarchy.
    #[error("cannot {act} {}", path.display())]
    File {
        /// As "write 12M to".
        act: String,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A limit that nothing would hold.
    #[error(
        "the machine has no control group controller `{0}`: a limit would not hold; leave it out, or enable the controller"
    )]
    Missing(Controller),
    /// Device nodes that nothing would refuse.
    #[error("cannot limit which devices the instance may use, and so it is not started: {why}")]
    Devices {
        /// What is missing.
        why: &'static str,
        /// What the kernel said, if it was asked.
        source: Option<io::Error>,
    },
    /// Only a part of them is in sight, which ends with somebody.
    #[error(
        "none of the machine's own control groups is in sight, only a part that isn't ours: mount the machine's /sys/fs/cgroup here"
    )]
    Hidden,
    /// It has processes still.
    #[error("the control group {} still has processes after {} ms", path.display(), waited.as_millis())]
    Busy {
        /// The group.
        path: PathBuf,
        /// How long it was waited for.
        waited: std::time::Duration,
    },
    /// A name that would lead elsewhere.
    #[error("{0:?} is no name for a control group")]
    Name(String),
}

impl Group {
    /// The folders that a process joins by writing itself to `cgroup.procs` in each.
    pub fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<_> = self.v1.values().chain(&self.v2).map(PathBuf::as_path).collect();
        // Controllers of v1 may be mounted together.
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// The file of a controller, by its names in v1 and v2; `None` if the machine doesn't have the controller.
    fn file(&self, controller: Controller, v1: &str, v2: &str) -> Option<PathBuf> {
        match (self.v1.get(&controller), &self.v2) {
            (Some(folder), _) => Some(folder.join(v1)),
            (None, Some(folder)) if self.v2_controllers.contains(&controller) => Some(folder.join(v2)),
            _ => None,
        }
    }

    /// How many processes the kernel has killed for want of memory. 0 where nothing counts.
    pub fn oom_kills(&self) -> Result<u64, Error> {
        let Some(path) = self.file(Controller::Memory, "memory.oom_control", "memory.events") else { return Ok(0) };
        let text = read(&path)?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        Ok(count.unwrap_or(0))
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File { act: "read".to_owned(), path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    // Without O_CREAT: a file that isn't there is a controller that isn't there.
    let written = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|source| Error::File { act: format!("write {text:?} to"), path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
