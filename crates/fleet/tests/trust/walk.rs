//! What a machine brings is what it reads: whatever the tree is like, with the objects that the walk asked for the folders
//! read the same as with all objects there are.

use crate::world::{Draft, Files, Honest, World};
use abide_fleet::{
    protocol::ObjectId,
    trust::{Hub, objects::Objects, walk::Walk},
};
use abide_git::{Oid, Repository, Snapshot, tree::folders_of_commit};
use abide_spec::Tree;
use proptest::prelude::*;
use std::{collections::BTreeSet, path::Path};

/// Paths of few names, so that links meet something.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c.yaml", ".h"]), 1..4).prop_map(|parts| parts.join("/"))
}

fn content() -> impl Strategy<Value = String> {
    let target = prop::collection::vec(prop::sample::select(vec!["a", "b", "c.yaml", ".h", "..", ".", "", "x"]), 1..5);
    prop_oneof![
        2 => "[a-z]{1,3}",
        3 => target.prop_map(|parts| format!("->{}", parts.join("/"))),
    ]
}

/// Files none of which is a folder of another.
fn files() -> impl Strategy<Value = Files> {
    prop::collection::btree_map(path(), content(), 1..12).prop_map(|files| {
        let paths: BTreeSet<String> = files.keys().cloned().collect();
        let is_leaf = |path: &str| !paths.iter().any(|other| other.starts_with(&format!("{path}/")));
        files.into_iter().filter(|(path, content)| is_leaf(path) && content != "->").collect()
    })
}

fn read(directory: &Path, commit: ObjectId, folders: &BTreeSet<String>) -> Vec<String> {
    let repository = Repository::open_bare(directory.join("repo.git")).unwrap();
    let snapshot: Snapshot = folders_of_commit(repository, Oid::from_bytes(&commit.0).unwrap(), folders).unwrap();
    let show = |file: abide_spec::TreeFile| format!("{file:?}: {:?}", snapshot.read(&file.path));
    snapshot.files().into_iter().map(show).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn all_that_is_read_was_brought(files in files(), folders in prop::collection::btree_set(path(), 1..3)) {
        let mut world = World::new();
        let tree = world.tree(&files);
        let commit = world.commit_of(tree, &Draft::after(None, "any"));
        let (all, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut everything = Objects::open(all.path()).unwrap();
        for frame in world.objects.values() {
            everything.put(frame.clone()).unwrap();
        }
        everything.flush().unwrap();
        let mut objects = Objects::open(own.path()).unwrap();
        objects.put(world.objects[&commit].clone()).unwrap();
        let mut walk = Walk::new(tree, &folders);
        loop {
            let missing: Vec<ObjectId> = walk.go(&objects).unwrap().keys().copied().collect();
            if missing.is_empty() {
                break;
            }
            for frame in Honest::of(&world).objects(&missing).unwrap() {
                objects.put(frame).unwrap();
            }
        }
        objects.flush().unwrap();
        prop_assert_eq!(read(own.path(), commit, &folders), read(all.path(), commit, &folders));
        // And what is kept when the rest is forgotten is enough as well.
        let mut keep = walk.into_needs();
        keep.insert(commit);
        everything.retain(&keep).unwrap();
        prop_assert_eq!(read(own.path(), commit, &folders), read(all.path(), commit, &folders));
    }
}
