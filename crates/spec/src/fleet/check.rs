//! What `fleet.yaml` may not say though it can be read.

use super::{FILE, FleetSpec, Folder, Labels, RolloutSpec, Signers, WaveSpec, has_all};
use crate::{
    diagnostic::{Diagnostic, Place, Related, suggest},
    document::{
        Body, Document,
        Part::{self, Index, Key},
    },
    words,
    yaml::{File, Node},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Waves, keys, histories that were rewritten: nothing real comes near.
const LIST_MAX: usize = 1000;
/// A machine has to be told, and to tell.
const PROGRESS_MIN: Duration = Duration::from_secs(1);
/// Rules: one for each machine of a large fleet.
const RULES_MAX: usize = 20_000;

/// Checks all documents of the file. `is_whole` says that all could be read: only then can the fleet be missing.
pub(super) fn documents(file: &File, documents: &[Document<'_>], is_whole: bool, mistakes: &mut Vec<Diagnostic>) {
    let mut first: BTreeMap<(&str, &str), &Document<'_>> = BTreeMap::new();
    let mut earlier: Vec<(&str, &RolloutSpec)> = Vec::new();
    for document in documents {
        let (kind, name) = (document.body.kind(), document.metadata.name.as_str());
        let mut one = One { document, mistakes };
        // There may be one fleet, whatever its name, and one roll-out of a name.
        let key = if kind == "Fleet" { (kind, "") } else { (kind, name) };
        if let Some(other) = first.get(&key) {
            one.twice(other);
            continue;
        }
        match &document.body {
            Body::Fleet(spec) => one.fleet(spec),
            Body::Rollout(spec) => {
                one.rollout(spec, &earlier);
                earlier.push((name, spec));
            }
            Body::Broken("Fleet" | "Rollout") => {}
            _ => one.misplaced(kind),
        }
        first.insert(key, document);
    }
    if is_whole && !first.contains_key(&("Fleet", "")) {
        let text = "there is no document of kind Fleet; `abide hub init` prints one";
        mistakes.push(file.diagnostic(Place::default(), text));
    }
}

/// Every folder that a rule names, with the node that does.
pub(super) fn folders<'n>(
    spec: &FleetSpec,
    document: &'n Node,
) -> impl DoubleEndedIterator<Item = (Folder, &'n Node)> + use<'n> {
    let machines = spec.machines.iter().map(|rule| &rule.paths).enumerate().map(|(n, paths)| ("machines", n, paths));
    let content = spec.content.iter().map(|rule| &rule.paths).enumerate().map(|(n, paths)| ("content", n, paths));
    let mut folders = Vec::new();
    for (list, n, paths) in machines.chain(content) {
        for (m, folder) in paths.iter().enumerate() {
            let way = [Key("spec"), Key(list), Index(n), Key("paths"), Index(m)];
            let node = way.iter().try_fold(document, |node, part| part.of(node));
            folders.push((folder.clone(), node.unwrap_or(document)));
        }
    }
    folders.into_iter()
}

/// Checks of one document.
struct One<'d, 'f, 'm> {
    document: &'d Document<'f>,
    mistakes: &'m mut Vec<Diagnostic>,
}

impl One<'_, '_, '_> {
    fn say(&mut self, path: &[Part<'_>], text: impl Into<String>) {
        let mistake = self.document.mistake(self.document.place(&[&[Key("spec")], path].concat()), text);
        self.mistakes.push(mistake);
    }

    fn twice(&mut self, other: &Document<'_>) {
        let text = match self.document.body.kind() {
            "Fleet" => "a repository is of one fleet; remove one".to_owned(),
            kind => format!("there are two documents {kind}/{}; rename or remove one", self.document.metadata.name),
        };
        let mut mistake = self.document.mistake(self.document.name_place, text);
        let file = Arc::clone(&other.file.name);
        mistake.related.push(Related { file, place: other.name_place, message: "the other one is here".into() });
        self.mistakes.push(mistake);
    }

    fn misplaced(&mut self, kind: &str) {
        let text = match kind {
            "Source" => "a Source belongs to the machine, not to a repository: `abide enroll` writes it".to_owned(),
            _ => format!("a {kind} belongs into a folder that `machines` or `content` names, not into {FILE}"),
        };
        self.mistakes.push(self.document.mistake(self.document.name_place, text));
    }

    /// A list within its bound.
    fn bounded(&mut self, path: &[Part<'_>], count: usize, max: usize) {
        if count > max {
            self.say(path, words::too_many(count, max));
        }
    }

    fn fleet(&mut self, spec: &FleetSpec) {
        self.bounded(&[Key("replaces")], spec.replaces.len(), LIST_MAX);
        self.bounded(&[Key("machines")], spec.machines.len(), RULES_MAX);
        self.bounded(&[Key("content")], spec.content.len(), RULES_MAX);
        if let Some(signers) = &spec.signers {
            self.signers(signers);
        }
        for (n, rule) in spec.machines.iter().enumerate() {
            let at = [Key("machines"), Index(n)];
            if rule.names.is_empty() {
                self.say(&[at[0], at[1], Key("names")], "this is about nobody: name machines, or `*` for all");
            }
            if rule.paths.is_empty() && rule.labels.is_empty() {
                self.say(&at, "this gives nothing: write `paths`, `labels` or both");
            }
        }
        let labels = spec.machines.iter().flat_map(|rule| &rule.labels);
        let given: BTreeSet<String> = labels.map(|(key, value)| format!("{key}: {value}")).collect();
        for (n, rule) in spec.content.iter().enumerate() {
            let at = [Key("content"), Index(n)];
            if rule.labels.is_empty() {
                let text = "this has no labels: what all machines run is a rule of `machines`, with names: [\"*\"]";
                self.say(&[at[0], at[1], Key("labels")], text);
            }
            if rule.paths.is_empty() {
                self.say(&[at[0], at[1], Key("paths")], "this gives nothing: name a folder");
            }
            self.labels(n, &rule.labels, &given);
        }
    }

    fn signers(&mut self, signers: &Signers) {
        if signers.version == 0 {
            self.say(&[Key("signers"), Key("version")], words::AT_LEAST_ONE);
        }
        if signers.keys.is_empty() {
            let text = "nobody could sign then: name a key, or leave `signers` out";
            self.say(&[Key("signers"), Key("keys")], text);
        }
        self.bounded(&[Key("signers"), Key("keys")], signers.keys.len(), LIST_MAX);
        let mut seen = BTreeSet::new();
        for (n, key) in signers.keys.iter().enumerate() {
            if !seen.insert(key.without_comment()) {
                self.say(&[Key("signers"), Key("keys"), Index(n)], "this key is here twice; keep one");
            }
        }
    }

    /// Labels come from `machines` alone, so what is asked for must be given there.
    fn labels(&mut self, n: usize, labels: &Labels, given: &BTreeSet<String>) {
        for (key, value) in labels {
            let label = format!("{key}: {value}");
            if !given.contains(&label) {
                let hint = suggest(&label, given.iter().map(String::as_str));
                let text = format!("no rule of `machines` gives the label `{label}`{hint}");
                self.say(&[Key("content"), Index(n), Key("labels"), Key(key)], text);
            }
        }
    }

    fn rollout(&mut self, spec: &RolloutSpec, earlier: &[(&str, &RolloutSpec)]) {
        // What an earlier one has, this one can't have: a machine is in the first that selects it.
        if let Some((other, _)) = earlier.iter().find(|(_, other)| has_all(&spec.selector, &other.selector)) {
            let text = format!("no machine is left for this: Rollout `{other}`, which is before it, selects them all");
            self.say(&[Key("selector")], text);
        }
        if spec.progress_deadline.0 < PROGRESS_MIN {
            let text = "every commit would be bad before it could be brought: write 1s at least";
            self.say(&[Key("progressDeadline")], text);
        }
        self.bounded(&[Key("waves")], spec.waves.len(), LIST_MAX);
        for (n, wave) in spec.waves.iter().enumerate() {
            if matches!(wave, WaveSpec::Labels(labels) if labels.is_empty()) {
                let text = "this has no labels; who is left over is the last wave without saying so";
                self.say(&[Key("waves"), Index(n), Key("labels")], text);
            }
        }
    }
}
