//! What a machine brings is what it reads: whatever the tree is like, with the objects that the walk asked for the folders
//! read the same as with all objects there are.

use crate::world::{Draft, Files, Honest, World};
use abide_fleet::{
    protocol::{ObjectId, ObjectKind},
    trust::{
        Hub,
        objects::Objects,
        walk::{Walk, WalkError},
    },
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

/// A file of which a copy takes long, with a name in each of many places; and many folders at the end of a long path.
#[test]
fn what_is_small_to_send_is_little_to_read() {
    let mut world = World::new();
    let own = tempfile::tempdir().unwrap();
    let zeros = world.put(ObjectKind::Blob, vec![0; 8 << 20]);
    let names: Vec<String> = (0..20_000).map(|n| format!("{n:05}")).collect();
    let entries: Vec<_> = names.iter().map(|name| ("100644", name.as_str(), zeros)).collect();
    let tree = world.raw_tree(&entries);
    let mut objects = Objects::open(own.path()).unwrap();
    objects.put(world.objects[&tree].clone()).unwrap();
    let mut walk = Walk::new(tree, [&String::new()]);
    assert_eq!(walk.go(&objects, &|| false).unwrap().keys().collect::<Vec<_>>(), [&zeros]);
    objects.put(world.objects[&zeros].clone()).unwrap();
    objects.flush().unwrap();
    assert_eq!(walk.go(&objects, &|| true), Err(WalkError::Cancelled), "whatever there is to do");
    // 160 GB, if each name were a file of its own.
    assert!(walk.go(&objects, &|| false).unwrap().is_empty());
    assert_eq!(walk.into_needs(), [tree, zeros].into());

    // A link through each of two lists that together have more entries than a machine reads.
    let empty = world.raw_tree(&[]);
    let many: Vec<String> = (0..110_000).map(|n| format!("{n:06}")).collect();
    let list = |world: &mut World, last: &str| {
        let mut entries: Vec<_> = many.iter().map(|name| ("40000", name.as_str(), empty)).collect();
        entries.push(("40000", last, empty));
        world.raw_tree(&entries)
    };
    let (x, y) = (list(&mut world, "x"), list(&mut world, "y"));
    let to = ["../x/x", "../y/y"].map(|to| world.blob(to));
    let base = world.raw_tree(&[("120000", "x", to[0]), ("120000", "y", to[1])]);
    let root = world.raw_tree(&[("40000", "base", base), ("40000", "x", x), ("40000", "y", y)]);
    for id in [root, base, x, y, to[0], to[1]] {
        objects.put(world.objects[&id].clone()).unwrap();
    }
    let mut walk = Walk::new(root, [&"base".to_owned()]);
    assert!(matches!(walk.go(&objects, &|| false), Err(WalkError::TooMuch(_))));
}

/// With the objects that the walk asks for, these folders read the same as with all there are.
fn is_brought(files: &Files, folders: &BTreeSet<String>) {
    let mut world = World::new();
    let tree = world.tree(files);
    let commit = world.commit_of(tree, &Draft::after(None, "any"));
    let (all, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut everything = Objects::open(all.path()).unwrap();
    for frame in world.objects.values() {
        everything.put(frame.clone()).unwrap();
    }
    everything.flush().unwrap();
    let mut objects = Objects::open(own.path()).unwrap();
    objects.put(world.objects[&commit].clone()).unwrap();
    let mut walk = Walk::new(tree, folders);
    loop {
        let missing: Vec<ObjectId> = walk.go(&objects, &|| false).unwrap().keys().copied().collect();
        if missing.is_empty() {
            break;
        }
        for frame in Honest::of(&world).objects(&missing).unwrap() {
            objects.put(frame).unwrap();
        }
    }
    objects.flush().unwrap();
    let wanted = read(all.path(), commit, folders);
    assert_eq!(read(own.path(), commit, folders), wanted, "{files:?}, {folders:?}");
    // And what is kept when the rest is forgotten is enough as well.
    let mut keep = walk.into_needs();
    keep.insert(commit);
    everything.retain(&keep).unwrap();
    assert_eq!(read(all.path(), commit, folders), wanted, "{files:?}, {folders:?}");
}

/// Whether there is something, and what, is asked of its object, also where the way only leads through it.
#[test]
fn what_a_link_leads_through_is_brought() {
    type Case = (&'static [(&'static str, &'static str)], &'static str);
    const CASES: &[Case] = &[
        (&[(".h", "a"), ("b/a", "b"), ("c.yaml", "->.h/..")], "c.yaml/b"),
        (&[("b/l", "->../f/../g"), ("f/x", "f"), ("g/x.yaml", "g")], "b"),
        (&[("b/l", "->../f/x"), ("f", "a")], "b"),
        (&[("b/l", "->../f/x/../../g"), ("f/x", "->y"), ("f/y/z", "z"), ("g/x.yaml", "g")], "b"),
    ];
    for (files, folder) in CASES {
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
        is_brought(&files, &BTreeSet::from([(*folder).to_owned()]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn all_that_is_read_was_brought(files in files(), folders in prop::collection::btree_set(path(), 1..3)) {
        is_brought(&files, &folders);
    }
}
