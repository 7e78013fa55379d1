//! `abide validate`

use crate::{args::Validate, exit::Exit, output};
use abide_git::{Snapshot, folder, revision};
use abide_spec::{
    Context, Diagnostic, Parsed, Scope, Tree, TreeFile,
    kind::{Grants, SourceSpec},
};
use serde::Serialize;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What can't be read, as opposed to what is wrong.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("can't read {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Folder(#[from] abide_git::SnapshotError),
    #[error("{0} has no name to be checked by; name a file or a folder")]
    Nameless(PathBuf),
}

/// The answer for programs.
#[derive(Debug, Default, Serialize)]
struct Report {
    valid: bool,
    units: usize,
    mistakes: Vec<Mistake>,
}

#[derive(Debug, Serialize)]
struct Mistake {
    file: String,
    line: usize,
    column: usize,
    message: String,
}

pub(crate) fn run(command: &Validate) -> Exit {
    let mut units = 0;
    let mut mistakes: Vec<Diagnostic> = Vec::new();
    let grants = match command.source.as_deref().map_or(Ok(Ok(Grants::default())), grants) {
        Ok(Ok(grants)) => grants,
        Ok(Err(found)) => {
            mistakes.extend(found);
            Grants::default()
        }
        Err(error) => return unreadable(&error),
    };
    for path in &command.paths {
        match check(path, &grants) {
            Ok(Ok(parsed)) => units += parsed.units.len(),
            Ok(Err(found)) => mistakes.extend(found),
            Err(error) => return unreadable(&error),
        }
    }
    let report = Report { valid: mistakes.is_empty(), units, mistakes: mistakes.iter().map(Mistake::from).collect() };
    output::print(command.output, &report, || words(units, &mistakes));
    if report.valid { Exit::Done } else { Exit::Refused }
}

fn unreadable(error: &Unreadable) -> Exit {
    eprintln!("abide: {error}");
    Exit::Failed
}

fn words(units: usize, mistakes: &[Diagnostic]) -> String {
    let count = |n: usize, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
    if mistakes.is_empty() {
        return format!("valid: {}\n", count(units, "unit", "units"));
    }
    let listed: String = mistakes.iter().map(|mistake| format!("{mistake}\n")).collect();
    format!("{listed}\n{}\n", count(mistakes.len(), "mistake", "mistakes"))
}

fn grants(path: &Path) -> Result<Result<Grants, Vec<Diagnostic>>, Unreadable> {
    let bytes = fs::read(path).map_err(|source| Unreadable::Io { path: path.to_owned(), source })?;
    let source = abide_spec::parse_source(&path.display().to_string(), &bytes);
    Ok(source.map(|(_, SourceSpec { grants, .. })| grants))
}

fn check(path: &Path, grants: &Grants) -> Result<Result<Parsed, Vec<Diagnostic>>, Unreadable> {
    let scope = Scope::new("here").expect("it is a name");
    let context = Context { scope: &scope, grants };
    let metadata = fs::metadata(path).map_err(|source| Unreadable::Io { path: path.to_owned(), source })?;
    if metadata.is_dir() {
        return Ok(revision::parse(&folder::of_folder(path)?, "", context));
    }
    let name = path.file_name().and_then(OsStr::to_str).ok_or_else(|| Unreadable::Nameless(path.to_owned()))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let alone = Alone { folder: folder::of_folder(parent)?, name };
    Ok(abide_spec::parse(&alone, context))
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

impl From<&Diagnostic> for Mistake {
    fn from(mistake: &Diagnostic) -> Self {
        let Diagnostic { file, place, message, .. } = mistake;
        Self { file: file.to_string(), line: place.line, column: place.column, message: message.clone() }
    }
}
