//! A stolen hub, with all its keys, against a real machine: whatever it says, the machine says what is wrong, and runs on.
//!
//! Known collisions of SHA-1 are not among these: there is none of objects of Git. They are tested where objects are named.

use crate::{
    hub::{Hub, fleet, rollout, web},
    liar::{Liar, Lie, Release, Renewal, frames, object},
    machine::Machine,
    signer::Signer,
};
use abide_fleet::protocol::{Frame, ObjectId, ObjectKind};
use abide_git::Repository;
use abide_lab::Snapshot;
use flate2::{Compression, write::GzEncoder};
use std::{collections::BTreeMap, fs, io::Write, path::PathBuf};

/// What the thief has to work with. The machine ran `first`, `second` and `head`, in whose tree `second` is the floor.
struct Stage {
    hub: Hub,
    anna: Signer,
    thief: Signer,
    signers: String,
    root: String,
    first: String,
    second: String,
    head: String,
}

type Case = (Fate, &'static str, fn(&Stage) -> (String, Lie));

/// What becomes of a lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It may not be taken: that is said, and nothing of it is kept.
    Refused,
    /// It could be taken, and nobody can use what came: that is said.
    Useless,
    /// It may be whole another time, and is asked for again.
    Incomplete,
}

use Fate::{Incomplete, Refused, Useless};

const CASES: &[(&str, Case)] = &[
    // -- objects: what was changed has another name, and what lacks is missed
    (
        "a file that was changed",
        (Useless, "nobody asked for", |stage| {
            let (commit, file) = stage.next();
            (commit, Lie::Instead(file, blob(&web("stolen"))))
        }),
    ),
    (
        "a folder that was changed",
        (Useless, "nobody asked for", |stage| {
            let (commit, _) = stage.next();
            let folder = stage.id(&format!("{commit}:base"));
            let other = stage.object(&format!("{}:base", stage.first));
            (commit, Lie::Instead(folder, other))
        }),
    ),
    (
        "a commit that was changed",
        (Refused, "nobody asked for", |stage| {
            let (commit, _) = stage.next();
            let other = stage.object(&stage.second);
            (commit.clone(), Lie::Instead(stage.id(&commit), other))
        }),
    ),
    (
        "a folder as a file",
        (Useless, "nobody asked for", |stage| {
            let (commit, file) = stage.next();
            let Frame { content, .. } = stage.object(&file.to_string());
            (commit, Lie::Instead(file, Frame { kind: ObjectKind::Tree, content }))
        }),
    ),
    ("one more than was asked for", (Refused, "nobody asked for", |stage| (stage.next().0, Lie::Beside(blob("more"))))),
    (
        "a file that lacks",
        (Incomplete, "is not complete", |stage| {
            let (commit, file) = stage.next();
            (commit, Lie::Without(file))
        }),
    ),
    // -- another commit than one that follows
    (
        "a commit that doesn't follow",
        (Refused, "doesn't descend from", |stage| {
            (stage.commit(&stage.second, Some(&stage.anna), "", &web("aside")), Lie::Target)
        }),
    ),
    (
        "a way that is none",
        (Refused, "doesn't: ", |stage| {
            let aside = stage.commit(&stage.second, Some(&stage.anna), "", &web("aside again"));
            let chain = vec![stage.id(&aside), stage.id(&stage.head)];
            (aside, Lie::Chain(chain))
        }),
    ),
    ("an older one, below the floor", (Refused, "which is the `floor`", |stage| (stage.first.clone(), Lie::Target))),
    ("an older one, that never ran", (Refused, "doesn't descend from", |stage| (stage.root.clone(), Lie::Target))),
    (
        "a commit of another repository",
        (Refused, "doesn't descend from", |stage| {
            stage.hub.repository.git(&["checkout", "-q", "--orphan", "elsewhere"]);
            (stage.commit("", Some(&stage.anna), "", &web("elsewhere")), Lie::Target)
        }),
    ),
    (
        "another fleet",
        (Refused, "is of the fleet", |stage| {
            stage.hub.repository.git(&["checkout", "-q", "-f", "--detach", &stage.head]);
            stage.write(&tree(&"ab".repeat(16), &stage.signers), &web("other"));
            (stage.commit_as_it_is(Some(&stage.anna)), Lie::Target)
        }),
    ),
    (
        "another history, which the thief says is ours",
        (Refused, "must be signed by", |stage| {
            stage.hub.repository.git(&["checkout", "-q", "--orphan", "rewritten"]);
            let replaces = format!("  replaces: [{}]", stage.head);
            (stage.commit("", Some(&stage.thief), &replaces, &web("rewritten")), Lie::Target)
        }),
    ),
    // -- who signs
    (
        "nobody signed",
        (Refused, "isn't signed", |stage| (stage.commit(&stage.head, None, "", &web("unsigned")), Lie::Target)),
    ),
    (
        "the thief signed",
        (Refused, "must be signed by", |stage| {
            (stage.commit(&stage.head, Some(&stage.thief), "", &web("stolen")), Lie::Target)
        }),
    ),
    (
        "the thief lets himself sign",
        (Refused, "must be signed by", |stage| {
            let signers = format!("  signers: {{version: 2, keys: [\"{}\"]}}", stage.thief.public());
            stage.hub.repository.git(&["checkout", "-q", "-f", "--detach", &stage.head]);
            stage.write(&tree(&stage.hub.id, &signers), &web("stolen"));
            (stage.commit_as_it_is(Some(&stage.thief)), Lie::Target)
        }),
    ),
    // -- what even they can't have meant
    (
        "a Secret that everybody can read",
        (Useless, "Secret", |stage| {
            let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n";
            (stage.commit(&stage.head, Some(&stage.anna), "", &format!("{}---\n{secret}", web("open"))), Lie::Target)
        }),
    ),
    // -- too much, or too little
    (
        "folders without end",
        (Useless, "folders 100 deep", |stage| {
            stage.hub.repository.write(&format!("base/{}x", "d/".repeat(101)), "x");
            (stage.commit(&stage.head, Some(&stage.anna), "", &web("deep")), Lie::Target)
        }),
    ),
    (
        "an answer that ends early",
        (Incomplete, "can't be read", |stage| {
            let (commit, file) = stage.next();
            let mut bytes = frames(&[stage.object(&file.to_string())]);
            bytes.truncate(bytes.len() - 10);
            (commit, Lie::Bytes(bytes, false))
        }),
    ),
    (
        "an answer that is too long",
        (Incomplete, "has more than", |stage| (stage.next().0, Lie::Bytes(vec![2; 70 << 20], false))),
    ),
    (
        "an answer that is too long once it is inflated",
        (Incomplete, "objects of more than", |stage| {
            let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
            let mebibyte = frames(&[Frame { kind: ObjectKind::Blob, content: vec![0; 1 << 20] }]);
            (0..256).for_each(|_| bomb.write_all(&mebibyte).unwrap());
            (stage.next().0, Lie::Bytes(bomb.finish().unwrap(), true))
        }),
    ),
];

/// Certificates that it gives to who renews, and what is said of that.
const RENEWALS: &[(Renewal, &str)] = &[
    (Renewal::Another, "a certificate for another of the fleet"),
    (Renewal::Endless, "the certificate says that it is good from"),
    (Renewal::Diverted, "this machine's is age1"),
];

#[test]
fn a_stolen_hub_is_believed_in_nothing_that_it_makes_up() {
    let stage = Stage::new();
    let hub = &stage.hub;
    let machine = Machine::several(hub, 1).pop().unwrap();
    hub.sees("till-1", "ready", &stage.first);
    // A label on the hub steers roll-outs. What it would select in the tree, it doesn't.
    hub.rig.must(&["hub", "machine", "label", "till-1", "role=vault"]);
    for commit in [&stage.second, &stage.head] {
        hub.repository.git(&["push", "-q", "-f", "origin", &format!("{commit}:refs/heads/main")]);
        machine.is_on(commit);
    }
    assert!(machine.get().find("Volume/vault").is_none());
    let pid = machine.pid();
    let mut new = Machine::to_start(&hub.url(), &hub.token(1), "till-2");

    let (stage, liar) = stage.stolen();
    // A machine that has no commit yet believes no first one that isn't signed by whom it names.
    liar.says(stage.commit(&stage.head, None, "", &web("first")).parse().unwrap(), Lie::Target);
    new.start();
    let why = new.source_is("refused");
    assert!(why.contains("isn't signed, and the signers of version 1 must sign it"), "{why}");
    new.end();
    for (name, (fate, words, lie)) in CASES {
        let before = kept(&machine);
        let (commit, lie) = lie(&stage);
        liar.says(commit.parse().unwrap(), lie);
        let now = machine.wait(&format!("{name}: {fate:?}, {words:?}"), |now: &Snapshot| {
            let source = now.source("fleet");
            // Two lies may be refused for one reason.
            let is_told = source.state == "refused" && source.message.contains(&commit[..12]);
            source.message.contains(words) && (is_told || *fate == Incomplete)
        });
        assert_eq!((now.source("fleet").commit.as_str(), machine.pid()), (stage.head.as_str(), pid), "{name}");
        assert!(*fate != Refused || kept(&machine) == before, "{name}: it is kept");
    }
    // All the time it said that this is the year 2999, where each certificate is over: one such renewal is enough.
    assert_eq!(liar.renewed("till-1"), 1);
    // Nor does the machine become another one.
    for (renewal, words) in RENEWALS {
        liar.renews(*renewal);
        let said = machine.abide(&["enroll", "--renew"]);
        assert!(said.code != 0 && said.err.contains(words), "{renewal:?}: {said}");
    }

    // Once it says something true, that is taken, whatever release it is of, and though there can be no later number.
    liar.says(stage.head.parse().unwrap(), Lie::Number(u64::MAX));
    machine.source_is("following");
    let mut last = stage.head.clone();
    for release in [Release::Present, Release::Older, Release::Newer] {
        liar.is_of(release);
        last = stage.commit(&last, Some(&stage.anna), "", &web(&format!("{release:?}")));
        liar.says(last.parse().unwrap(), Lie::Target);
        machine.is_on(&last);
    }
    machine.end();
}

impl Stage {
    fn new() -> Self {
        let mut hub = Hub::made("127.0.0.1", &[]);
        let (anna, thief) = (Signer::new(&hub, "anna"), Signer::new(&hub, "thief"));
        let content = "  content: [{labels: {role: vault}, paths: [vault]}]";
        let signers = format!("{content}\n  signers: {{version: 1, keys: [\"{}\"]}}", anna.public());
        hub.repository.write(
            "vault/volume.yaml",
            "apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {name: vault}\nspec: {}\n",
        );
        let write = |greeting: &str, more: &str| {
            hub.repository.write("fleet.yaml", &tree(&hub.id, &format!("{signers}\n{more}")));
            hub.repository.write("base/web.yaml", &web(greeting));
        };
        write("root", "");
        let root = anna.commits(&hub, "root");
        write("first", "");
        let first = anna.signs(&hub, "first");
        write("second", "");
        let second = anna.commits(&hub, "second");
        write("head", &format!("  floor: {second}"));
        let head = anna.commits(&hub, "head");
        hub.start();
        Self { hub, anna, thief, signers, root, first, second, head }
    }

    /// The hub is gone, and somebody else has its keys and its place.
    fn stolen(mut self) -> (Self, Liar) {
        self.hub.stop();
        let address = format!("127.0.0.1:{}", self.hub.port.number);
        let liar = Liar::start(&address, &self.hub.rig.root().join("state/hub"), &self.hub.repository.path(".git"));
        (self, liar)
    }

    /// A commit that follows the head and is signed, and the file of it that is new.
    fn next(&self) -> (String, ObjectId) {
        // Each is another one, or the machine would have had it the second time.
        let count = self.hub.repository.git(&["count-objects"]);
        let count = count.split(' ').next().unwrap();
        let commit = self.commit(&self.head, Some(&self.anna), "", &web(&format!("next-{count}")));
        let file = self.id(&format!("{commit}:base/web.yaml"));
        (commit, file)
    }

    /// A commit on another one, with these lines in `fleet.yaml` and this as what all run.
    fn commit(&self, parent: &str, by: Option<&Signer>, more: &str, web: &str) -> String {
        if !parent.is_empty() {
            self.hub.repository.git(&["checkout", "-q", "-f", "--detach", parent]);
        }
        self.write(&tree(&self.hub.id, &format!("{}\n{more}", self.signers)), web);
        self.commit_as_it_is(by)
    }

    fn write(&self, fleet: &str, web: &str) {
        self.hub.repository.write("fleet.yaml", fleet);
        self.hub.repository.write("base/web.yaml", web);
    }

    fn commit_as_it_is(&self, by: Option<&Signer>) -> String {
        by.map_or_else(|| self.hub.repository.commit("a lie"), |by| by.commits(&self.hub, "a lie"))
    }

    fn id(&self, name: &str) -> ObjectId {
        self.hub.repository.git(&["rev-parse", name]).parse().unwrap()
    }

    fn object(&self, name: &str) -> Frame {
        object(&Repository::open(self.hub.repository.path(".git")).unwrap(), self.id(name)).unwrap()
    }
}

/// What a machine has of objects, with their sizes; and what it puts aside before it has judged a target.
fn kept(machine: &Machine) -> BTreeMap<PathBuf, u64> {
    let source = machine.root().join("state/sources/fleet");
    let packs = fs::read_dir(source.join("repo.git/objects/pack")).unwrap().map(|entry| entry.unwrap().path());
    let size = |path: PathBuf| fs::metadata(&path).ok().map(|metadata| (path, metadata.len()));
    packs.chain([source.join("unjudged")]).filter_map(size).collect()
}

/// `fleet.yaml`, in which one machine that isn't there has the label that selects the vault.
fn tree(id: &str, more: &str) -> String {
    let vault = "  - {names: [vault-1], labels: {role: vault}}\n";
    fleet(id, more) + vault + &rollout("soak: 0s")
}

fn blob(content: &str) -> Frame {
    Frame { kind: ObjectKind::Blob, content: content.as_bytes().to_vec() }
}
