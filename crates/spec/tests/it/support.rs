//! Trees out of folders and texts, and expected texts in files.

use abide_spec::{MemoryTree, Scope};
use std::{fs, path::Path, sync::Arc};

/// Set to rewrite what is expected.
pub(crate) const UPDATE: &str = "ABIDE_UPDATE";

pub(crate) fn scope() -> Scope {
    Scope::new("test").unwrap()
}

pub(crate) fn tree<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> MemoryTree {
    MemoryTree(files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().into())).collect())
}

pub(crate) fn folder(root: &Path) -> MemoryTree {
    let mut tree = MemoryTree::default();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                tree.0.insert(name, Arc::from(fs::read(&path).unwrap()));
            }
        }
    }
    tree
}

/// Compares with a file, or writes it.
pub(crate) fn expect(path: &Path, text: &str) {
    if std::env::var_os(UPDATE).is_some() {
        fs::write(path, text).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(expected == text, "{} differs; {UPDATE}=1 rewrites it. It should be:\n{text}", path.display());
}
