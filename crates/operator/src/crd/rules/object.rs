//! Whole objects: their names, which node they are for, and what may not become of them.

use super::word::{BYTES, is_name};
use crate::crd::rule::{FIRST, Rule};
use abide_spec::{Kind, kind::VolumeForm, words};

/// What a node's agent does with a volume that is to be elsewhere would be a loss: its data stays where it is.
const VOLUME_MOVES: &str = "a volume's data is on its node and can't be moved: make a volume of another name there";

pub(super) fn rules() -> Vec<(&'static str, Rule)> {
    let name = || Rule::about(is_name("self.metadata.name"), &words::no_name(FIRST), &["self.metadata.name"]);
    let mut rules: Vec<_> = Kind::WRITTEN.map(|kind| (kind.as_str(), name())).into();
    rules.extend(volume().map(|rule| (Kind::Volume.as_str(), rule)));
    rules
}

/// There is data only where the volume had a node.
fn volume() -> [Rule; 4] {
    let had_node = "oldSelf.?spec.?node.hasValue()";
    let form = |of: &str| format!("{of}.?spec.?form.orValue('Directory')");
    let becomes = |is: VolumeForm, wanted: VolumeForm| {
        let (old, new) = (form("oldSelf"), form("self"));
        let cel = format!("!{had_node} || {old} != '{is:?}' || {new} != '{wanted:?}'");
        Rule::new(cel, words::other_form(is, wanted)).at(".spec.form")
    };
    let size = |of: &str| format!("string({of}.spec.size)");
    let (old, new) = (size("oldSelf"), size("self"));
    [
        Rule::new(
            format!("!{had_node} || has(self.spec) && has(self.spec.node) && self.spec.node == oldSelf.spec.node"),
            VOLUME_MOVES,
        )
        .at(".spec.node"),
        becomes(VolumeForm::Directory, VolumeForm::Disk),
        becomes(VolumeForm::Disk, VolumeForm::Directory),
        Rule::new(
            format!(
                "!{had_node} || !oldSelf.?spec.?size.hasValue() || !self.?spec.?size.hasValue() || \
                 !{old}.matches(r'{BYTES}') || !{new}.matches(r'{BYTES}') || \
                 !quantity({new}).isLessThan(quantity({old}))"
            ),
            words::DISK_SHRINKS,
        )
        .at(".spec.size"),
    ]
}
