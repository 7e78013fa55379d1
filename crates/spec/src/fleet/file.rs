//! `fleet.yaml`, read and checked.

use super::{Content, FILE, FleetSpec, Labels, RolloutSpec, check};
use crate::{
    diagnostic::{Diagnostic, suggest},
    document::{Body, Document, Part::Key},
    id::Name,
    parse::{self, Context, Parsed},
    tree::{Files, Folders, Tree},
    yaml,
};
use std::collections::{BTreeMap, BTreeSet};

/// Folders that aren't there, and are said to be so: each is compared with all that are.
const ABSENT_MAX: usize = 100;

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
        let files = Files::of(tree);
        let absent = self.absent(paths.iter(), &files);
        if absent.is_empty() { parse::parse(&Folders::new(tree, &files, &paths), context) } else { Err(absent) }
    }

    /// Checks what the whole fleet gets by this file, so far as names tell ([`FleetSpec::contents`]), in the fleet's whole
    /// `tree`. Gives the number of different units, or every mistake once.
    pub fn check(&self, tree: &dyn Tree, context: Context<'_>) -> Result<usize, Vec<Diagnostic>> {
        let files = Files::of(tree);
        let mut mistakes: BTreeSet<Diagnostic> = self.absent(self.absent.keys(), &files).into_iter().collect();
        let mut units = BTreeSet::new();
        for folders in self.spec().contents() {
            match parse::parse(&Folders::new(tree, &files, &folders), context) {
                Ok(parsed) => units.extend(parsed.units.iter().map(|unit| (unit.id.clone(), unit.digest()))),
                Err(found) => mistakes.extend(found),
            }
        }
        if mistakes.is_empty() { Ok(units.len()) } else { Err(mistakes.into_iter().collect()) }
    }

    /// Of these folders, those that none of the files is in, each as a mistake at the place that names it.
    fn absent<'a>(&self, folders: impl Iterator<Item = &'a String>, files: &Files) -> Vec<Diagnostic> {
        let say = |folder: &String| {
            let mut mistake = self.absent.get(folder)?.clone();
            mistake.message += &suggest(folder, files.folders());
            Some(mistake)
        };
        folders.filter(|folder| files.below(folder).next().is_none()).filter_map(say).take(ABSENT_MAX).collect()
    }
}

/// What is said of a document of this kind that isn't in `fleet.yaml`.
pub(crate) fn elsewhere(kind: &str) -> String {
    format!("a {kind} belongs into `{FILE}` at the root of a fleet's repository, which a hub reads: take it out here")
}
