//! Whether the fleet may go on from one commit to another: forward, unless the new tree says that its history takes the
//! place of another.
//!
//! Machines check the same for themselves, and the signatures besides. What they would refuse isn't rolled out.

use abide_git::{Oid, Repository};

/// What a commit's tree says of its history.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claims<'a> {
    /// No machine goes back to what is older.
    pub(super) floor: Option<&'a str>,
    /// Heads of histories that this one takes the place of.
    pub(super) replaces: &'a [String],
}

/// Why it may not, for people.
pub(super) fn refuse(cache: &Repository, from: Option<Oid>, to: Oid, claims: Claims<'_>) -> Option<String> {
    if let Some(from) = from
        && !descends(cache, to, from)
        && !claims.replaces.iter().any(|head| takes_place(cache, head, from))
    {
        return Some(format!(
            "it doesn't descend from {from}, which is in force: machines go forward only. To undo commits, push a \
             `git revert` of them; if the history was rewritten on purpose, add {from} to `replaces` in fleet.yaml, and sign \
             the commit where the fleet has signers"
        ));
    }
    let floor = claims.floor?;
    let is_above = Oid::from_str(floor).is_ok_and(|floor| descends(cache, to, floor));
    (!is_above).then(|| {
        format!("its fleet.yaml has the floor {floor}, and it doesn't descend from that: no machine would take it")
    })
}

/// Whether `commit` is `ancestor`, or descends from it.
fn descends(cache: &Repository, commit: Oid, ancestor: Oid) -> bool {
    commit == ancestor || cache.graph_descendant_of(commit, ancestor).unwrap_or_default()
}

/// Whether who says to replace `head` means a history that `from` is in.
fn takes_place(cache: &Repository, head: &str, from: Oid) -> bool {
    Oid::from_str(head).is_ok_and(|head| descends(cache, head, from))
}
