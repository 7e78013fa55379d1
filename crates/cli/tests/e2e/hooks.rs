//! What a pusher reads, and what becomes of pushes that are not as they should be.

use crate::{
    documents::{volume, web},
    rig, started,
    support::greeting,
};
use abide_lab::{Repository, Rig, host_port, oci};

/// The commit of the branch that deploys.
fn landed(repository: &Repository) -> String {
    repository.git(&["ls-remote", "origin", "refs/heads/main"]).split('\t').next().unwrap_or_default().to_owned()
}

/// Moves the branch as nobody should: no hook sees it.
fn push_unseen(repository: &Repository) {
    let clone = repository.path("");
    let from = clone.to_str().unwrap();
    let bare = ["--git-dir", repository.bare.to_str().unwrap(), "-c", "core.hooksPath=/dev/null"];
    repository.git(&[&bare[..], &["fetch", "-q", from, "+main:main"]].concat());
}

fn with_volumes(rig: &Rig) -> Repository {
    let repository = rig.repository("infra");
    for name in ["a", "b", "c", "d", "e"] {
        repository.write(&format!("{name}.yaml"), &volume(name));
    }
    repository
}

#[test]
fn a_push_that_is_refused_changes_nothing() {
    let rig = started();
    let repository = with_volumes(&rig);
    let good = repository.deploy("five volumes");

    repository.write("f.yaml", &volume("f").replace("kind: Volume", "kind: Volumes"));
    repository.commit("a mistake");
    let said = repository.push(&[]);
    assert!(said.code != 0 && said.err.contains("f.yaml:2:7: "), "{said}");
    assert!(said.err.contains("nothing was changed"), "{said}");
    assert_eq!(landed(&repository), good);

    for name in ["b", "c", "d", "e", "f"] {
        repository.remove(&format!("{name}.yaml"));
    }
    let fewer = repository.commit("one volume");
    let said = repository.push(&[]);
    assert!(said.code != 0 && said.err.contains("Volume/e"), "{said}");
    assert_eq!((landed(&repository), rig.settled().units.len()), (good.clone(), 5));
    let (_, rest) = said.err.split_once("allow=").unwrap_or_else(|| panic!("it is not told how to allow it: {said}"));
    let plan: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();

    let said = repository.push(&["-o", "alow=all"]);
    assert!(said.code != 0 && said.err.contains("alow=all"), "{said}");
    let said = repository.push(&["-o", "allow=0123456789ab"]);
    assert!(said.code != 0 && landed(&repository) == good, "{said}");
    let said = repository.push(&["-o", &format!("allow={plan}")]);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!((landed(&repository), repository.follow(&fewer).code), (fewer, 0));
    rig.wait("one volume is left", |now| now.settled && now.units.len() == 1);
    rig.end();
}

#[test]
fn without_an_agent_a_valid_push_is_kept() {
    let mut rig = rig();
    let repository = with_volumes(&rig);
    repository.write("f.yaml", "kind: Volume\n");
    repository.commit("a mistake");
    let said = repository.push(&[]);
    assert!(said.code != 0 && said.err.contains("f.yaml:1:1: "), "{said}");
    repository.remove("f.yaml");
    let commit = repository.commit("five volumes");
    let said = repository.push(&[]);
    assert!(said.code == 0 && said.err.contains("no agent runs here"), "{said}");
    rig.start();
    let now = rig.wait("it is deployed", |now| now.settled && now.source("infra").commit == commit);
    assert_eq!(now.units.len(), 5);
    rig.end();
}

#[test]
fn what_is_not_deployed_is_said_and_changes_nothing() {
    let rig = started();
    let repository = with_volumes(&rig);
    let commit = repository.deploy("five volumes");
    let before = rig.settled();
    repository.git(&["tag", "v1"]);
    let push = |what: &str| {
        let said = repository.command(&["push", "origin", what]).output().unwrap();
        (said.status.success(), String::from_utf8_lossy(&said.stderr).into_owned())
    };
    for (what, told) in [
        ("main:trial", "branch trial is stored; only main is deployed"),
        ("v1", "tag v1 is stored; only main is deployed"),
        (":trial", "branch trial is deleted; it was never deployed, so nothing changes"),
        (":main", "nothing is removed here; what runs, runs on until it is pushed again"),
    ] {
        let (is_taken, said) = push(what);
        assert!(is_taken && said.contains(told), "{what}: {said}");
        let now = rig.get();
        assert_eq!(now.units, before.units, "{what}");
        assert_eq!(now.source("infra").commit, commit, "{what}");
    }
    repository.write("f.yaml", &volume("f"));
    repository.deploy("pushed again");
    assert_eq!(rig.settled().units.len(), 6);
    rig.end();
}

#[test]
fn whoever_watches_may_go() {
    let rig = started();
    let port = host_port();
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository
        .write("web.yaml", &web("web", "slow", port.number, "").replace("env: {", "env: {READY: {value: \"2000\"}, "));
    let commit = repository.commit("slow");
    let mut push = repository.command(&["push", "-q", "origin", "main"]).spawn().unwrap();
    rig.wait("it is under way", |now| now.find("Container/web").is_some_and(|web| web.active().is_some()));
    push.kill().unwrap();
    push.wait().unwrap();
    let followed = repository.follow(&commit);
    assert_eq!((followed.code, greeting(port.number).as_str()), (0, "slow"), "{followed}");
    rig.end();
}

#[test]
fn a_push_that_no_hook_saw_is_noticed_and_judged() {
    let rig = started();
    let repository = with_volumes(&rig);
    repository.deploy("five volumes");
    repository.write("f.yaml", &volume("f"));
    let unseen = repository.commit("unseen");
    push_unseen(&repository);
    rig.wait("it is noticed", |now| now.settled && now.source("infra").commit == unseen);

    repository.write("g.yaml", "kind: Volume\n");
    let bad = repository.commit("unseen, and a mistake");
    push_unseen(&repository);
    let now = rig.wait("it is refused", |now| now.source("infra").state == "refused");
    let source = now.source("infra");
    assert!(source.message.contains("g.yaml:1:1: ") && source.commit == unseen, "{source:?}");
    let followed = repository.follow(&bad);
    assert!(followed.code == 3 && now.units.len() == 6, "{followed}");
    rig.end();
}
