//! Broken and hostile documents are refused with their place, and nothing else changes.

use crate::{documents::web, started, support::greeting};
use abide_lab::{Repository, host_port, oci, write};
use std::os::unix::fs::symlink;

/// Nine times nine times … of one value.
fn alias_bomb() -> String {
    let list = |level: u32| format!("l{level}: &l{level} [{}]\n", vec![format!("*l{}", level - 1); 9].join(", "));
    format!("l0: &l0 x\n{}", (1..9).map(list).collect::<String>())
}

/// What is broken, how, and what its pusher has to read.
type Case = (&'static str, fn(&Repository), &'static str);

const CASES: [Case; 10] = [
    ("a link to the machine", |at| symlink("/etc/passwd", at.path("bad.yaml")).unwrap(), "absolute link"),
    ("a link out", |at| symlink("../../bad.yaml", at.path("bad.yaml")).unwrap(), "leads out of the repository"),
    ("an image outside", |at| at.write("bad.yaml", &image("oci:../hello")), "bad.yaml:5:10: "),
    (
        "an image through a link",
        |at| {
            symlink("/var/lib", at.path("images/bad")).unwrap();
            at.write("bad.yaml", &image("oci:images/bad"));
        },
        "absolute link",
    ),
    ("an alias bomb", |at| at.write("bad.yaml", &alias_bomb()), "with its aliases written out"),
    ("other letters", |at| write(&at.path("bad.yaml"), b"kind: Caf\xe9\n"), "bad.yaml:1:10: this is not UTF-8"),
    ("tabs", |at| at.write("bad.yaml", "kind: Volume\nmetadata:\n\tname: data\n"), "bad.yaml:3:2: "),
    ("no YAML", |at| at.write("bad.yaml", "kind: [Volume\n"), "bad.yaml:"),
    ("5 MB", |at| at.write("bad.yaml", &"# filler\n".repeat(600_000)), "split it"),
    ("100 MB", |at| at.write("bad.yaml", &"# filler\n".repeat(12_000_000)), "more than the 64 MiB a file may have"),
];

fn image(name: &str) -> String {
    web("bad", "bad", 1, "").replace("oci:images/hello", name)
}

#[test]
fn what_is_broken_is_refused_and_changes_nothing() {
    let (rig, port) = (started(), host_port());
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.write("web.yaml", &web("web", "one", port.number, ""));
    let good = repository.deploy("good");
    let before = rig.settled();
    for (what, spoil, told) in CASES {
        spoil(&repository);
        repository.write("web.yaml", &web("web", "not to be", port.number, ""));
        repository.commit(what);
        let said = repository.push(&[]);
        assert!(said.code == 1 && said.err.contains(told), "{what}: {said}");
        // What is refused costs its pusher a line or a few, not a screen for each.
        assert!(said.err.len() < 4000, "{what}: {} bytes: {said}", said.err.len());
        repository.git(&["reset", "-q", "--hard", &good]);
    }
    let after = rig.settled();
    assert_eq!((&after.units, after.source("infra")), (&before.units, before.source("infra")));
    assert_eq!(greeting(port.number), "one");

    // As Windows writes it, with a byte order mark.
    let document = format!("\u{feff}{}", web("web", "two", port.number, "")).replace('\n', "\r\n");
    repository.write("web.yaml", &document);
    repository.deploy("odd, but right");
    assert_eq!(greeting(port.number), "two");
    rig.end();
}

#[test]
fn what_no_hook_refused_is_refused_when_it_is_seen() {
    let (rig, port) = (started(), host_port());
    let repository = rig.plain("infra");
    repository.image("hello", &oci::hello());
    repository.write("web.yaml", &web("web", "one", port.number, ""));
    let first = repository.land("good");
    rig.must(&["source", "add", repository.bare.to_str().unwrap()]);
    let good = rig.wait("it is followed", |now| now.settled && now.source("infra").commit == first);

    repository.write("bad.yaml", &alias_bomb());
    repository.write("web.yaml", &web("web", "not to be", port.number, ""));
    let commit = repository.land("an alias bomb");
    let refused = rig.wait("it is refused", |now| now.source("infra").state == "refused");
    let message = &refused.source("infra").message;
    assert!(message.contains("bad.yaml") && message.contains(&commit[..12]), "{message}");
    assert_eq!(refused.units, good.units);

    repository.remove("bad.yaml");
    repository.write("web.yaml", &web("web", "two", port.number, ""));
    let third = repository.land("good again");
    rig.wait("the next one is taken", |now| now.settled && now.source("infra").commit == third);
    assert_eq!(greeting(port.number), "two");
    rig.end();
}
