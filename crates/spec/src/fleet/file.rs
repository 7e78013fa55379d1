//! `fleet.yaml`, read and checked.

use super::{Content, FILE, FleetSpec, Labels, RolloutSpec, check};
use crate::{
    diagnostic::{Diagnostic, suggest},
    document::{Body, Document, Part::Key},
    id::Name,
    parse::{self, Context, Parsed},
    tree::{Folders, Tree},
    yaml,
};
use std::collections::{BTreeMap, BTreeSet};

/// What `fleet.yaml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetFile {
    /// The one fleet.
    pub fleet: (Name, FleetSpec),
    /// Roll-outs, in the order in which they are written.
    pub rollouts: Vec<(Name, RolloutSpec)>,
    /// What to say about folders that turn out not to be there.
    absent: BTreeMap<String, Diagnostic>,
    /// What to say to a machine that no rule knows.
    nobody: Diagnostic,
}

/// Reads the file of this name, with every mistake in it.
pub fn parse(name: &str, bytes: &[u8]) -> Result<FleetFile, Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    let (file, nodes) = yaml::read(name, bytes, &mut mistakes);
    let documents: Vec<_> = nodes.iter().filter_map(|node| Document::read(&file, node, &mut mistakes)).collect();
    let is_whole = documents.len() == nodes.len() && mistakes.is_empty();
    check::documents(&file, &documents, is_whole, &mut mistakes);
    mistakes.sort();
    mistakes.dedup();
    let (mut fleet, mut rollouts) = (None, Vec::new());
    for document in documents {
        let place = document.place(&[Key("spec"), Key("machines")]);
        match document.body {
            Body::Fleet(spec) => {
                let absent = check::folders(&spec, document.node).map(|(folder, node)| {
                    let text = format!("there is no folder {:?} in the repository", folder.as_str());
                    (folder.to_string(), file.diagnostic(node.place, text))
                });
                // Where a folder is named more than once, the first place will do.
                let absent = absent.rev().collect();
                let nobody = file.diagnostic(place, "no rule of `machines` gives a folder to");
                fleet = Some(((document.metadata.name, *spec), absent, nobody));
            }
            Body::Rollout(spec) => rollouts.push((document.metadata.name, *spec)),
            _ => {}
        }
    }
    match fleet {
        Some((fleet, absent, nobody)) if mistakes.is_empty() => Ok(FleetFile { fleet, rollouts, absent, nobody }),
        _ => Err(mistakes),
    }
}

impl FleetFile {
    /// The fleet's spec.
    pub fn spec(&self) -> &FleetSpec {
        &self.fleet.1
    }

    /// The roll-out that a machine with these labels on the hub is in: the first that selects it, if any.
    pub fn rollout_of(&self, labels: &Labels) -> Option<&(Name, RolloutSpec)> {
        self.rollouts.iter().find(|(_, spec)| spec.selects(labels))
    }

    /// What the machine of this name is to run, as it reads it itself: the documents of its folders in the fleet's `tree`,
    /// which may have those folders alone. A machine that no rule knows, and a folder that isn't there, are mistakes.
    pub fn documents_of(&self, name: &Name, tree: &dyn Tree, context: Context<'_>) -> Result<Parsed, Vec<Diagnostic>> {
        let Content { paths, .. } = self.spec().content_of(name);
        if paths.is_empty() {
            let mut mistake = self.nobody.clone();
            mistake.message = format!("{} {name}", mistake.message);
            return Err(vec![mistake]);
        }
        let absent = self.absent(&paths, tree);
        if absent.is_empty() { parse::parse(&Folders::new(tree, &paths), context) } else { Err(absent) }
    }

    /// Of these folders, those that the tree hasn't, each as a mistake at the place that names it.
    pub fn absent(&self, folders: &BTreeSet<String>, tree: &dyn Tree) -> Vec<Diagnostic> {
        let files = tree.files();
        let parents = |path: &str| path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect::<Vec<_>>();
        let there: BTreeSet<String> = files.iter().flat_map(|file| parents(&file.path)).collect();
        let absent = folders.iter().filter(|folder| !there.contains(*folder));
        let say = |folder: &String| {
            let mut mistake = self.absent.get(folder)?.clone();
            mistake.message += &suggest(folder, there.iter().map(String::as_str));
            Some(mistake)
        };
        absent.filter_map(say).collect()
    }

    /// Every folder that a rule names.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.absent.keys().map(String::as_str)
    }
}

/// What is said of a document of this kind that isn't in `fleet.yaml`.
pub(crate) fn elsewhere(kind: &str) -> String {
    format!("a {kind} belongs into `{FILE}` at the root of a fleet's repository, which a hub reads: take it out here")
}
