//! Where on the way from one commit to another the signers changed.

use super::objects::{NotRead, oid};
use crate::{protocol::ObjectId, trust::way};
use abide_git::{Oid, Repository};
use abide_spec::fleet;

/// The commits, oldest first, whose `fleet.yaml` has a higher version of signers than the one before.
pub(super) fn between(repository: &Repository, from: ObjectId, to: ObjectId) -> Result<Vec<ObjectId>, NotRead> {
    let way = way(repository, oid(from), oid(to)).map_err(|why| NotRead::no_way(why, to))?;
    let mut before = (None, None);
    let mut rotations = Vec::new();
    for (n, commit) in [oid(from)].into_iter().chain(way.into_iter().rev()).enumerate() {
        let file = file(repository, commit);
        let version = if before.0 == file { before.1 } else { file.and_then(|file| version(repository, file)) };
        if n > 0 && version > before.1 {
            rotations.push(ObjectId(commit.as_bytes().try_into().unwrap_or_default()));
        }
        before = (file, version);
    }
    Ok(rotations)
}

fn file(repository: &Repository, commit: Oid) -> Option<Oid> {
    Some(repository.find_commit(commit).ok()?.tree().ok()?.get_name(fleet::FILE)?.id())
}

/// None: it names no signers, or is no such file.
fn version(repository: &Repository, file: Oid) -> Option<u32> {
    let blob = repository.find_blob(file).ok()?;
    let parsed = fleet::parse(fleet::FILE, blob.content()).ok()?;
    Some(parsed.fleet.1.signers?.version)
}
