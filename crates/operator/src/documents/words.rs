//! Mistakes in words, for a condition of the object that has them.

use super::{DataName, Sort};
use abide_reconcile::SourceId;
use abide_spec::{Diagnostic, UnitId, UnitRef};

/// More of them help nobody at once.
const MISTAKES_MAX: usize = 8;

/// Which object a file of the tree is.
pub(super) fn object(file: &str) -> Option<UnitRef> {
    serde_json::from_value(file.strip_suffix(".yaml")?.into()).ok()
}

/// What is wrong with an object, who else is concerned, and what is written there if it is the object's own.
pub(super) fn mistake(mistake: &Diagnostic, of: &UnitId) -> String {
    let own = format!("{}/{}", of.kind, of.name);
    let files = mistake.related.iter().map(|related| &related.file).chain([&mistake.file]);
    let mut others: Vec<&str> =
        files.filter_map(|file| file.strip_suffix(".yaml")).filter(|file| *file != own).collect();
    others.sort_unstable();
    others.dedup();
    others.retain(|other| !mistake.message.contains(other));
    let mut text = mistake.message.clone();
    if !others.is_empty() {
        text += &format!(" (see {})", others.join(", "));
    }
    let line = mistake.text.trim().trim_end_matches([',', '{', '[']).trim_end();
    let is_own = mistake.file.strip_suffix(".yaml") == Some(&own);
    if is_own && line.contains(|c: char| c.is_alphanumeric()) {
        text += &format!(", at `{line}`");
    }
    text
}

/// All that is wrong with an object.
pub(super) fn together(mut mistakes: Vec<String>) -> String {
    let more = mistakes.len().saturating_sub(MISTAKES_MAX);
    mistakes.truncate(MISTAKES_MAX);
    if more > 0 {
        mistakes.push(format!("and {more} more mistakes"));
    }
    mistakes.join("; ")
}

/// Who has what an object would be.
pub(super) fn of_another(unit: &UnitId, source: &SourceId) -> String {
    format!(
        "source {source} of this node, which is called as the namespace is, wishes {}/{} too: rename one of the two, or give \
         that source up (`abide source remove {source}` on the node)",
        unit.kind, unit.name
    )
}

/// Why nothing can be read, and what lets agents read it.
pub(super) fn forbidden(name: &DataName) -> String {
    let remedy = match name.sort {
        Sort::ConfigMap => "the ClusterRole abide-agent of deploy/kubernetes allows it".to_owned(),
        Sort::Secret => format!(
            "`kubectl -n {} create rolebinding abide-secrets --clusterrole abide-secrets --serviceaccount \
             abide-system:abide-agent` allows it (an overlay with another namespace or names needs those)",
            name.scope
        ),
    };
    format!("{name} may not be read by the agents: {remedy}")
}
