//! A tree's documents → checked, resolved units, or every mistake in them.

use crate::{
    check,
    diagnostic::{Diagnostic, Place},
    document::{Body, Document},
    id::{Digest, Name, Scope},
    kind::{Grants, SourceSpec},
    resolve::Resolver,
    tree::{Tree, TreeFile},
    unit::Unit,
    yaml::{self, File, Node},
};
use std::{collections::BTreeMap, sync::Arc};

/// Units, and the repository's files that they name.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// By scope, kind and name.
    pub units: Vec<Arc<Unit>>,
    /// By digest.
    pub files: BTreeMap<Digest, Arc<[u8]>>,
}

/// Whose documents are read.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The scope of their units.
    pub scope: &'a Scope,
    /// What they may ask for.
    pub grants: &'a Grants,
}

/// Reads every `*.yaml` and `*.yml` file of the tree, hidden files and folders left out, and checks it as a whole.
pub fn parse(tree: &dyn Tree, context: Context<'_>) -> Result<Parsed, Vec<Diagnostic>> {
    let (parsed, mistakes) = parse_apart(tree, context);
    if mistakes.is_empty() { Ok(parsed) } else { Err(mistakes) }
}

/// The same for documents that stand or fall apart: the units that could be read, those of documents with mistakes among
/// them, and the mistakes.
pub fn parse_apart(tree: &dyn Tree, context: Context<'_>) -> (Parsed, Vec<Diagnostic>) {
    let files = tree.files();
    let mut mistakes = Vec::new();
    let read = read(tree, &files, &mut mistakes);
    let mut is_whole = mistakes.is_empty();
    let mut documents = Vec::new();
    for (file, node) in read.iter().flat_map(|(file, nodes)| nodes.iter().map(move |node| (file, node))) {
        let document = Document::read(file, node, &mut mistakes);
        is_whole &= document.is_some();
        documents.extend(document);
    }
    documents.retain(|document| {
        let is_source = matches!(document.body, Body::Source(_));
        if is_source {
            let text = "a Source belongs to the machine, not to a repository: write it with `abide source add`";
            mistakes.push(document.mistake(document.name_place, text));
        }
        !is_source
    });
    check::documents(&documents, context.grants, is_whole, &mut mistakes);
    let mut resolver = Resolver::new(tree, &files, &documents);
    let mut units: Vec<Arc<Unit>> = documents
        .iter()
        .filter_map(|document| resolver.unit(document, context, is_whole, &mut mistakes))
        .map(Arc::new)
        .collect();
    units.sort_by(|one, other| one.id.cmp(&other.id));
    mistakes.sort();
    mistakes.dedup();
    (Parsed { units, files: resolver.into_files() }, mistakes)
}

/// Reads the one `Source` of a file that the machine's owner wrote.
pub fn parse_source(name: &str, bytes: &[u8]) -> Result<(Name, SourceSpec), Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    let (file, nodes) = yaml::read(name, bytes, &mut mistakes);
    let documents: Vec<Document<'_>> =
        nodes.iter().filter_map(|node| Document::read(&file, node, &mut mistakes)).collect();
    for document in &documents {
        match &document.body {
            Body::Source(spec) => check::source(document, spec, &mut mistakes),
            Body::Broken(_) => {}
            other => {
                let text = format!("a {} belongs into a repository; only a Source is read here", other.kind());
                mistakes.push(document.mistake(document.name_place, text));
            }
        }
    }
    let written = documents.len();
    let mut sources = documents.into_iter().filter_map(|document| match document.body {
        Body::Source(spec) => Some((document.metadata.name, *spec)),
        _ => None,
    });
    match sources.next() {
        Some(source) if mistakes.is_empty() && written == 1 => Ok(source),
        _ => {
            if mistakes.is_empty() {
                let text = format!("expected one document of kind Source, found {written}");
                mistakes.push(file.diagnostic(Place::default(), text));
            }
            Err(mistakes)
        }
    }
}

fn read(tree: &dyn Tree, files: &[TreeFile], mistakes: &mut Vec<Diagnostic>) -> Vec<(File, Vec<Node>)> {
    let mut read = Vec::new();
    for file in files.iter().filter(|file| is_document(&file.path)) {
        let content = match &file.odd {
            Some(odd) => Err(odd.clone()),
            None => tree.read(&file.path),
        };
        match content {
            Ok(bytes) => read.push(yaml::read(&file.path, &bytes, mistakes)),
            Err(why) => mistakes.push(Diagnostic {
                file: file.path.as_str().into(),
                place: Place::default(),
                message: format!("the file can't be read: {why}"),
                text: String::new(),
                related: Vec::new(),
            }),
        }
    }
    read
}

/// Whether the file is read for documents: `.yaml` or `.yml`, and no part of its path is hidden.
pub fn is_document(path: &str) -> bool {
    let is_yaml = path.ends_with(".yaml") || path.ends_with(".yml");
    is_yaml && !path.split('/').any(|part| part.starts_with('.'))
}
