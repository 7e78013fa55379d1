//! A commit's tree, read from the objects of a bare repository by the commit's id: no work tree, no reference, no lock.

use crate::{
    packet::printable,
    snapshot::{Kind, Layout, Snapshot, SnapshotError},
};
use git2::{ErrorCode, ObjectType, Oid, Repository, Tree};
use std::{collections::BTreeSet, path::Path};

/// Modes of a tree's entries (gitdatamodel(7)).
const MODE_TYPE: i32 = 0o170_000;
const MODE_LINK: i32 = 0o120_000;
const MODE_SUBMODULE: i32 = 0o160_000;
const MODE_EXECUTABLE: i32 = 0o100;

/// Bytes of a link's target.
const LINK_BYTES_MAX: u64 = 4096;

/// The folder `path` of a commit; the empty one is all of it.
pub fn of_commit(repository: Repository, commit: Oid, path: &str) -> Result<Snapshot, SnapshotError> {
    Snapshot::take(Box::new(open(repository, commit)?), path)
}

/// Several folders of a commit as one, every file by its whole path in the repository. Those that aren't there are empty.
pub fn folders_of_commit(
    repository: Repository,
    commit: Oid,
    folders: &BTreeSet<String>,
) -> Result<Snapshot, SnapshotError> {
    Snapshot::take_folders(Box::new(open(repository, commit)?), folders)
}

fn open(repository: Repository, commit: Oid) -> Result<CommitTree, SnapshotError> {
    let tree = repository.find_commit(commit).map(|commit| commit.tree_id());
    let tree = tree.map_err(|source| SnapshotError::Commit { commit: commit.to_string(), source })?;
    Ok(CommitTree { repository, tree })
}

struct CommitTree {
    repository: Repository,
    tree: Oid,
}

impl CommitTree {
    fn folder(&self, path: &str) -> Result<Tree<'_>, git2::Error> {
        let root = self.repository.find_tree(self.tree)?;
        if path.is_empty() { Ok(root) } else { self.repository.find_tree(root.get_path(Path::new(path))?.id()) }
    }

    /// None: there is no such entry. A folder on the way that lacks is an error.
    fn entry(&self, path: &str) -> Result<Option<(i32, Oid)>, git2::Error> {
        match self.repository.find_tree(self.tree)?.get_path(Path::new(path)) {
            Ok(entry) => Ok(Some((entry.filemode_raw(), entry.id()))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn kind_of(&self, mode: i32, id: Oid) -> Result<Kind, git2::Error> {
        Ok(match mode & MODE_TYPE {
            MODE_LINK => Kind::Link,
            MODE_SUBMODULE => Kind::Submodule,
            _ => match self.repository.odb()?.read_header(id)? {
                (_, ObjectType::Tree) => Kind::Folder,
                (bytes, ObjectType::Blob) => {
                    Kind::File { bytes: bytes as u64, is_executable: mode & MODE_EXECUTABLE != 0 }
                }
                _ => Kind::Other,
            },
        })
    }

    /// None: it is no file of at most so many bytes.
    fn blob(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, git2::Error> {
        let Some((_, id)) = self.entry(path)? else { return Ok(None) };
        let odb = self.repository.odb()?;
        // The size is known before anything is inflated.
        match odb.read_header(id)? {
            (bytes, ObjectType::Blob) if bytes as u64 <= bytes_max => Ok(Some(odb.read(id)?.data().to_vec())),
            _ => Ok(None),
        }
    }
}

impl Layout for CommitTree {
    fn list(&self, folder: &str) -> Result<Vec<(Vec<u8>, Kind)>, String> {
        let tree = self.folder(folder).map_err(text)?;
        let mut list: Vec<(Vec<u8>, Kind)> = Vec::with_capacity(tree.len());
        for entry in &tree {
            let name = entry.name_bytes().to_vec();
            let kind = self.kind_of(entry.filemode_raw(), entry.id()).map_err(text)?;
            // Git never writes such a tree. Which of the two would be read depends on who reads.
            if list.iter().rev().take(2).any(|(earlier, _)| *earlier == name) {
                return Err(format!("it names {} twice", printable(&name)));
            }
            list.push((name, kind));
        }
        Ok(list)
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, String> {
        let entry = self.entry(path).map_err(text)?;
        entry.map(|(mode, id)| self.kind_of(mode, id)).transpose().map_err(text)
    }

    fn link(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        self.blob(path, LINK_BYTES_MAX).map_err(text)
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, String> {
        let blob = self.blob(path, bytes_max).map_err(text)?;
        blob.ok_or_else(|| format!("it is no file of at most {bytes_max} bytes"))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
fn text(error: git2::Error) -> String {
    printable(error.message().as_bytes())
}
