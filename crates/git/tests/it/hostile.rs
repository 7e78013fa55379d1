//! Trees that no honest Git makes.

use crate::support::Place;
use abide_git::{Oid, Repository, Snapshot, SnapshotError, tree};
use abide_spec::Tree;

const BLOB: u32 = 0o100_644;
const LINK: u32 = 0o120_000;
const FOLDER: u32 = 0o040_000;
const SUBMODULE: u32 = 0o160_000;

struct Maker {
    repository: Repository,
    _place: Place,
}

impl Maker {
    fn new() -> Self {
        let place = Place::new();
        let repository = Repository::open_bare(place.path("bare.git")).unwrap();
        Self { repository, _place: place }
    }

    fn blob(&self, content: &[u8]) -> Oid {
        self.repository.blob(content).unwrap()
    }

    /// Any tree at all: the object is written as it is.
    fn tree(&self, entries: &[(u32, &[u8], Oid)]) -> Oid {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend(format!("{mode:o} ").into_bytes());
            bytes.extend(*name);
            bytes.push(0);
            bytes.extend(id.as_bytes());
        }
        self.repository.odb().unwrap().write(git2::ObjectType::Tree, &bytes).unwrap()
    }

    fn snapshot(&self, tree: Oid, path: &str) -> Result<Snapshot, SnapshotError> {
        let text = format!("tree {tree}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
        let commit = self.repository.odb().unwrap().write(git2::ObjectType::Commit, text.as_bytes()).unwrap();
        tree::of_commit(Repository::open_bare(self.repository.path()).unwrap(), commit, path)
    }

    fn folders(&self, tree: Oid, folders: &[&str]) -> String {
        let text = format!("tree {tree}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
        let commit = self.repository.odb().unwrap().write(git2::ObjectType::Commit, text.as_bytes()).unwrap();
        let repository = Repository::open_bare(self.repository.path()).unwrap();
        let folders = folders.iter().map(ToString::to_string).collect();
        show(tree::folders_of_commit(repository, commit, &folders))
    }

    fn show(&self, tree: Oid, path: &str) -> String {
        show(self.snapshot(tree, path))
    }
}

fn show(snapshot: Result<Snapshot, SnapshotError>) -> String {
    match snapshot {
        Ok(snapshot) => {
            let show = |file: &abide_spec::TreeFile| match &file.odd {
                Some(odd) => format!("{}: {odd}", file.path),
                None => format!("{} ({})", file.path, file.size),
            };
            snapshot.files().iter().map(show).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("error: {error}"),
    }
}

/// Several folders are one: files by their whole path, a document once, whatever else is in the repository left out.
#[test]
fn folders() {
    let maker = Maker::new();
    let link = |target: &str| maker.blob(target.as_bytes());
    let base = maker.tree(&[(BLOB, b"a.yaml", maker.blob(b"a")), (LINK, b"s.yaml", link("../shared/s.yaml"))]);
    let inner = maker.tree(&[(BLOB, b"i.yaml", maker.blob(b"i"))]);
    let host = maker.tree(&[(LINK, b"a.yaml", link("../base/a.yaml")), (FOLDER, b"inner", inner)]);
    let shared = maker.tree(&[(BLOB, b"other.yaml", maker.blob(b"o")), (BLOB, b"s.yaml", maker.blob(b"s"))]);
    let root = maker.tree(&[
        (LINK, b"alias", link("base")),
        (FOLDER, b"base", base),
        (FOLDER, b"host", host),
        (FOLDER, b"shared", shared),
    ]);
    let cases: &[(&[&str], &str)] = &[
        (&[], ""),
        (&["base"], "base/a.yaml (1)\nbase/s.yaml (1)"),
        (&["base", "host/"], "base/a.yaml (1)\nbase/s.yaml (1)\nhost/inner/i.yaml (1)"),
        (&["host"], "host/a.yaml (1)\nhost/inner/i.yaml (1)"),
        (&["host", "host/inner"], "host/a.yaml (1)\nhost/inner/i.yaml (1)"),
        (&["alias"], "alias/a.yaml (1)\nalias/s.yaml (1)"),
        (&["alias", "base"], "alias/s.yaml (1)\nbase/a.yaml (1)"),
        (&["base", "missing"], "base/a.yaml (1)\nbase/s.yaml (1)"),
        (&["base/a.yaml"], ""),
    ];
    for (folders, expected) in cases {
        assert_eq!(maker.folders(root, folders), *expected, "{folders:?}");
    }
}

/// As deep as a path can be: each level would know of all above, and call the next one.
#[test]
fn folders_without_end() {
    let maker = Maker::new();
    let mut folder = maker.tree(&[(BLOB, b"a.yaml", maker.blob(b"a"))]);
    for n in 0..2047 {
        folder = maker.tree(&[(FOLDER, b"d", folder)]);
        if n == 98 {
            let deep = "d/".repeat(99);
            assert_eq!(maker.show(folder, ""), format!("{deep}a.yaml (1)"));
        }
    }
    let shown = maker.show(folder, "");
    let deep = vec!["d"; 101].join("/");
    assert_eq!(
        shown,
        format!("error: folders more than 100 deep, in {deep}: point `path` to the folder of this machine")
    );
}

#[test]
fn links() {
    let maker = Maker::new();
    let link = |target: &str| maker.blob(target.as_bytes());
    let shared = maker.tree(&[(LINK, b"up", link("..")), (BLOB, b"x.yaml", maker.blob(b"x"))]);
    let host = maker.tree(&[
        (LINK, b"absolute", link("/etc/passwd")),
        (LINK, b"again.yaml", link("own.yaml")),
        (LINK, b"beside", link("own.yaml/../own.yaml")),
        (LINK, b"common", link("../shared")),
        (LINK, b"dangling", link("nowhere")),
        (LINK, b"empty", link("")),
        (LINK, b"git", link("../../.git/config")),
        (LINK, b"here", link(".")),
        (LINK, b"loop", link("loop2")),
        (LINK, b"loop2", link("loop")),
        (LINK, b"nul", link("own\0.yaml")),
        (LINK, b"out", link("../../../etc/passwd")),
        (BLOB, b"own.yaml", maker.blob(b"own")),
        (LINK, b"slash", link("own.yaml/")),
        (LINK, b"sub", link("../module/x")),
        (LINK, b"through", link("own.yaml/x")),
        (LINK, b"x.yaml", link("common/up/shared/x.yaml")),
    ]);
    let module = maker.blob(b"any");
    let root = maker.tree(&[(FOLDER, b"host", host), (SUBMODULE, b"module", module), (FOLDER, b"shared", shared)]);
    insta::assert_snapshot!(maker.show(root, "host"), @r"
    absolute: host/absolute is an absolute link: only links inside the repository are followed
    beside: host/own.yaml is no folder
    common/up/host/absolute: host/absolute is an absolute link: only links inside the repository are followed
    common/up/host/beside: host/own.yaml is no folder
    common/up/host/common: it is a link to a folder that holds it
    common/up/host/dangling: host/nowhere is not there
    common/up/host/empty: the link host/empty is empty
    common/up/host/git: it is a link that leads out of the repository
    common/up/host/here: it is a link to a folder that holds it
    common/up/host/loop: the links at host/loop never end
    common/up/host/loop2: the links at host/loop2 never end
    common/up/host/nul: the link host/nul has a NUL
    common/up/host/out: it is a link that leads out of the repository
    common/up/host/slash: host/own.yaml is no folder
    common/up/host/sub: module is a submodule, which abide doesn't fetch
    common/up/host/through: host/own.yaml is no folder
    common/up/module: it is a submodule, which abide doesn't fetch: commit the files themselves
    common/up/shared/up: it is a link to a folder that holds it
    dangling: host/nowhere is not there
    empty: the link host/empty is empty
    git: it is a link that leads out of the repository
    here: it is a link to a folder that holds it
    loop: the links at host/loop never end
    loop2: the links at host/loop2 never end
    nul: the link host/nul has a NUL
    out: it is a link that leads out of the repository
    own.yaml (3)
    slash: host/own.yaml is no folder
    sub: module is a submodule, which abide doesn't fetch
    through: host/own.yaml is no folder
    x.yaml (1)
    ");
    assert!(maker.show(root, "module").contains("is not a folder"), "{}", maker.show(root, "module"));
}

/// What lacks may be anything: were it taken for what isn't there, all that is behind it would be gone.
#[test]
fn what_lacks_is_not_taken_for_what_is_not_there() {
    let maker = Maker::new();
    let lacks = Oid::from_bytes(&[7; 20]).unwrap();
    let shared = maker.tree(&[(BLOB, b"s.yaml", maker.blob(b"s"))]);
    for (mode, target) in
        [(FOLDER, "../gone/../shared"), (FOLDER, "../gone/inner/s.yaml"), (BLOB, "../gone"), (LINK, "../gone/s.yaml")]
    {
        let host = maker.tree(&[(LINK, b"link", maker.blob(target.as_bytes()))]);
        let root = maker.tree(&[(mode, b"gone", lacks), (FOLDER, b"host", host), (FOLDER, b"shared", shared)]);
        let error = maker.snapshot(root, "host").err().unwrap();
        assert!(error.is_unreadable() && error.to_string().contains("looking at gone: "), "{target}: {error}");
    }
}

#[test]
fn names() {
    let maker = Maker::new();
    let blob = maker.blob(b"x");
    let inner = maker.tree(&[(BLOB, b"x.yaml", blob)]);
    let long = vec![b'l'; 5000];
    let root = maker.tree(&[
        (FOLDER, b"..", inner),
        (FOLDER, b".git", inner),
        (FOLDER, b".github", inner),
        (BLOB, b" blank.yaml", blob),
        (BLOB, b"App.yaml", blob),
        (BLOB, b"a/b.yaml", blob),
        (BLOB, b"app.yaml", blob),
        (FOLDER, b"git~1", inner),
        (BLOB, b"new\nline.yaml", blob),
        (BLOB, b"\xff.yaml", blob),
        (BLOB, &long, blob),
    ]);
    insta::assert_snapshot!(maker.show(root, ""), @r"
    App.yaml (1)
    \x20blank.yaml: its name begins or ends with a blank
    \xff.yaml: its name is not UTF-8
    a\x2fb.yaml: its name is none that a file can have
    app.yaml (1)
    git~1/x.yaml (1)
    llllllllllllllllllllllllllllllllllllllllllllllllllllllllllll…: its path is longer than 4096 bytes
    new\nline.yaml: its name has control characters
    ");
    let unnamed = maker.show(maker.tree(&[(BLOB, b"", blob)]), "");
    assert_eq!(unnamed, "error: reading the folder /: failed to parse tree: can't parse filename");
    let twice = maker.tree(&[(BLOB, b"a.yaml", blob), (BLOB, b"a.yaml", maker.blob(b"y"))]);
    assert!(maker.show(twice, "").ends_with("it names a.yaml twice"), "{}", maker.show(twice, ""));
}

#[test]
fn contents() {
    let maker = Maker::new();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let root = maker.tree(&[
        (BLOB, b"big", maker.blob(&vec![0; 65 << 20])),
        (BLOB, b"large.yaml", maker.blob(pointer)),
        (SUBMODULE, b"module", maker.blob(b"any")),
        (BLOB, b"tree", maker.tree(&[])),
    ]);
    let snapshot = maker.snapshot(root, "").unwrap();
    let read = |name: &str| snapshot.read(name).unwrap_err();
    insta::assert_snapshot!(["big", "large.yaml", "module", "none"].map(read).join("\n"), @r"
    it has 68157440 bytes, more than the 64 MiB a file may have
    it is a Git LFS pointer, and abide doesn't fetch from LFS: commit the file itself
    it is a submodule, which abide doesn't fetch: commit the files themselves
    it is not there
    ");
}

#[test]
fn a_document_of_100_mb_is_refused_by_its_size() {
    let maker = Maker::new();
    let root = maker.tree(&[(BLOB, b"big.yaml", maker.blob(&b"a: b\n".repeat(20 << 20)))]);
    let (scope, grants) = (abide_spec::Scope::new("infra").unwrap(), Default::default());
    let context = abide_spec::Context::plain(&scope, &grants);
    let mistakes = abide_git::revision::parse(&maker.snapshot(root, "").unwrap(), "", context).unwrap_err();
    insta::assert_snapshot!(abide_git::revision::render(&mistakes), @"big.yaml: the file can't be read: it has 104857600 bytes, more than the 64 MiB a file may have");
}

#[test]
fn a_tree_that_grows_without_end_is_given_up() {
    let maker = Maker::new();
    let mut tree = maker.tree(&[(BLOB, b"x", maker.blob(b"x"))]);
    for _ in 0..12 {
        let names: Vec<Vec<u8>> = (b'a'..b'k').map(|name| vec![name]).collect();
        let entries: Vec<(u32, &[u8], Oid)> = names.iter().map(|name| (FOLDER, &name[..], tree)).collect();
        tree = maker.tree(&entries);
    }
    assert!(matches!(maker.snapshot(tree, ""), Err(SnapshotError::TooMany)));
}
