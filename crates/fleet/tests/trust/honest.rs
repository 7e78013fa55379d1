//! An honest hub, and one whose line is bad.

use crate::world::{Draft, Fleet, Honest, Patient, World, owner_says, target, volume};
use abide_fleet::{
    protocol::{Frame, ObjectId, Target},
    trust::{Hub, HubError, NotTaken, Refused, Taken, Trust, age, state::RAN_MAX},
};
use abide_reconcile::{Attend, Progress, Wish};
use std::{cell::Cell, collections::BTreeSet, fs, path::PathBuf};

fn units(taken: &Taken) -> Vec<String> {
    match &taken.revision.wish {
        Wish::Complete(complete) => complete.units().keys().map(|unit| unit.name.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

/// Nobody is there.
struct Away;

impl Hub for Away {
    fn chain(&self, _: ObjectId, _: ObjectId) -> Result<Vec<Frame>, HubError> {
        Err(HubError::Unreachable("the hub is away".to_owned()))
    }

    fn objects(&self, _: &[ObjectId]) -> Result<Vec<Frame>, HubError> {
        Err(HubError::Unreachable("the hub is away".to_owned()))
    }
}

fn take(world: &World, trust: &mut Trust, commit: ObjectId) -> Result<Taken, NotTaken> {
    trust.take(&target(commit), &Honest::of(world), &Patient)
}

#[test]
fn forward_over_many_commits_and_back_to_what_ran() {
    let mut world = World::new();
    let mut trust = world.trust();
    let mut commits = vec![world.commit(Draft::after(None, "0"))];
    for n in 1..20 {
        let draft =
            Draft::after(commits.last().copied(), &n.to_string()).file("base/n.yaml", &volume(&format!("n{n}")));
        commits.push(world.commit(draft));
    }
    let taken = take(&world, &mut trust, commits[2]).unwrap();
    assert_eq!(
        (taken.summary.as_str(), taken.committed_at, units(&taken)),
        ("2", 1_700_000_000, vec!["data".to_owned(), "n2".to_owned()])
    );
    assert_eq!(taken.paths, BTreeSet::from(["base".to_owned()]));
    let taken = take(&world, &mut trust, commits[19]).unwrap();
    assert_eq!(units(&taken), ["data", "n19"], "it jumps, past all between");
    let taken = take(&world, &mut trust, commits[2]).unwrap();
    assert_eq!(
        (units(&taken), trust.state().head.as_ref().unwrap().commit),
        (vec!["data".to_owned(), "n2".to_owned()], commits[19])
    );
    assert_eq!(trust.state().ran, [commits[2], commits[19]]);
    take(&world, &mut trust, commits[19]).unwrap();
    let error = take(&world, &mut trust, commits[3]).unwrap_err();
    assert!(matches!(error, NotTaken::Refused(why) if matches!(*why, Refused::Fork { .. })), "it never ran this one");
}

#[test]
fn nothing_is_asked_for_twice() {
    let mut world = World::new();
    let first = world.commit(Draft::after(None, "first").file("base/a.yaml", &volume("a")));
    let second = world.commit(
        Draft::after(Some(first), "second").file("base/a.yaml", &volume("a")).file("base/b.yaml", &volume("b")),
    );
    let mut trust = world.trust();
    take(&world, &mut trust, first).unwrap();
    let hub = Honest::of(&world);
    trust.take(&target(second), &hub, &Patient).unwrap();
    let asked = hub.asked.into_inner();
    // The commit, its root, the folder and the new file: fleet.yaml and the others are here.
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn no_number_that_was_ever_said_is_in_the_way_of_the_next_commit() {
    let mut world = World::new();
    let first = world.commit(Draft::after(None, "first"));
    let skipped = world.commit(Draft::after(Some(first), "skipped"));
    let head = world.commit(Draft::after(Some(skipped), "head"));
    let next = world.commit(Draft::after(Some(head), "next"));
    let mut trust = world.trust();
    let mut told = |number: u64, commit: ObjectId| {
        let taken = trust.take(&Target { number, ..target(commit) }, &Honest::of(&world), &Patient);
        taken.map(|_| (trust.state().number, trust.state().head.as_ref().unwrap().commit))
    };
    let is_earlier = |taken: Result<_, NotTaken>| matches!(taken, Err(NotTaken::Earlier { .. }));
    told(5, first).unwrap();
    told(6, head).unwrap();
    // As an old backup has it: nobody is sent back, and nobody takes it for a fork.
    assert!(is_earlier(told(4, first)) && is_earlier(told(5, skipped)));
    assert!(matches!(told(7, skipped), Err(NotTaken::Refused(_))), "what is said now is no old story");
    // A thief, or a clock of another century, who says what the machine has anyway.
    assert_eq!(told(u64::MAX, head).unwrap(), (u64::MAX, head));
    assert_eq!(told(8, head).unwrap(), (u64::MAX, head), "what it is on it may be on, whoever says so");
    assert!(is_earlier(told(8, first)));
    // The next commit is taken all the same, and from then on numbers count again.
    assert_eq!(told(9, next).unwrap(), (9, next));
    assert_eq!(told(10, first).unwrap(), (10, next));
    assert!(is_earlier(told(9, next)), "it went back from this one later");
}

/// A hub that goes away after so many objects.
struct Cut<'a> {
    honest: Honest<'a>,
    left: Cell<usize>,
}

impl Hub for Cut<'_> {
    fn chain(&self, from: ObjectId, to: ObjectId) -> Result<Vec<Frame>, HubError> {
        self.honest.chain(from, to)
    }

    fn objects(&self, want: &[ObjectId]) -> Result<Vec<Frame>, HubError> {
        if self.left.get() == 0 {
            return Err(HubError::Unreachable("cut".to_owned()));
        }
        self.left.set(self.left.get() - 1);
        self.honest.objects(&want[..1])
    }
}

#[test]
fn a_line_that_is_cut_all_the_time_gets_there() {
    let mut world = World::new();
    let mut draft = Draft::after(None, "first");
    for n in 0..10 {
        draft = draft.file(&format!("base/d{n}/v.yaml"), &volume(&format!("v{n}")));
    }
    let first = world.commit(draft);
    let mut tries = 0;
    loop {
        tries += 1;
        let hub = Cut { honest: Honest::of(&world), left: Cell::new(1) };
        // Each time as after a crash.
        match world.trust().take(&target(first), &hub, &Patient) {
            Ok(taken) => break assert_eq!(units(&taken).len(), 11),
            Err(NotTaken::Hub(_)) => assert_eq!(world.remembered(), ""),
            Err(other) => panic!("{other}"),
        }
    }
    // The commit, the root, fleet.yaml, base, ten folders, eleven files: one a try.
    assert_eq!(tries, 25);
}

#[test]
fn what_was_taken_is_read_again_without_a_hub() {
    let mut world = World::new();
    let first = world.commit(Draft::after(None, "first"));
    let second = world.commit(Draft::after(Some(first), "second").file("base/b.yaml", &volume("b")));
    world.take(first).unwrap();
    world.take(second).unwrap();
    let mut trust = world.trust();
    assert_eq!(units(&trust.reopen(second).unwrap()), ["b", "data"]);
    assert_eq!(units(&trust.reopen(first).unwrap()), ["data"]);
    assert!(matches!(trust.reopen(ObjectId([1; 20])), Err(NotTaken::Incomplete { .. })));
    assert_eq!(units(&trust.take(&target(first), &Away, &Patient).unwrap()), ["data"], "also a target, if it is here");
    let third = world.commit(Draft::after(Some(second), "third"));
    assert!(matches!(trust.take(&target(third), &Away, &Patient), Err(NotTaken::Hub(_))));
}

#[test]
fn signers_hand_over() {
    let mut world = World::new();
    let one = world.commit(Draft::after(None, "one"));
    let two = world.commit(Draft::after(Some(one), "two").fleet(Fleet::signed_by(2, b"ab")));
    let middle =
        world.commit(Draft::after(Some(two), "nobody signs every commit").fleet(Fleet::signed_by(2, b"ab")).by(None));
    let broken = world.commit(Draft::after(Some(middle), "broken").file("fleet.yaml", "kind: Fleet").by(None));
    let three = world.commit(Draft::after(Some(broken), "three").fleet(Fleet::signed_by(3, b"c")).by(Some(b'b')));
    let last = world.commit(Draft::after(Some(three), "last").fleet(Fleet::signed_by(3, b"c")).by(Some(b'c')));
    for rotations in [vec![two, three], vec![three, two, one], vec![], vec![two], vec![three]] {
        let world = World {
            folder: tempfile::tempdir().unwrap(),
            names: Default::default(),
            objects: world.objects.clone(),
            identity: world.identity.clone(),
        };
        world.take(one).unwrap();
        let told = Target { rotations: rotations.clone(), ..target(last) };
        let mut trust = world.trust();
        trust.take(&told, &Honest::of(&world), &Patient).unwrap_or_else(|error| panic!("{rotations:?}: {error}"));
        assert_eq!((trust.state().signers_version, trust.state().signers.as_ref().unwrap().version), (3, 3));
    }
}

#[test]
fn the_first_commit_is_signed_by_whom_the_owner_named() {
    let mut world = World::new();
    let good = world.commit(Draft::after(None, "good"));
    let newer = world.commit(Draft::after(Some(good), "newer").fleet(Fleet::signed_by(2, b"b")));
    let bad = world.commit(Draft::after(None, "bad").by(Some(b'x')).fleet(Fleet::signed_by(1, b"x")));
    for (commit, is_taken) in [(good, true), (newer, true), (bad, false)] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = world.settings();
        (settings.directory, settings.signers) = (folder.path().to_owned(), Some(owner_says(1, b"a")));
        let taken = take(&world, &mut Trust::open(settings).unwrap(), commit);
        assert_eq!(taken.is_ok(), is_taken, "{taken:?}");
    }
    world.take(bad).unwrap();
}

#[test]
fn a_new_machine_begins_with_a_commit_that_hands_over() {
    let tags = |version, letter: u8| Fleet { signers: Some((version, "Tag", vec![letter])), ..Fleet::unsigned() };
    for (before, after) in [(Fleet::signed_by(1, b"a"), Fleet::signed_by(2, b"b")), (tags(1, b'a'), tags(2, b'b'))] {
        let mut world = World::new();
        let aside = world.commit(Draft::after(None, "aside").fleet(Fleet::unsigned()).by(None));
        let first = world.commit(Draft::after(None, "first").fleet(before));
        let mut merge = Draft::after(Some(aside), "hands over").fleet(after.clone());
        merge.parents.push(first);
        let merge = world.commit(merge);
        let tag = Some(world.tag(merge, "commit", Some(b'a')));
        world.trust().take(&Target { tag, ..target(merge) }, &Honest::of(&world), &Patient).unwrap();
        // From then on it is up to the next set.
        for (by, is_taken) in [(b'a', false), (b'b', true)] {
            let next = world.commit(Draft::after(Some(merge), "next").fleet(after.clone()).by(Some(by)));
            let tag = Some(world.tag(next, "commit", Some(by)));
            let taken = world.trust().take(&Target { tag, ..target(next) }, &Honest::of(&world), &Patient);
            assert_eq!(taken.is_ok(), is_taken, "{taken:?}");
        }
    }
}

#[test]
fn a_tag_is_enough_where_tags_are_asked_for() {
    let mut world = World::new();
    let fleet = Fleet { signers: Some((1, "Tag", b"a".to_vec())), ..Fleet::unsigned() };
    let first = world.commit(Draft::after(None, "first").fleet(fleet.clone()).by(None));
    let second = world.commit(Draft::after(Some(first), "second").fleet(fleet).by(None));
    for commit in [first, second] {
        let tag = world.tag(commit, "commit", Some(b'a'));
        let told = Target { tag: Some(tag), ..target(commit) };
        world.trust().take(&told, &Honest::of(&world), &Patient).unwrap();
    }
}

#[test]
fn a_history_that_was_rewritten_on_purpose() {
    let mut world = World::new();
    let old = world.commit(Draft::after(None, "old"));
    let older = world.commit(Draft::after(Some(old), "one more").fleet(Fleet::signed_by(2, b"b")));
    let fleet = Fleet { replaces: vec![older], ..Fleet::signed_by(2, b"b") };
    let new = world.commit(Draft::after(None, "new").fleet(fleet.clone()).by(Some(b'b')));
    let next = world.commit(Draft::after(Some(new), "next").fleet(Fleet { floor: Some(new), ..fleet }).by(Some(b'b')));
    // One machine is at the end of the old history, another one is behind.
    for at in [vec![old, older, next], vec![old, next], vec![older, new, next]] {
        let world = World {
            folder: tempfile::tempdir().unwrap(),
            names: Default::default(),
            objects: world.objects.clone(),
            identity: world.identity.clone(),
        };
        for commit in &at {
            world.take(*commit).unwrap_or_else(|error| panic!("{at:?}: {error}"));
        }
        let back = world.take(at[0]).unwrap_err();
        assert!(
            matches!(back, NotTaken::Refused(why) if matches!(*why, Refused::Floor { .. })),
            "the old one is below the floor"
        );
    }
}

#[test]
fn merging_the_old_history_is_a_way_without_signers() {
    let mut world = World::new();
    let old = world.commit(Draft::after(None, "old").fleet(Fleet::unsigned()).by(None));
    let new = world.commit(Draft::after(None, "new").fleet(Fleet::unsigned()).by(None));
    let mut merge = Draft::after(Some(new), "merge").fleet(Fleet::unsigned()).by(None);
    merge.parents.push(old);
    let merge = world.commit(merge);
    world.take(old).unwrap();
    assert!(world.take(new).is_err());
    world.take(merge).unwrap();
}

#[test]
fn a_value_that_is_sealed_for_the_machine_is_opened_there_alone() {
    let mut world = World::new();
    let sealed = |to: &age::Identity| {
        let armored = age::encrypt(&[to.recipient()], b"hunter2").unwrap();
        let lines: Vec<String> = armored.lines().map(|line| format!("      {line}\n")).collect();
        format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Secret\nmetadata: {{name: db}}\nspec:\n  data:\n    password: |\n{}",
            lines.concat()
        )
    };
    let web = "apiVersion: abide.dev/v1alpha1\nkind: Container\nmetadata: {name: web}\nspec:\n  image: registry.example.org/web:1\n  env: {PASSWORD: {secret: db, key: password}}\n";
    let ours = sealed(&world.identity);
    let theirs = sealed(&age::Identity::generate().unwrap());
    let good = world.commit(Draft::after(None, "good").file("base/web.yaml", web).file("base/db.yaml", &ours));
    let bad = world.commit(Draft::after(Some(good), "bad").file("base/web.yaml", web).file("base/db.yaml", &theirs));
    let taken = world.take(good).unwrap();
    let Wish::Complete(complete) = &taken.revision.wish else { panic!("{:?}", taken.revision.wish) };
    assert!(!format!("{complete:?}").contains("hunter2"), "it is masked as every secret");
    let before = world.remembered();
    let taken = world.take(bad).unwrap();
    let Wish::Refused(why) = &taken.revision.wish else { panic!("it can't be opened") };
    assert!(why.contains("not encrypted for age1"), "{why}");
    assert_eq!(world.remembered(), before);
}

#[test]
fn links_lead_to_what_other_folders_have() {
    let mut world = World::new();
    let draft = Draft::after(None, "first")
        .file("base/shared.yaml", "->../shared/more/s.yaml")
        .file("base/folder", "->../shared/all")
        .file("base/dangling", "->nowhere")
        .file("base/through", "->../unrelated/../shared/aside")
        .file("base/loop", "->loop")
        .file("base/.gitignore", "x")
        .file("base/.hidden/y", "y")
        .file("shared/all/x.yaml", &volume("x"))
        .file("shared/aside/w.yaml", &volume("w"))
        .file("shared/more", "->deep/deeper")
        .file("shared/deep/deeper/s.yaml", &volume("s"))
        .file("unrelated/u.yaml", &volume("u"));
    let first = world.commit(draft);
    let taken = world.take(first).unwrap();
    assert_eq!(units(&taken), ["data", "s", "w", "x"]);
    let unrelated = world.blob(&volume("u"));
    assert!(
        !abide_fleet::trust::objects::Objects::open(world.folder.path()).unwrap().has(unrelated),
        "only what it needs"
    );
}

#[test]
fn what_is_no_longer_needed_goes() {
    let mut world = World::new();
    let mut trust = world.trust();
    let mut commits: Vec<ObjectId> = Vec::new();
    for n in 0..120 {
        let draft =
            Draft::after(commits.last().copied(), &n.to_string()).file("base/n.yaml", &volume(&format!("n{n}")));
        let commit = world.commit(draft);
        take(&world, &mut trust, commit).unwrap();
        commits.push(commit);
    }
    let objects = abide_fleet::trust::objects::Objects::open(world.folder.path()).unwrap();
    assert!(objects.packs().unwrap() < 100);
    assert!(!objects.has(commits[10]));
    assert_eq!(trust.state().ran.len(), RAN_MAX);
    for commit in &commits[110..] {
        trust.reopen(*commit).unwrap();
    }
    take(&world, &mut trust, commits[60]).unwrap();
    assert_eq!(units(&trust.reopen(commits[60]).unwrap()), ["data", "n60"], "it is had again");
}

/// Somebody goes back to another commit while a target is taken: what the one writes, the other leaves alone.
#[test]
fn what_is_read_again_is_not_tidied_up_under_a_writers_hands() {
    let mut world = World::new();
    let first = world.commit(Draft::after(None, "first"));
    world.take(first).unwrap();
    let at = |name: &str| world.folder.path().join(name);
    let reopened = || Trust::to_reopen(world.settings()).and_then(|trust| trust.reopen(first));
    fs::create_dir(at("repo.git.new")).unwrap();
    fs::write(at("repo.git/objects/pack/pack_git2_abc"), "under way").unwrap();
    let before = disk(&world);
    assert_eq!(units(&reopened().unwrap()), ["data"]);
    // Between the two renames by which a repository takes the other's place.
    fs::rename(at("repo.git"), at("repo.git.old")).unwrap();
    assert_eq!(units(&reopened().unwrap()), ["data"]);
    fs::rename(at("repo.git.old"), at("repo.git")).unwrap();
    assert_eq!((disk(&world), at("repo.git.new").exists()), (before, true));
    // A machine that has nothing has nothing to read.
    fs::remove_dir_all(at("repo.git")).unwrap();
    assert!(matches!(reopened(), Err(NotTaken::Objects(_))));
    assert!(!at("repo.git").exists());
}

/// Bytes and names of all that the machine has on its disk.
fn disk(world: &World) -> Vec<(String, u64)> {
    let mut folders = vec![world.folder.path().to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.metadata().unwrap() {
                metadata if metadata.is_dir() => folders.push(entry.path()),
                metadata => files.push((entry.path().display().to_string(), metadata.len())),
            }
        }
    }
    files.sort();
    files
}

#[test]
fn what_is_refused_before_it_is_needed_leaves_nothing_behind() {
    let mut world = World::new();
    let head = world.commit(Draft::after(None, "head"));
    world.take(head).unwrap();
    let before = disk(&world);
    let noise =
        |n: u64| (0..200_000_u64).map(move |k| format!("# {:x}\n", (k + n).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    for n in 0..3 {
        let text = Fleet::signed_by(1, b"a").text() + &noise(n << 40).collect::<String>();
        let unsigned = Draft::after(Some(head), &format!("unsigned {n}")).by(None).file("fleet.yaml", &text);
        let unsigned = world.commit(unsigned);
        // Where the hub goes away before it can be judged, what came is kept aside, of one target alone.
        let hub = Cut { honest: Honest::of(&world), left: Cell::new(2) };
        assert!(matches!(world.trust().take(&target(unsigned), &hub, &Patient), Err(NotTaken::Hub(_))));
        assert_eq!(disk(&world).len(), before.len() + 1);
        if n > 0 {
            assert!(matches!(world.take(unsigned), Err(NotTaken::Refused(_))));
            assert_eq!(disk(&world), before, "{n}");
        }
    }
}

/// Wherever a copy of the objects is to be made, something is in its way: there may be no room for it at all.
struct InTheWay<'a> {
    honest: Honest<'a>,
    path: PathBuf,
}

impl Hub for InTheWay<'_> {
    fn chain(&self, from: ObjectId, to: ObjectId) -> Result<Vec<Frame>, HubError> {
        self.honest.chain(from, to)
    }

    fn objects(&self, want: &[ObjectId]) -> Result<Vec<Frame>, HubError> {
        fs::write(&self.path, "in the way").unwrap();
        self.honest.objects(want)
    }
}

#[test]
fn that_nothing_can_be_forgotten_is_no_reason_to_take_nothing() {
    let mut world = World::new();
    let mut trust = world.trust();
    let in_the_way = world.folder.path().join("repo.git.new");
    let mut last = None;
    for n in 0..110 {
        let draft = Draft::after(last, &n.to_string()).file("base/n.yaml", &volume(&format!("n{n}")));
        let commit = world.commit(draft);
        fs::write(&in_the_way, "in the way").unwrap();
        let hub = InTheWay { honest: Honest::of(&world), path: in_the_way.clone() };
        trust.take(&target(commit), &hub, &Patient).unwrap();
        last = Some(commit);
    }
    assert!(!in_the_way.exists(), "what was tried is removed");
    assert_eq!(trust.state().ran.first().copied(), last);
    drop(trust);
    assert_eq!(units(&world.trust().reopen(last.unwrap()).unwrap()), ["data", "n109"]);
}

struct Impatient;

impl Attend for Impatient {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        true
    }
}

#[test]
fn nobody_waits_any_more() {
    let mut world = World::new();
    let first = world.commit(Draft::after(None, "first"));
    let taken = world.trust().take(&target(first), &Honest::of(&world), &Impatient);
    assert!(matches!(taken, Err(NotTaken::Cancelled)));
}
