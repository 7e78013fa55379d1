//! Kind `Fleet`: who is in it, and what each machine gets.

use super::{Commit, FleetId, Folder, Glob, Labels, SignerKey, has_all};
use crate::{
    decode::{Decode, Decoder, object},
    id::Name,
    yaml::Node,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A fleet: what machines hold on to, and which of its repository's folders each of them runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetSpec {
    /// Which fleet this is. Drawn by `abide hub init`; a machine takes no commit with another one.
    pub id: FleetId,
    /// No machine goes back to a commit that is older than this one.
    #[serde(default)]
    pub floor: Option<Commit>,
    /// Of a history that was rewritten on purpose: the last commits of those that this one takes the place of.
    #[serde(default)]
    pub replaces: Vec<Commit>,
    /// Who has to sign what machines take; nobody unless said.
    #[serde(default)]
    pub signers: Option<Signers>,
    /// What machines get by their names: every rule counts that has the name.
    #[serde(default)]
    pub machines: Vec<MachineRule>,
    /// What they get by the labels that `machines` gives them.
    #[serde(default)]
    pub content: Vec<ContentRule>,
}

object!(FleetSpec {
    id "id" required,
    floor "floor" optional,
    replaces "replaces" optional,
    signers "signers" optional,
    machines "machines" optional,
    content "content" optional,
});

/// Whose signatures count. A set takes the place of the present one in a commit that the present one signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signers {
    /// Grows by one with each change of the set, from 1 on.
    #[schemars(range(min = 1))]
    pub version: u32,
    /// What has to be signed; `Commit` unless said.
    #[serde(default)]
    pub require: Require,
    /// Public keys of OpenSSH; a signature by any of them will do.
    pub keys: Vec<SignerKey>,
}

object!(Signers { version "version" required, require "require" optional, keys "keys" required });

/// What has to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Require {
    /// The commit itself, as `git commit -S` does.
    #[default]
    Commit,
    /// A tag of it, as `git tag -s` makes one.
    Tag,
}

impl Decode for Require {
    fn decode(node: &Node, to: &mut Decoder<'_>) -> Option<Self> {
        to.word(node, &[("Commit", Self::Commit), ("Tag", Self::Tag)])
    }
}

/// What machines get by their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MachineRule {
    /// Whom it is about: names of machines, in which `*` stands for any text.
    pub names: Vec<Glob>,
    /// What `content` knows them by. Of two rules that give one label, the later counts.
    #[serde(default)]
    pub labels: Labels,
    /// Folders that they run.
    #[serde(default)]
    pub paths: Vec<Folder>,
}

object!(MachineRule { names "names" required, labels "labels" optional, paths "paths" optional });

/// What machines get by their labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContentRule {
    /// Labels that `machines` gives, all of which a machine must have. What the hub calls it doesn't count.
    pub labels: Labels,
    /// Folders that they run.
    pub paths: Vec<Folder>,
}

object!(ContentRule { labels "labels" required, paths "paths" required });

/// What a machine gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its labels in the tree.
    pub labels: Labels,
    /// The folders whose union it runs. None says that the fleet doesn't know it, not that it is to run nothing.
    pub paths: BTreeSet<String>,
}

impl FleetSpec {
    /// The sets of folders that machines get, so far as names tell: of each name that is written out, and of one that is
    /// like each pattern. A folder that is in none of them is a set by itself.
    pub fn contents(&self) -> BTreeSet<BTreeSet<String>> {
        let globs = self.machines.iter().flat_map(|rule| &rule.names);
        let names: BTreeSet<Name> = globs.filter_map(Glob::example).collect();
        let mut contents: BTreeSet<_> = names.iter().map(|name| self.content_of(name).paths).collect();
        contents.remove(&BTreeSet::new());
        let all = self.machines.iter().map(|rule| &rule.paths).chain(self.content.iter().map(|rule| &rule.paths));
        let mut left: BTreeSet<String> = all.flatten().map(Folder::to_string).collect();
        for folder in contents.iter().flatten() {
            left.remove(folder);
        }
        contents.extend(left.into_iter().map(|folder| [folder].into()));
        contents
    }

    /// What the machine of this name gets, by its name alone.
    pub fn content_of(&self, name: &Name) -> Content {
        let mut content = Content::default();
        for rule in self.machines.iter().filter(|rule| rule.names.iter().any(|glob| glob.matches(name))) {
            content.labels.extend(rule.labels.clone());
            content.paths.extend(rule.paths.iter().map(Folder::to_string));
        }
        for rule in self.content.iter().filter(|rule| has_all(&content.labels, &rule.labels)) {
            content.paths.extend(rule.paths.iter().map(Folder::to_string));
        }
        content
    }
}
