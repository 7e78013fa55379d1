//! Documents of this machine: a folder, a file in it, and the sources that its owner writes.

use crate::{exit::Failure, output};
use abide_git::{Snapshot, folder, revision};
use abide_spec::{
    Context, Diagnostic, Name, Parsed, Scope, Tree, TreeFile,
    kind::{Grants, SourceSpec},
};
use std::{ffi::OsStr, fs, path::Path, sync::Arc};

/// What reading documents comes to: what they say, or all their mistakes.
pub(crate) type Read<T> = Result<T, Vec<Diagnostic>>;

/// Reads a folder as a whole, or a document by itself.
pub(crate) fn read(path: &Path, scope: &Scope, grants: &Grants) -> Result<Read<Parsed>, Failure> {
    let context = Context::plain(scope, grants);
    let metadata = fs::metadata(path).map_err(Failure::file("can't read", path))?;
    if metadata.is_dir() {
        return Ok(revision::parse(&folder::of_folder(path)?, "", context));
    }
    let nameless =
        || Failure::usage(format!("{} has no name to be checked by; name a file or a folder", path.display()));
    let name = path.file_name().and_then(OsStr::to_str).ok_or_else(nameless)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let alone = Alone { folder: folder::of_folder(parent)?, name };
    Ok(abide_spec::parse(&alone, context))
}

/// Says so of a folder that holds no documents: easily it is another one than was meant.
pub(crate) fn warn_of_nothing(path: &Path) {
    let Ok(folder) = folder::of_folder(path) else { return };
    if !folder.files().iter().any(|file| abide_spec::is_document(&file.path)) {
        let path = path.display();
        output::complain(&format!("abide: {path} holds no document: no *.yaml and no *.yml, but for hidden ones\n"));
    }
}

/// Reads a file of kind Source.
pub(crate) fn read_source(path: &Path) -> Result<Read<(Name, SourceSpec)>, Failure> {
    let bytes = fs::read(path).map_err(Failure::file("can't read", path))?;
    Ok(abide_spec::parse_source(&path.display().to_string(), &bytes))
}

/// A source as its owner wrote it; with mistakes it is refused.
pub(crate) fn source(path: &Path) -> Result<(Name, SourceSpec), Failure> {
    read_source(path)?.map_err(|mistakes| Failure::refused(revision::render(&mistakes)))
}

/// What a folder is given to ask for.
pub(crate) fn grants(path: Option<&Path>) -> Result<Grants, Failure> {
    Ok(path.map(source).transpose()?.map(|(_, spec)| spec.grants).unwrap_or_default())
}

/// A document by itself; what it names lies beside it all the same.
struct Alone<'a> {
    folder: Snapshot,
    name: &'a str,
}

impl Tree for Alone<'_> {
    fn files(&self) -> Vec<TreeFile> {
        let mut files = self.folder.files();
        files.retain(|file| file.path == self.name || !abide_spec::is_document(&file.path));
        files
    }

    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        self.folder.read(path)
    }
}
