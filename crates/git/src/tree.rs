//! A commit's tree, read from the objects of a bare repository by the commit's id: no work tree, no reference, no lock.

use crate::{
    packet::printable,
    snapshot::{Kind, Layout, Snapshot, SnapshotError},
};
use git2::{ObjectType, Oid, Repository, Tree};
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

    fn entry(&self, path: &str) -> Result<(i32, Oid), git2::Error> {
        let entry = self.repository.find_tree(self.tree)?.get_path(Path::new(path))?;
        Ok((entry.filemode_raw(), entry.id()))
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

    fn blob(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, git2::Error> {
        let (_, id) = self.entry(path)?;
        let odb = self.repository.odb()?;
        // The size is known before anything is inflated.
        match odb.read_header(id)? {
            (bytes, ObjectType::Blob) if bytes as u64 <= bytes_max => Ok(odb.read(id)?.data().to_vec()),
            (bytes, kind) => {
                let text = format!("{kind} of {bytes} bytes, where a file of at most {bytes_max} is read");
                Err(git2::Error::from_str(&text))
            }
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

    fn kind(&self, path: &str) -> Option<Kind> {
        let (mode, id) = self.entry(path).ok()?;
        self.kind_of(mode, id).ok()
    }

    fn link(&self, path: &str) -> Result<Vec<u8>, String> {
        self.blob(path, LINK_BYTES_MAX).map_err(text)
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, String> {
        self.blob(path, bytes_max).map_err(text)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
fn text(error: git2::Error) -> String {
    printable(error.message().as_bytes())
}
