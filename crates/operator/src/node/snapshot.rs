//! What was said, kept on disk by digest: the node heals and boots with the API server away.
//!
//! A file holds units with everything they refer to, Secrets too, so only root may read it. It is written whole before
//! anybody hears of it; its name is the digest of its bytes, so what is read is what was written.

use abide_spec::{Digest, Unit, UnitId};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// The version of the form; a file of a later one is refused.
const VERSION: u32 = 1;

/// So many are kept besides those that somebody holds on to: what was said while the last one is being judged.
const KEPT: usize = 16;

/// What was said at once: the whole wish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Snapshot {
    version: u32,
    /// The node whose objects they were.
    pub(crate) node: String,
    /// By id.
    pub(crate) units: Vec<Arc<Unit>>,
    /// Removals that were confirmed.
    #[serde(default)]
    pub(crate) confirmed: BTreeSet<UnitId>,
    /// What was wished and is gone without a word.
    #[serde(default, skip_serializing_if = "Missing::is_none")]
    pub(crate) missing: Missing,
}

/// Units that were wished, and whose objects are gone without a word. They come back one by one, as when somebody applies all
/// of it again; who is still missing then is not to be believed gone because it is one of few.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Missing {
    pub(crate) units: BTreeSet<UnitId>,
    /// So many were missing at once since the last time that none was.
    pub(crate) at_once: usize,
}

/// The folder of a source's snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    folder: PathBuf,
}

/// Why a snapshot can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("{what} {path}")]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is damaged: its content is not what its name says; the next one comes with the cluster's objects")]
    Damaged { path: PathBuf },
    #[error("{path} was written by a later release, in version {version} of its form: this one reads {VERSION}")]
    Later { path: PathBuf, version: u32 },
    #[error("{path} can't be read")]
    Form { path: PathBuf, source: serde_json::Error },
    #[error("{0:?} is no digest of a wish")]
    Name(String),
}

impl Snapshot {
    pub(crate) fn new(node: &str, units: Vec<Arc<Unit>>, confirmed: BTreeSet<UnitId>) -> Self {
        Self { version: VERSION, node: node.to_owned(), units, confirmed, missing: Missing::default() }
    }

    /// The same, where these are missing.
    pub(crate) fn without(self, missing: Missing) -> Self {
        Self { missing, ..self }
    }

    /// The bytes that are kept, and their name.
    pub(crate) fn seal(&self) -> (Digest, Vec<u8>) {
        let bytes = serde_json::to_vec(self).expect("units have only keys and values that JSON has");
        (Digest::of(&bytes), bytes)
    }

    /// For people.
    pub(crate) fn summary(&self) -> String {
        let node = &self.node;
        match self.units.len() {
            1 => format!("1 object on node {node}"),
            count => format!("{count} objects on node {node}"),
        }
    }
}

impl Missing {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Counts those that are missing now.
    pub(crate) fn count(&mut self) {
        let now = self.units.len();
        self.at_once = if now == 0 { 0 } else { self.at_once.max(now) };
    }
}

impl Snapshots {
    /// Of the source whose state folder this is.
    pub(crate) fn of(source: &Path) -> Self {
        Self { folder: source.join("wishes") }
    }

    /// Keeps sealed bytes, and clears away old ones, but none of those that are needed.
    pub(crate) fn keep(&self, name: Digest, bytes: &[u8], needed: &BTreeSet<String>) -> Result<(), SnapshotError> {
        let doing = |what, path: &Path| {
            let path = path.to_owned();
            move |source| SnapshotError::File { what, path, source }
        };
        let folder = &self.folder;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(doing("making", folder))?;
        let path = self.path(&name.to_string());
        if !path.exists() {
            let draft = folder.join("draft");
            let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
            let written = written.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
            written.map_err(doing("writing", &draft))?;
            fs::rename(&draft, &path).map_err(doing("naming", &path))?;
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(doing("syncing", folder))?;
        }
        self.prune(&name.to_string(), needed).map_err(doing("clearing", folder))
    }

    fn prune(&self, newest: &str, needed: &BTreeSet<String>) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = name.strip_suffix(".json").map(str::to_owned) else { continue };
            if name != newest && !needed.contains(&name) {
                files.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(KEPT);
        files.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// Reads what was kept under this name.
    pub(crate) fn read(&self, name: &str) -> Result<Snapshot, SnapshotError> {
        let digest: Digest = name.parse().map_err(|_| SnapshotError::Name(name.to_owned()))?;
        let path = self.path(name);
        let bytes =
            fs::read(&path).map_err(|source| SnapshotError::File { what: "reading", path: path.clone(), source })?;
        if Digest::of(&bytes) != digest {
            return Err(SnapshotError::Damaged { path });
        }
        read(&bytes, &path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

fn read(bytes: &[u8], path: &Path) -> Result<Snapshot, SnapshotError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let form = |source| SnapshotError::Form { path: path.to_owned(), source };
    let Versioned { version } = serde_json::from_slice(bytes).map_err(form)?;
    if version > VERSION {
        return Err(SnapshotError::Later { path: path.to_owned(), version });
    }
    serde_json::from_slice(bytes).map_err(form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::{Context, MemoryTree, Scope, kind::Grants, parse};
    use std::os::unix::fs::PermissionsExt as _;

    /// As the first release wrote it.
    const FIRST: &str = include_str!("fixtures/snapshot-1.json");

    fn snapshot(image: &str) -> Snapshot {
        let web = format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {{name: web}}\nspec: {{image: {image}, env: {{A: {{secret: s, key: k}}}}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{k: v}}\n"
        );
        let tree = MemoryTree([("web.yaml".to_owned(), web.into_bytes().into())].into());
        let (scope, grants) = (Scope::new("shop").unwrap(), Grants::default());
        let units = parse(&tree, Context::plain(&scope, &grants)).unwrap().units;
        let gone = UnitId { name: Scope::new("gone").unwrap(), ..units[0].id.clone() };
        Snapshot::new("n1", units, [gone].into())
    }

    #[test]
    fn what_is_kept_is_read_again_by_root_alone() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::of(folder.path());
        let (name, bytes) = snapshot("nginx").seal();
        snapshots.keep(name, &bytes, &BTreeSet::new()).unwrap();
        assert_eq!(snapshots.read(&name.to_string()).unwrap(), snapshot("nginx"));
        let path = snapshots.path(&name.to_string());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, &bytes[1..]).unwrap();
        let damaged = snapshots.read(&name.to_string()).unwrap_err().to_string();
        assert!(damaged.contains("is damaged"), "{damaged}");
        assert!(snapshots.read("../../x").is_err());
    }

    #[test]
    fn old_ones_go_but_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::of(folder.path());
        let (first, _) = snapshot("v0").seal();
        for version in 0..40 {
            let (name, bytes) = snapshot(&format!("v{version}")).seal();
            snapshots.keep(name, &bytes, &[first.to_string()].into()).unwrap();
        }
        assert!(snapshots.read(&first.to_string()).is_ok());
        assert_eq!(fs::read_dir(&snapshots.folder).unwrap().count(), KEPT + 2, "with the first and the newest");
    }

    #[test]
    fn the_first_release_is_understood_and_a_later_one_refused() {
        let path = Path::new("fixture");
        if std::env::var_os("ABIDE_UPDATE").is_some() {
            let (_, bytes) = snapshot("nginx").seal();
            fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/node/fixtures/snapshot-1.json"), bytes).unwrap();
        }
        assert_eq!(read(FIRST.as_bytes(), path).unwrap(), snapshot("nginx"));
        let later = FIRST.replacen("\"version\":1", "\"version\":2", 1);
        assert!(matches!(read(later.as_bytes(), path), Err(SnapshotError::Later { version: 2, .. })));
    }
}
