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
    files: BTreeMap<&'a str, &'a TreeFile>,
}

impl<'a> Folders<'a> {
    /// These folders of that tree, of which `listing` is the list: a tree of many machines is listed once.
    pub fn new(tree: &'a dyn Tree, listing: &'a Files, folders: &BTreeSet<String>) -> Self {
        let files = folders.iter().flat_map(|folder| listing.below(folder));
        Self { tree, files: files.map(|file| (file.path.as_str(), file)).collect() }
    }
}

/// The files of a tree, by path.
#[derive(Clone, Debug)]
pub struct Files(BTreeMap<String, TreeFile>);

impl Files {
    /// Lists them.
    pub fn of(tree: &dyn Tree) -> Self {
        Self(tree.files().into_iter().map(|file| (file.path.clone(), file)).collect())
    }

    /// Those in a folder, at any depth.
    pub(crate) fn below(&self, folder: &str) -> impl Iterator<Item = &TreeFile> {
        let folder = format!("{folder}/");
        let files = self.0.range(folder.clone()..);
        files.take_while(move |(path, _)| path.starts_with(&folder)).map(|(_, file)| file)
    }

    /// Every folder that a file is in.
    pub(crate) fn folders(&self) -> BTreeSet<&str> {
        let above = |path: &str| path.match_indices('/').map(|(at, _)| at).collect::<Vec<_>>();
        self.0.keys().flat_map(|path| above(path).into_iter().map(|at| &path[..at])).collect()
    }
}

impl Tree for Folders<'_> {
    fn files(&self) -> Vec<TreeFile> {
        self.files.values().map(|file| (*file).clone()).collect()
    }

    fn is_repository(&self) -> bool {
        self.tree.is_repository()
    }

    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        if self.files.contains_key(path) { self.tree.read(path) } else { Err("it is not there".to_owned()) }
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
