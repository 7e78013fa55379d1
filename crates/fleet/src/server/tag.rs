//! Which tag of a commit a machine is shown, where its fleet wants one that is signed.

use super::objects::{Help, oid};
use crate::{
    protocol::{ObjectId, Target},
    trust::foresee,
};
use abide_git::{Repository, Tags};
use std::path::Path;

/// What helps on a way, with the tag that a machine needs there: of several, one that those signed who may.
///
/// None: the commit isn't here, or no such tag of it. Another process of the hub may have it already, so it is coming. A
/// machine that were told without it would refuse the commit for good.
pub(super) fn of(
    repository: &Repository,
    directory: &Path,
    fleet: &str,
    (from, to): (Option<ObjectId>, ObjectId),
    rotations: Vec<ObjectId>,
) -> Option<Help> {
    repository.find_commit(oid(to)).ok()?;
    let judged = |tag| {
        let target = Target { number: 0, commit: to, tag, rotations: rotations.clone(), spread: 1 };
        foresee(directory, fleet, from, &target)
    };
    // A list that can't be read is as one that isn't there.
    let tags = Tags::read(directory).unwrap_or_default();
    let tags: Vec<ObjectId> =
        tags.of(oid(to)).filter_map(|tag| Some(ObjectId(tag.as_bytes().try_into().ok()?))).collect();
    // Whatever else is wrong, the machine will say.
    let is_right = |tag: &Option<ObjectId>| !judged(*tag).is_err_and(|why| why.wants_tag());
    let tag = tags.into_iter().map(Some).chain([None]).find(is_right)?;
    Some(Help { tag, rotations })
}
