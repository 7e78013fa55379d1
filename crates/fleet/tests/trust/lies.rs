//! A hub that lies. The machine accepted `<first>` and `<head>`, signed by `a`; then comes the lie. Whatever it is, the
//! machine says what is wrong, what it remembers stays the same byte by byte, and its head can be read and taken as before.

use crate::world::{Draft, FLEET, Files, Fleet, Honest, OTHER_FLEET, Patient, World, signer, target, volume};
use abide_fleet::{
    protocol::{Frame, ObjectId, ObjectKind, Target},
    trust::{Hub, HubError},
};
use abide_reconcile::Wish;

/// What the machine has seen.
struct Past {
    /// A commit before all that it took.
    root: ObjectId,
    first: ObjectId,
    head: ObjectId,
}

/// How the hub lies about the objects.
enum Lie {
    /// It doesn't: the target itself is against the rules.
    No,
    /// To each question for a chain it answers with these.
    Chain(Vec<ObjectId>),
    /// For an object it sends another one.
    Instead(ObjectId, Frame),
    /// It lacks one.
    Without(ObjectId),
    /// It sends one that nobody asked for.
    Beside(Frame),
}

type Case = (&'static str, fn(&mut World, &Past) -> (Target, Lie));

struct Lying<'a> {
    honest: Honest<'a>,
    lie: &'a Lie,
}

impl Hub for Lying<'_> {
    fn chain(&self, from: ObjectId, to: ObjectId) -> Result<Vec<Frame>, HubError> {
        let Lie::Chain(chain) = self.lie else { return self.honest.chain(from, to) };
        let begin = chain.iter().position(|id| *id == to).unwrap_or_default();
        Ok(chain[begin..].iter().take(10_000).map(|id| self.honest.world.objects[id].clone()).collect())
    }

    fn objects(&self, want: &[ObjectId]) -> Result<Vec<Frame>, HubError> {
        let mut frames = Vec::new();
        for id in want {
            match self.lie {
                Lie::Without(lacks) if id == lacks => {}
                Lie::Instead(of, frame) if id == of => frames.push(frame.clone()),
                _ => frames.extend(self.honest.objects(&[*id])?),
            }
        }
        if let Lie::Beside(frame) = self.lie {
            frames.push(frame.clone());
        }
        Ok(frames)
    }
}

fn blob(content: &str) -> Frame {
    Frame { kind: ObjectKind::Blob, content: content.as_bytes().to_vec() }
}

fn next(past: &Past) -> Draft {
    Draft::after(Some(past.head), "next").file("base/more.yaml", &volume("more"))
}

/// The honest next commit, about which the hub lies.
fn about(world: &mut World, past: &Past, lie: impl FnOnce(&mut World, ObjectId) -> Lie) -> (Target, Lie) {
    let commit = world.commit(next(past));
    let lie = lie(world, commit);
    (target(commit), lie)
}

/// The commit itself is the lie.
fn of(world: &mut World, draft: Draft) -> (Target, Lie) {
    (target(world.commit(draft)), Lie::No)
}

/// A commit whose machine's folder is this tree.
fn with_folder(world: &mut World, past: &Past, folder: ObjectId) -> (Target, Lie) {
    let draft = next(past);
    let file = world.blob(&draft.fleet.text());
    let tree = world.raw_tree(&[("40000", "base", folder), ("100644", "fleet.yaml", file)]);
    (target(world.commit_of(tree, &draft)), Lie::No)
}

/// A folder of these entries, all of one file.
fn with_entries(world: &mut World, past: &Past, entries: &[(&str, &str)]) -> (Target, Lie) {
    let file = world.blob("x");
    let entries: Vec<_> = entries.iter().map(|(mode, name)| (*mode, *name, file)).collect();
    let folder = world.raw_tree(&entries);
    with_folder(world, past, folder)
}

fn a_tree_of(world: &World, commit: ObjectId) -> ObjectId {
    abide_fleet::trust::object::Commit::parse(&world.objects[&commit].content).unwrap().tree
}

/// The newest set is `b`'s, and the machine knows it.
fn rotated(world: &mut World, past: &Past) -> ObjectId {
    let draft = Draft::after(Some(past.head), "b takes over").fleet(Fleet::signed_by(2, b"b"));
    let commit = world.commit(draft);
    world.take(commit).unwrap();
    commit
}

/// A machine whose fleet wants tags.
fn tagged(world: &mut World, past: &Past) -> Draft {
    let fleet = Fleet { signers: Some((2, "Tag", b"a".to_vec())), ..Fleet::signed_by(2, b"a") };
    let commit = world.commit(Draft::after(Some(past.head), "tags from now on").fleet(fleet.clone()));
    world.take(commit).unwrap();
    Draft::after(Some(commit), "next").fleet(fleet)
}

const CASES: &[Case] = &[
    // -- another commit than one that follows
    ("an older commit, that never ran here", |_, past| (target(past.root), Lie::No)),
    ("a sibling of the head", |world, past| of(world, Draft::after(Some(past.first), "sibling"))),
    ("another history", |world, _| of(world, Draft::after(None, "another root"))),
    ("no such commit", |_, _| (target(ObjectId([7; 20])), Lie::No)),
    ("a commit of another repository", |world, past| {
        of(world, next(past).fleet(Fleet { id: OTHER_FLEET, ..Fleet::signed_by(1, b"a") }))
    }),
    // -- chains
    ("a chain from something else", |world, past| {
        let other = world.commit(Draft::after(Some(past.head), "other"));
        about(world, past, |_, _| Lie::Chain(vec![other]))
    }),
    ("a chain with a hole", |world, past| {
        let middle = world.commit(Draft::after(Some(past.head), "middle"));
        let sibling = world.commit(Draft::after(Some(past.first), "sibling"));
        (target(sibling), Lie::Chain(vec![sibling, middle]))
    }),
    ("a chain whose commit has other parents", |world, past| {
        let sibling = world.commit(Draft::after(Some(past.first), "sibling"));
        let forged = world.commit(Draft::after(Some(past.head), "sibling, forged"));
        (target(sibling), Lie::Chain(vec![forged]))
    }),
    ("a chain that goes on past its end", |world, past| {
        about(world, past, |_, commit| Lie::Chain(vec![commit, past.head]))
    }),
    ("a chain that stands still", |world, past| {
        let sibling = world.commit(Draft::after(Some(past.first), "sibling"));
        (target(sibling), Lie::Chain(vec![sibling]))
    }),
    ("a chain of nothing", |world, past| about(world, past, |_, _| Lie::Chain(Vec::new()))),
    ("a chain with a file in it", |world, past| {
        let file = world.blob("x");
        about(world, past, |_, _| Lie::Chain(vec![file]))
    }),
    ("a chain without an end", |world, _| {
        let who = "A <a@b> 0 +0000";
        let tree = world.raw_tree(&[]);
        let mut chain = Vec::new();
        for n in 0..=100_000 {
            let parent = chain.last().map(|parent| format!("parent {parent}\n")).unwrap_or_default();
            let text = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{n}\n");
            chain.push(world.put(ObjectKind::Commit, text));
        }
        chain.reverse();
        (target(chain[0]), Lie::Chain(chain))
    }),
    // -- objects
    ("another file", |world, past| {
        let file = world.blob(&volume("more"));
        about(world, past, |_, _| Lie::Instead(file, blob("something else")))
    }),
    ("another commit", |world, past| {
        let other = world.commit(Draft::after(Some(past.head), "other"));
        about(world, past, |world, commit| Lie::Instead(commit, world.objects[&other].clone()))
    }),
    ("a folder as a file", |world, past| {
        let file = world.blob(&volume("more"));
        let content = world.objects[&file].content.clone();
        about(world, past, |_, _| Lie::Instead(file, Frame { kind: ObjectKind::Tree, content }))
    }),
    ("a file lacks", |world, past| {
        let file = world.blob(&volume("more"));
        about(world, past, |_, _| Lie::Without(file))
    }),
    ("the root folder lacks", |world, past| about(world, past, |world, commit| Lie::Without(a_tree_of(world, commit)))),
    ("the commit lacks", |world, past| about(world, past, |_, commit| Lie::Without(commit))),
    ("more than was asked for", |world, past| about(world, past, |_, _| Lie::Beside(blob("more")))),
    ("an entry that says file and is a folder", |world, past| {
        let folder = world.raw_tree(&[]);
        let base = world.raw_tree(&[("100644", "a.yaml", folder)]);
        with_folder(world, past, base)
    }),
    ("an entry that says folder and is a file", |world, past| {
        let file = world.blob("x");
        let base = world.raw_tree(&[("40000", "a", file)]);
        with_folder(world, past, base)
    }),
    ("a huge file", |world, past| {
        let file = world.put(ObjectKind::Blob, vec![0; (64 << 20) + 1]);
        let base = world.raw_tree(&[("100644", "a", file)]);
        with_folder(world, past, base)
    }),
    ("a huge folder", |world, past| {
        let base = world.put(ObjectKind::Tree, vec![b'0'; (16 << 20) + 1]);
        with_folder(world, past, base)
    }),
    ("a huge commit", |world, past| {
        let mut draft = next(past);
        draft.message = "m".repeat(1 << 20);
        of(world, draft)
    }),
    ("folders without end", |world, past| {
        let mut folder = world.raw_tree(&[]);
        for _ in 0..150 {
            folder = world.raw_tree(&[("40000", "d", folder)]);
        }
        with_folder(world, past, folder)
    }),
    ("a folder ten times in each of ten folders, six deep", |world, past| {
        let mut folder = world.raw_tree(&[]);
        for _ in 0..6 {
            let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
            let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_str(), folder)).collect();
            folder = world.raw_tree(&entries);
        }
        with_folder(world, past, folder)
    }),
    ("an entry called ..", |world, past| with_entries(world, past, &[("100644", "..")])),
    ("an entry called .git", |world, past| with_entries(world, past, &[("100644", ".Git")])),
    ("an entry called a/b", |world, past| with_entries(world, past, &[("100644", "a/b")])),
    ("a name twice", |world, past| with_entries(world, past, &[("100644", "a"), ("100644", "a")])),
    ("entries out of order", |world, past| with_entries(world, past, &[("100644", "b"), ("100644", "a")])),
    ("a mode that there isn't", |world, past| with_entries(world, past, &[("107777", "a")])),
    // -- fleet.yaml
    ("no fleet.yaml", |world, past| {
        let tree = world.tree(&Files::from([("base/a.yaml".to_owned(), volume("a"))]));
        (target(world.commit_of(tree, &next(past))), Lie::No)
    }),
    ("fleet.yaml is a link", |world, past| of(world, next(past).file("fleet.yaml", "->base/volume.yaml"))),
    ("fleet.yaml is broken", |world, past| of(world, next(past).file("fleet.yaml", "kind: Fleet\n"))),
    ("fleet.yaml is huge", |world, past| {
        let draft = next(past);
        let text = format!("{}#{}\n", draft.fleet.text(), "-".repeat(4 << 20));
        of(world, draft.file("fleet.yaml", &text))
    }),
    // -- who signs
    ("not signed", |world, past| of(world, next(past).by(None))),
    ("signed by nobody we know", |world, past| of(world, next(past).by(Some(b'x')))),
    ("signed by who wrote themselves in", |world, past| {
        of(world, next(past).by(Some(b'x')).fleet(Fleet::signed_by(2, b"x")))
    }),
    ("signed for something else than Git", |world, past| {
        let draft = next(past);
        let tree = world.tree(&Files::from([("fleet.yaml".to_owned(), draft.fleet.text())]));
        let signature = signer(b'a').sign("file", b"any");
        (target(world.commit_signed(tree, &draft, Some(&signature))), Lie::No)
    }),
    ("with the signature of another commit", |world, past| {
        let draft = next(past);
        let tree = world.tree(&Files::from([("fleet.yaml".to_owned(), draft.fleet.text())]));
        let signature = signer(b'a').sign("git", b"another commit");
        (target(world.commit_signed(tree, &draft, Some(&signature))), Lie::No)
    }),
    ("with no signature at all, but a text", |world, past| {
        let draft = next(past);
        let tree = world.tree(&Files::from([("fleet.yaml".to_owned(), draft.fleet.text())]));
        (target(world.commit_signed(tree, &draft, Some("-----BEGIN PGP SIGNATURE-----\n\nx\n"))), Lie::No)
    }),
    ("the signers are gone, and nobody signs for that", |world, past| {
        of(world, next(past).by(None).fleet(Fleet::unsigned()))
    }),
    ("the first signers, who didn't sign", |world, past| {
        let none = world.commit(next(past).fleet(Fleet::unsigned()));
        world.take(none).unwrap();
        of(world, Draft::after(Some(none), "next").fleet(Fleet::signed_by(2, b"b")).by(None))
    }),
    ("signed by who signed before", |world, past| {
        let commit = rotated(world, past);
        of(world, Draft::after(Some(commit), "next").fleet(Fleet::signed_by(2, b"b")))
    }),
    ("a set that skips the one between", |world, past| {
        let two = Draft::after(Some(past.head), "two").fleet(Fleet::signed_by(2, b"b")).by(Some(b'x'));
        let two = world.commit(two);
        let three = Draft::after(Some(two), "three").fleet(Fleet::signed_by(3, b"c")).by(Some(b'b'));
        let three = world.commit(three);
        let last = Draft::after(Some(three), "last").fleet(Fleet::signed_by(3, b"c")).by(Some(b'c'));
        let mut target = target(world.commit(last));
        target.rotations = vec![three];
        (target, Lie::No)
    }),
    ("rotations that are not on the way", |world, past| {
        let aside = Draft::after(Some(past.first), "aside").fleet(Fleet::signed_by(2, b"b"));
        let aside = world.commit(aside);
        let draft = next(past).fleet(Fleet::signed_by(2, b"b")).by(Some(b'b'));
        let mut target = target(world.commit(draft));
        target.rotations = vec![aside];
        (target, Lie::No)
    }),
    ("other signers of the same version", |world, past| of(world, next(past).fleet(Fleet::signed_by(1, b"ab")))),
    ("the old signers, after they handed over on the way", |world, past| {
        let two = world.commit(Draft::after(Some(past.head), "two").fleet(Fleet::signed_by(2, b"b")));
        let mut target = target(world.commit(Draft::after(Some(two), "back to one")));
        target.rotations = vec![two];
        (target, Lie::No)
    }),
    ("signers of an older version", |world, past| {
        let commit = rotated(world, past);
        of(world, Draft::after(Some(commit), "next").by(Some(b'b')))
    }),
    ("signers of an older version, after there were none", |world, past| {
        let commit = rotated(world, past);
        let none = world.commit(Draft::after(Some(commit), "none").fleet(Fleet::unsigned()).by(Some(b'b')));
        world.take(none).unwrap();
        of(world, Draft::after(Some(none), "next"))
    }),
    // -- tags
    ("no tag", |world, past| {
        let draft = tagged(world, past);
        of(world, draft)
    }),
    ("a tag of another commit", |world, past| {
        let draft = tagged(world, past);
        let tag = world.tag(draft.parents[0], "commit", Some(b'a'));
        let commit = world.commit(draft);
        (Target { tag: Some(tag), ..target(commit) }, Lie::No)
    }),
    ("a tag that nobody signed", |world, past| {
        let commit = tagged(world, past);
        let commit = world.commit(commit);
        let tag = world.tag(commit, "commit", None);
        (Target { tag: Some(tag), ..target(commit) }, Lie::No)
    }),
    ("a tag that somebody else signed", |world, past| {
        let draft = tagged(world, past);
        let commit = world.commit(draft);
        let tag = world.tag(commit, "commit", Some(b'x'));
        (Target { tag: Some(tag), ..target(commit) }, Lie::No)
    }),
    ("the commit itself as its tag", |world, past| {
        let draft = tagged(world, past);
        let commit = world.commit(draft);
        (Target { tag: Some(commit), ..target(commit) }, Lie::No)
    }),
    ("a tag of a folder", |world, past| {
        let draft = tagged(world, past);
        let commit = world.commit(draft);
        let tag = world.tag(a_tree_of(world, commit), "tree", Some(b'a'));
        (Target { tag: Some(tag), ..target(commit) }, Lie::No)
    }),
    ("a tag as the commit", |world, past| {
        let commit = world.commit(next(past));
        let tag = world.tag(commit, "commit", Some(b'a'));
        (target(tag), Lie::Chain(vec![tag]))
    }),
    ("other signers by a tag alone", |world, past| {
        let draft =
            tagged(world, past).by(None).fleet(Fleet { signers: Some((3, "Tag", b"b".to_vec())), ..Fleet::unsigned() });
        let commit = world.commit(draft);
        let tag = world.tag(commit, "commit", Some(b'a'));
        (Target { tag: Some(tag), ..target(commit) }, Lie::No)
    }),
    // -- back
    ("one that ran, below the floor", |world, past| {
        let fleet = Fleet { floor: Some(past.head), ..Fleet::signed_by(1, b"a") };
        let commit = world.commit(next(past).fleet(fleet));
        world.take(commit).unwrap();
        (target(past.first), Lie::No)
    }),
    ("one that ran, below the floor, with a chain that shows nothing", |world, past| {
        let fleet = Fleet { floor: Some(past.head), ..Fleet::signed_by(1, b"a") };
        let commit = world.commit(next(past).fleet(fleet));
        world.take(commit).unwrap();
        (target(past.first), Lie::Chain(vec![commit]))
    }),
    // -- a history that was rewritten
    ("instead of another commit", |world, past| {
        let fleet = Fleet { replaces: vec![past.root, ObjectId([9; 20])], ..Fleet::signed_by(1, b"a") };
        of(world, Draft::after(None, "new history").fleet(fleet))
    }),
    ("instead of the head, says nobody", |world, past| {
        let fleet = Fleet { replaces: vec![past.head], ..Fleet::signed_by(1, b"a") };
        of(world, Draft::after(None, "new history").fleet(fleet).by(None))
    }),
    ("instead of the head, says somebody else", |world, past| {
        let fleet = Fleet { replaces: vec![past.head], ..Fleet::signed_by(2, b"x") };
        of(world, Draft::after(None, "new history").fleet(fleet).by(Some(b'x')))
    }),
    ("instead of the head, in a fleet without signers", |world, past| {
        let none = world.commit(next(past).fleet(Fleet::unsigned()));
        world.take(none).unwrap();
        let fleet = Fleet { replaces: vec![none], ..Fleet::unsigned() };
        of(world, Draft::after(None, "new history").fleet(fleet).by(None))
    }),
    // -- what can be taken by nobody: mistakes of the tree
    ("a folder that is not there", |world, past| {
        of(world, next(past).fleet(Fleet { paths: "nowhere", ..Fleet::signed_by(1, b"a") }))
    }),
    ("a document that is a link out of the repository", |world, past| {
        of(world, next(past).file("base/out.yaml", "->../../etc/passwd"))
    }),
    ("a Secret that everybody can read", |world, past| {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n";
        of(world, next(past).file("base/secret.yaml", text))
    }),
    ("a document with a mistake", |world, past| of(world, next(past).file("base/bad.yaml", "kind: Volum\n"))),
];

/// The same about the first commit of a new machine, whose owner named nobody who must sign it.
type FirstCase = (&'static str, fn(&mut World) -> Target);

const FIRST_CASES: &[FirstCase] = &[
    ("not signed by whom it names", |world| target(world.commit(Draft::after(None, "first").by(None)))),
    ("signed by somebody else", |world| target(world.commit(Draft::after(None, "first").by(Some(b'x'))))),
    ("no tag of whom it names", |world| {
        let fleet = Fleet { signers: Some((1, "Tag", b"a".to_vec())), ..Fleet::unsigned() };
        target(world.commit(Draft::after(None, "first").fleet(fleet)))
    }),
    ("handed over by nobody", |world| {
        let before = world.commit(Draft::after(None, "before"));
        let hands_over = Draft::after(Some(before), "first").fleet(Fleet::signed_by(2, b"b"));
        target(world.commit(hands_over.by(Some(b'x'))))
    }),
    ("handed over to a set of an older version", |world| {
        let before = world.commit(Draft::after(None, "before").fleet(Fleet::signed_by(2, b"b")));
        target(world.commit(Draft::after(Some(before), "first").by(Some(b'b'))))
    }),
    ("handed over by the set before the one before", |world| {
        let oldest = world.commit(Draft::after(None, "oldest"));
        let before = world.commit(Draft::after(Some(oldest), "before").fleet(Fleet::signed_by(2, b"b")));
        target(world.commit(Draft::after(Some(before), "first").fleet(Fleet::signed_by(3, b"c"))))
    }),
];

fn past(world: &mut World) -> Past {
    let root = world.commit(Draft::after(None, "root"));
    let first = world.commit(Draft::after(Some(root), "first"));
    let head = world.commit(Draft::after(Some(first), "head"));
    world.take(first).unwrap();
    world.take(head).unwrap();
    Past { root, first, head }
}

#[test]
fn every_lie_is_refused_with_the_reason_and_changes_nothing() {
    assert_eq!(FLEET.len(), 32);
    let mut told = String::new();
    for (name, lie) in CASES {
        let mut world = World::new();
        let past = past(&mut world);
        let (target, lie) = lie(&mut world, &past);
        let before = world.remembered();
        let mut trust = world.trust();
        let hub = Lying { honest: Honest::of(&world), lie: &lie };
        let reason = match trust.take(&target, &hub, &Patient) {
            Err(error) => error.to_string(),
            Ok(taken) => match taken.revision.wish {
                Wish::Refused(why) => format!("mistakes: {why}"),
                _ => panic!("{name}: it was taken"),
            },
        };
        told += &format!("{name}:\n    {}\n", world.told(&reason).replace('\n', "\n    "));
        assert_eq!(world.remembered(), before, "{name}");
        let head = trust.state().head.as_ref().unwrap().commit;
        drop(trust);
        let mut again = world.trust();
        assert!(matches!(again.reopen(head).unwrap().revision.wish, Wish::Complete(_)), "{name}: the head is whole");
        again.take(&crate::world::target(head), &Honest::of(&world), &Patient).unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_first_commit_that_its_own_signers_did_not_sign_is_refused() {
    let mut told = String::new();
    for (name, lie) in FIRST_CASES {
        let mut world = World::new();
        let target = lie(&mut world);
        let taken = world.trust().take(&target, &Honest::of(&world), &Patient);
        let reason = taken.expect_err(name).to_string();
        told += &format!("{name}:\n    {}\n", world.told(&reason).replace('\n', "\n    "));
        assert_eq!(world.remembered(), "", "{name}");
    }
    insta::assert_snapshot!(told);
}
