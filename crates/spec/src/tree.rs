//! Where the files come from: a complete snapshot of a folder, of a commit or of a disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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

/// Some folders of a tree: their files alone, each by its full path.
pub struct Folders<'a> {
    tree: &'a dyn Tree,
    folders: &'a BTreeSet<String>,
}

impl<'a> Folders<'a> {
    /// These folders of that tree, written as its paths are.
    pub fn new(tree: &'a dyn Tree, folders: &'a BTreeSet<String>) -> Self {
        Self { tree, folders }
    }

    fn has(&self, path: &str) -> bool {
        // A path has few folders above it, and a tree many files.
        path.match_indices('/').any(|(at, _)| self.folders.contains(&path[..at]))
    }
}

impl Tree for Folders<'_> {
    fn files(&self) -> Vec<TreeFile> {
        let mut files = self.tree.files();
        files.retain(|file| self.has(&file.path));
        files
    }

    fn is_repository(&self) -> bool {
        self.tree.is_repository()
    }

    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        if self.has(path) { self.tree.read(path) } else { Err("it is not there".to_owned()) }
    }
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
