//! What a commit of the fleet's repository says: its `fleet.yaml`, and whether what its machines would run can be read.

use abide_git::{
    Oid, Snapshot, SnapshotError,
    cache::{self, CacheError},
    describe,
    revision::render,
    tree,
};
use abide_reconcile::{
    Name,
    spec::{
        Context, Tree,
        fleet::{self, FleetFile},
        kind::Grants,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The file at the root of the tree.
const FLEET: &str = fleet::FILE;

/// As on the machines.
const FLEET_BYTES_MAX: u64 = crate::trust::FLEET_BYTES_MAX as u64;

/// Machines that are named where content is broken; the rest is counted.
const NAMED_MAX: usize = 5;

/// A commit that is read.
pub(super) struct Commit {
    pub(super) summary: String,
    pub(super) file: FleetFile,
    pub(super) id: Oid,
    /// What is wrong with each content that was asked about.
    contents: BTreeMap<BTreeSet<String>, Option<String>>,
}

/// Why a commit can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRead {
    /// It is broken, for people.
    #[error("{0}")]
    Broken(String),
    /// The cache is.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// What is in it is.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl Commit {
    /// Reads a commit of the fleet with this identity from the cache below `directory`.
    pub(super) fn read(directory: &Path, id: Oid, fleet: &str) -> Result<Self, NotRead> {
        let unreadable = |source| SnapshotError::Commit { commit: id.to_string(), source };
        let summary = describe(&cache::open(directory)?, id).map_err(unreadable)?.summary;
        let snapshot = match tree::of_commit(cache::open(directory)?, id, "") {
            Err(error) if error.is_unreadable() => return Err(error.into()),
            read => read.map_err(|error| NotRead::Broken(error.to_string()))?,
        };
        let file = read_fleet(&snapshot)?;
        let named = file.spec().id.to_string();
        if named != fleet {
            return Err(NotRead::Broken(format!(
                "{FLEET} is of the fleet {named}, and this hub is that of {fleet}: follow the right repository, or put the \
                 id there that `abide hub init` printed"
            )));
        }
        Ok(Self { summary, file, id, contents: BTreeMap::new() })
    }

    /// What is wrong with what these machines would run, if anything is. What was judged once is known.
    pub(super) fn mistakes<'a>(
        &mut self,
        directory: &Path,
        machines: impl Iterator<Item = &'a Name>,
    ) -> Result<Option<String>, NotRead> {
        let mut broken: BTreeMap<String, Vec<&Name>> = BTreeMap::new();
        for machine in machines {
            let paths = self.file.spec().content_of(machine).paths;
            let judged = match self.contents.get(&paths) {
                Some(judged) => judged.clone(),
                None => {
                    let judged = self.judge(directory, machine, &paths)?;
                    self.contents.insert(paths, judged.clone());
                    judged
                }
            };
            if let Some(mistakes) = judged {
                broken.entry(mistakes).or_default().push(machine);
            }
        }
        let texts = broken.into_iter().map(|(mistakes, machines)| format!("{}:\n{mistakes}", name_some(&machines)));
        Ok(Some(texts.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty()))
    }

    /// What is wrong with what a machine would run, as that reads it. What only the machine itself can open is believed.
    fn judge(&self, directory: &Path, machine: &Name, paths: &BTreeSet<String>) -> Result<Option<String>, NotRead> {
        let snapshot = match tree::folders_of_commit(cache::open(directory)?, self.id, paths) {
            Err(error) if error.is_unreadable() => return Err(error.into()),
            Err(error) => return Ok(Some(error.to_string())),
            Ok(snapshot) => snapshot,
        };
        let scope = super::source().0;
        // What a machine grants, only the machine knows: it refuses what it doesn't grant.
        let grants =
            Grants { host_paths: vec!["/".to_owned()], host_network: true, privileged: true, ..Grants::default() };
        let parsed = self.file.documents_of(machine, &snapshot, Context::sealed(&scope, &grants, None));
        Ok(parsed.err().map(|mistakes| render(&mistakes)))
    }
}

fn read_fleet(snapshot: &Snapshot) -> Result<FleetFile, NotRead> {
    let listed = snapshot.files().into_iter().find(|file| file.path == FLEET);
    let broken = |why: String| NotRead::Broken(format!("{FLEET}: {why}"));
    match listed {
        None => Err(NotRead::Broken(format!(
            "there is no {FLEET} at the root of the repository: `abide hub init` prints one to begin with"
        ))),
        Some(file) if file.size > FLEET_BYTES_MAX => {
            Err(broken(format!("it has {} bytes, and {FLEET_BYTES_MAX} at most are read", file.size)))
        }
        Some(_) => {
            let bytes = snapshot.read(FLEET).map_err(broken)?;
            fleet::parse(FLEET, &bytes).map_err(|mistakes| NotRead::Broken(render(&mistakes)))
        }
    }
}

fn name_some(machines: &[&Name]) -> String {
    let named: Vec<&str> = machines.iter().take(NAMED_MAX).map(|name| name.as_str()).collect();
    match machines.len().saturating_sub(NAMED_MAX) {
        0 => format!("what {} would run is broken", named.join(", ")),
        more => format!("what {} and {more} more machines would run is broken", named.join(", ")),
    }
}
