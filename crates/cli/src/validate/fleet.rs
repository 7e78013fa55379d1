//! A fleet's folder: its `fleet.yaml`, and what machines read by it.

use crate::exit::Failure;
use abide_git::folder;
use abide_spec::{Context, Diagnostic, Name, Tree, fleet};
use std::path::Path;

/// The fleet's repository that is meant, if one is: a folder with a `fleet.yaml`, or that file in it.
pub(super) fn folder_of(path: &Path) -> Option<&Path> {
    if path.join(fleet::FILE).is_file() {
        return Some(path);
    }
    let is_file = path.file_name().is_some_and(|name| name == fleet::FILE) && path.is_file();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    is_file.then_some(parent)
}

/// The number of units in what `machine` gets, or in what the whole fleet does; or every mistake.
pub(super) fn check(
    folder: &Path,
    machine: Option<&Name>,
    context: Context<'_>,
) -> Result<Result<usize, Vec<Diagnostic>>, Failure> {
    let tree = folder::of_folder(folder)?;
    let unread = |why| Failure::failed(format!("can't read {}: {why}", folder.join(fleet::FILE).display()));
    let bytes = tree.read(fleet::FILE).map_err(unread)?;
    Ok(fleet::parse(fleet::FILE, &bytes).and_then(|file| match machine {
        Some(name) => file.documents_of(name, &tree, context).map(|parsed| parsed.units.len()),
        None => file.check(&tree, context),
    }))
}
