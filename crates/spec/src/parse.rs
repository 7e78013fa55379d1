//! A tree's documents → checked, resolved units, or every mistake in them.

use crate::{
    check,
    diagnostic::{Diagnostic, Place},
    document::{Body, Document},
    fleet,
    id::{Digest, Name, Scope},
    kind::{Grants, SourceSpec},
    resolve::Resolver,
    tree::{Tree, TreeFile},
    unit::Unit,
    yaml::{self, File, Node},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

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
    /// How their Secrets are written.
    pub secrets: Secrets<'a>,
}

impl<'a> Context<'a> {
    /// Of a repository for one machine, or of a cluster: who may read the Secrets in it is somebody else's care.
    pub fn plain(scope: &'a Scope, grants: &'a Grants) -> Self {
        Self { scope, grants, secrets: Secrets::Plain }
    }

    /// Of a fleet's repository, on a machine that can open what is sealed, or elsewhere without.
    pub fn sealed(scope: &'a Scope, grants: &'a Grants, unseal: Option<&'a dyn Unseal>) -> Self {
        Self { scope, grants, secrets: Secrets::Sealed(unseal) }
    }
}

/// How Secrets are written.
#[derive(Clone, Copy)]
pub enum Secrets<'a> {
    /// As Kubernetes' own; sealed ones are mistakes.
    Plain,
    /// Sealed for those who may open them; plain ones are mistakes. Without a key only the form is checked, and values
    /// stand for themselves as they are.
    Sealed(Option<&'a dyn Unseal>),
}

/// Who has the key to what is sealed.
pub trait Unseal {
    /// The content of an armored file of age, or why it can't be opened, in words that end a sentence.
    fn unseal(&self, armored: &str) -> Result<Vec<u8>, String>;
}

impl fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Sealed(None) => "Sealed",
            Self::Sealed(Some(_)) => "Sealed, with a key",
        })
    }
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
    for document in &documents {
        let misplaced = misplaced(&document.body, context.secrets);
        mistakes.extend(misplaced.map(|text| document.mistake(document.name_place, text)));
    }
    documents.retain(|document| !matches!(document.body, Body::Source(_) | Body::Fleet(_) | Body::Rollout(_)));
    check::documents(&documents, context.grants, is_whole, &mut mistakes);
    let mut resolver = Resolver::new(tree, &files, &documents, context.secrets);
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

/// Why such a document can't be here, if so.
fn misplaced(body: &Body, secrets: Secrets<'_>) -> Option<String> {
    let text = match (body, secrets) {
        (Body::Source(_), _) => {
            "a Source belongs to the machine, not to a repository: write it with `abide source add`"
        }
        (Body::Fleet(_) | Body::Rollout(_), _) => return Some(fleet::elsewhere(body.kind())),
        (Body::Secret(_), Secrets::Sealed(_)) => {
            "everyone in a fleet can read this: write a Secret of `abide.dev/v1alpha1`, with each value under \
             `spec.data` as `abide encrypt --recipient age1…` prints it for the machines that may open it"
        }
        (Body::Sealed(_), Secrets::Plain) => {
            "only a machine of a fleet can open this: write a Secret of `v1`, with its values under `stringData`"
        }
        _ => return None,
    };
    Some(text.to_owned())
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
