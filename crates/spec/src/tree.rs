//! Where the files come from: a complete snapshot of a folder, of a commit or of a disk.

use std::{collections::BTreeMap, sync::Arc};

/// A complete, unchanging folder of files. Paths are relative, with `/`, without `.` and `..`.
pub trait Tree {
    /// All files, symbolic links followed inside the tree. Of two documents that can't both be, the later is mistaken.
    fn files(&self) -> Vec<TreeFile>;

    /// Whether documents may name its files: there may be nothing but documents.
    fn is_repository(&self) -> bool {
        true
    }

    /// The content of one of them.
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String>;
}

/// A file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Where it is.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// Whether it may be executed.
    pub is_executable: bool,
    /// Why it can't be used, if so: a link out of the tree, a submodule. It is a mistake only to name it.
    pub odd: Option<String>,
}

/// A tree in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryTree(pub BTreeMap<String, Arc<[u8]>>);

impl Tree for MemoryTree {
    fn files(&self) -> Vec<TreeFile> {
        let file = |(path, bytes): (&String, &Arc<[u8]>)| TreeFile {
            path: path.clone(),
            size: bytes.len() as u64,
            is_executable: false,
            odd: None,
        };
        self.0.iter().map(file).collect()
    }

    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        self.0.get(path).cloned().ok_or_else(|| "it is not there".to_owned())
    }
}
