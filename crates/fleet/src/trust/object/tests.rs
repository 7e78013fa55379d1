use super::*;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use proptest::prelude::*;

/// The beginnings of the two files of <https://shattered.io>, that have one SHA-1.
const SHATTERED: [&str; 2] = [
    "JVBERi0xLjMKJeLjz9MKCgoxIDAgb2JqCjw8L1dpZHRoIDIgMCBSL0hlaWdodCAzIDAgUi9UeXBlIDQgMCBSL1N1YnR5cGUgNSAwIFIvRmls\
    dGVyIDYgMCBSL0NvbG9yU3BhY2UgNyAwIFIvTGVuZ3RoIDggMCBSL0JpdHNQZXJDb21wb25lbnQgOD4+CnN0cmVhbQr/2P/+ACRTSEEtMSBp\
    cyBkZWFkISEhISGFL+wJIzl1nDmxocY8TJfh//4Bc0bckWa2fhGPApq2IbJWD/nKZ8yox/hbqEx5AwwrPeIY+G2zqQkB1d9FwU8m/t+z3Djp\
    asIv571yjw5FvOBG0jxXD+sUE5i7VS71oKgr4zH+pIA3uLXXHw4zLt+TrDUA603cDezBqGR5DHgsdiFWYN0wl5HQa9CvP5jNpLxGKbE=",
    "JVBERi0xLjMKJeLjz9MKCgoxIDAgb2JqCjw8L1dpZHRoIDIgMCBSL0hlaWdodCAzIDAgUi9UeXBlIDQgMCBSL1N1YnR5cGUgNSAwIFIvRmls\
    dGVyIDYgMCBSL0NvbG9yU3BhY2UgNyAwIFIvTGVuZ3RoIDggMCBSL0JpdHNQZXJDb21wb25lbnQgOD4+CnN0cmVhbQr/2P/+ACRTSEEtMSBp\
    cyBkZWFkISEhISGFL+wJIzl1nDmxocY8TJfh//4Bf0bck6a2fgE7ApqqHbJWC0XKZ9aIx/hLjEx5H+ArPfYU+G2xaQkBxWtFwVMK/t+3YDjp\
    cnIv561yjw5JBOBGwjBXD+nUE5ir4S71vJQr4zVCpIAtmLXXDyozLsN/rDUU503cDyzBqHTNDHgwWiFWZGEwl4lga9C/P5jNqARGKaE=",
];

#[test]
fn what_was_made_to_collide_has_no_name() {
    let files = SHATTERED.map(|text| BASE64.decode(text).unwrap());
    assert_ne!(files[0], files[1]);
    for file in &files {
        assert_eq!(sha1(&[file]), Err(BadObject::Collision));
    }
    let plain = sha1(&[b"blob 0\0"]).unwrap();
    assert_eq!(plain.to_string(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "Git's name of an empty file");
}

#[test]
fn what_is_too_big_is_not_even_hashed() {
    let frame = Frame { kind: ObjectKind::Tag, content: vec![0; COMMIT_BYTES_MAX + 1] };
    let bad = name(&frame).unwrap_err();
    assert_eq!(bad.to_string(), "a tag of 1048577 bytes: at most 1048576 are read");
}

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const WHO: &str = "Anna <anna@example.org> 1700000000 +0100";

fn commit(middle: &str) -> Result<Commit, BadObject> {
    Commit::parse(format!("tree {ID}\n{middle}author {WHO}\ncommitter {WHO}\n\nOne line\n\nMore.\n").as_bytes())
}

#[test]
fn a_commit() {
    let read = commit(&format!("parent {ID}\nparent {ID}\n")).unwrap();
    assert_eq!((read.parents.len(), read.committed_at, read.summary.as_str()), (2, 1_700_000_000, "One line"));
    assert_eq!(read.signed, None);
}

#[test]
fn what_is_signed_is_the_commit_without_its_signature() {
    let whole = format!("tree {ID}\nauthor {WHO}\ncommitter {WHO}\ngpgsig one\n two\n \n three\nencoding x\n\nText\n");
    let (payload, signature) = Commit::parse(whole.as_bytes()).unwrap().signed.unwrap();
    assert_eq!(String::from_utf8(payload).unwrap(), whole.replace("gpgsig one\n two\n \n three\n", ""));
    assert_eq!(signature, "one\ntwo\n\nthree");
}

#[test]
fn commits_that_git_does_not_write() {
    let fields = |fields: &str| format!("tree {ID}\nauthor {WHO}\ncommitter {WHO}\n{fields}\nText\n");
    let cases = [
        (String::new(), "it doesn't begin with its tree"),
        (format!("author {WHO}\ntree {ID}\ncommitter {WHO}\n\n"), "it doesn't begin with its tree"),
        (format!("tree {}\nauthor {WHO}\ncommitter {WHO}\n\n", ID.to_uppercase()), "it doesn't begin with its tree"),
        (format!("tree {ID}\n more\nauthor {WHO}\ncommitter {WHO}\n\n"), "it doesn't begin with its tree"),
        (format!("tree {ID}\nparent 12\nauthor {WHO}\ncommitter {WHO}\n\n"), "a parent that is no id"),
        (format!("tree {ID}\nauthor {WHO}\nparent {ID}\ncommitter {WHO}\n\n"), "it has no committer in its place"),
        (format!("tree {ID}\nauthor {WHO}\ncommitter Anna <a@b> soon +0100\n\n"), "its committer has no time"),
        (fields(&format!("parent {ID}\n")), "a field that is there twice"),
        (fields("gpgsig a\ngpgsig b\n"), "it has more than one signature"),
        (fields("gpgsig a\ngpgsig-sha256 b\n"), "it has more than one signature"),
        (fields("\0"), "it has a NUL"),
        (format!("tree {ID}\nauthor"), "its header has no form"),
        (
            format!("tree {ID}\n{}author {WHO}\ncommitter {WHO}\n\n", format!("parent {ID}\n").repeat(257)),
            "it has more than 256 parents",
        ),
    ];
    for (text, why) in cases {
        assert_eq!(Commit::parse(text.as_bytes()), Err(BadObject::Commit(why)), "{text}");
    }
}

#[test]
fn tags_that_are_none_of_a_commit() {
    let tag = |kind: &str, more: &str| format!("object {ID}\ntype {kind}\ntag v1\ntagger {WHO}\n{more}\nText\n");
    assert_eq!(Tag::parse(tag("commit", "").as_bytes()), Ok(Tag { commit: ID.parse().unwrap(), signed: None }));
    let signed = tag("commit", "") + "-----BEGIN SSH SIGNATURE-----\nx\n-----BEGIN SSH SIGNATURE-----\ny\n";
    let (payload, signature) = Tag::parse(signed.as_bytes()).unwrap().signed.unwrap();
    assert_eq!(signature, "-----BEGIN SSH SIGNATURE-----\ny\n", "the last one signs all before it");
    assert_eq!(payload.len() + signature.len(), signed.len());
    let inside = tag("commit", "") + "say -----BEGIN SSH SIGNATURE-----\n";
    assert_eq!(Tag::parse(inside.as_bytes()).unwrap().signed, None, "within a line it is none");
    for (text, why) in [
        (tag("tag", ""), "it is not of a commit"),
        (tag("blob", ""), "it is not of a commit"),
        (tag("commit", "gpgsig-sha256 a\n"), "it has a field that tags don't have"),
        (format!("type commit\nobject {ID}\n\n"), "it doesn't begin with what it is of"),
    ] {
        assert_eq!(Tag::parse(text.as_bytes()), Err(BadObject::Tag(why)), "{text}");
    }
}

fn tree(entries: &[(&str, &str)]) -> Result<Tree, BadObject> {
    let entry = |(mode, name): &(&str, &str)| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[7; 20]].concat();
    Tree::parse(&entries.iter().flat_map(entry).collect::<Vec<u8>>())
}

#[test]
fn a_folder() {
    assert_eq!(tree(&[]), Ok(Tree(Vec::new())));
    let read = tree(&[("100644", "a.b"), ("40000", "a"), ("100755", "a0"), ("120000", "l"), ("160000", "s")]).unwrap();
    let kinds: Vec<_> = read.0.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::File, EntryKind::Folder, EntryKind::File, EntryKind::Link, EntryKind::Submodule]);
    assert_eq!(read.get("a").unwrap().id, ObjectId([7; 20]));
}

#[test]
fn folders_that_git_does_not_write() {
    let long = "n".repeat(256);
    for (entries, why) in [
        (&[("100644", "b"), ("100644", "a")][..], "its entries are not in order"),
        (&[("40000", "a"), ("100644", "a.b")], "its entries are not in order"),
        (&[("100644", "a"), ("100644", "a")], "its entries are not in order"),
        (&[("100644", "a"), ("100644", "a.b"), ("40000", "a")], "it has a name twice"),
        (&[("100644", "..")], "an entry that is called `.` or `..`"),
        (&[("40000", ".")], "an entry that is called `.` or `..`"),
        (&[("40000", ".git")], "an entry that is called `.git`"),
        (&[("40000", ".GIT")], "an entry that is called `.git`"),
        (&[("100644", "GIT~1")], "an entry that is called `.git`"),
        (&[("100644", "a/b")], "an entry whose name is a path"),
        (&[("100644", "")], "an entry without a name"),
        (&[("100644", &long)], "a name that doesn't end, or is longer than 255 bytes"),
        (&[("040000", "a")], "a mode that Git doesn't write"),
        (&[("100666", "a")], "a mode that Git doesn't write"),
        (&[("10064444444", "a")], "an entry without a mode"),
    ] {
        assert_eq!(tree(entries), Err(BadObject::Tree(why)), "{entries:?}");
    }
    assert_eq!(Tree::parse(b"100644 a\x001234"), Err(BadObject::Tree("it ends within an entry")));
}

proptest! {
    #[test]
    fn no_bytes_can_hurt(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(tree|object|parent|gpgsig|[ \n0-9a-f])*") {
        drop((Commit::parse(&bytes), Tag::parse(&bytes), Tree::parse(&bytes)));
        drop((Commit::parse(text.as_bytes()), Tag::parse(text.as_bytes())));
    }
}
