//! A bad version never takes the old one down where both can run; where they can't, the old one comes back.

use crate::{
    documents::{keeping, volume, web},
    started,
    support::{greeting, local, starts},
};
use abide_lab::{Neighbour, Registry, Repository, Rig, Said, host_port, http::get, oci};
use std::process::Stdio;

/// Pushes what is not good, and says how it turned out.
fn bad(repository: &Repository, what: &str) -> (String, Said) {
    let commit = repository.commit(what);
    let pushed = repository.push(&[]);
    assert_eq!(pushed.code, 0, "{what}: a valid commit is taken: {pushed}");
    let outcome = repository.follow(&commit);
    assert_eq!(outcome.code, 1, "{what}: {outcome}");
    (commit, outcome)
}

#[test]
fn where_both_can_run_the_old_one_never_stops() {
    let rig = started();
    let (port, registry, neighbour) = (host_port(), Registry::start("", |_| {}), Neighbour::new());
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    rig.grant(&repository, "infra", &format!("insecureRegistries: [\"{}\"]", registry.address));
    let good = |greeting: &str| web("web", greeting, port.number, "");
    let short = |text: &str| text.replace("interval: 1s", "interval: 1s, startPeriod: 3s");
    repository.write("web.yaml", &good("one"));
    repository.deploy("good");
    let first = rig.settled();
    let with = |variable: &str| short(&good("two").replace("env: {", &format!("env: {{{variable}, ")));
    let cases = [
        ("exits at once", with("EXIT: {value: \"3\"}"), "exited with 3"),
        ("never becomes ready", with("READY: {value: never}"), "did not become ready"),
    ];
    for (what, document, why) in cases {
        let ((_, outcome), answers) = neighbour.load(port.number, || {
            repository.write("web.yaml", &document);
            bad(&repository, what)
        });
        assert_eq!(answers.lost, Vec::<String>::new(), "{what}: {:?}", answers.answered);
        assert_eq!(answers.answered.keys().collect::<Vec<_>>(), ["one"], "{what}");
        let snapshot = rig.get();
        let unit = snapshot.unit("Container/web");
        assert_eq!(unit.active(), first.unit("Container/web").active(), "{what}: {unit:#?}");
        assert!(unit.message.contains(why) && outcome.out.contains(why), "{what}: {}; {outcome}", unit.message);
    }

    // It may come yet, so this one is waited for.
    let image = format!("{}/shop/web:1", registry.address);
    let ((), answers) = neighbour.load(port.number, || {
        repository.write("web.yaml", &good("two").replace("oci:images/hello", &image));
        repository.commit("has no image");
        let mut push = repository.command(&["push", "-q", "origin", "main"]).stderr(Stdio::null()).spawn().unwrap();
        rig.wait("it is told that there is no image", |now| now.unit("Container/web").message.contains("has no image"));
        // Whoever watches may go.
        push.kill().unwrap();
        push.wait().unwrap();
    });
    assert_eq!(answers.lost, Vec::<String>::new(), "{:?}", answers.answered);
    assert_eq!(rig.get().unit("Container/web").active(), first.unit("Container/web").active());

    repository.write("web.yaml", &good("three"));
    repository.deploy("good again");
    assert_eq!(greeting(port.number), "three");
    drop(neighbour);
    rig.end();
}

#[test]
fn where_they_can_not_the_old_one_comes_back_and_the_bad_one_never() {
    let mut rig = started();
    let port = host_port();
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.write("volume.yaml", &volume("data"));
    let good = keeping("web", "one", port.number, "data");
    repository.write("web.yaml", &good);
    repository.deploy("good");
    assert_eq!(starts(port.number), 1);

    repository.write("web.yaml", &good.replace("env: {", "env: {EXIT: {value: \"3\"}, "));
    let (commit, outcome) = bad(&repository, "exits at once");
    assert_eq!(greeting(port.number), "one");
    let unit = rig.get().unit("Container/web").clone();
    let why = "exited with 3";
    assert!(unit.message.contains(why) && outcome.out.contains(why), "{}; {outcome}", unit.message);
    let tried = starts(port.number);
    assert!(tried > 2, "it was tried, and the old one started again: {tried}");

    rig.reboot();
    rig.start();
    again(&rig, port.number);
    assert_eq!(starts(port.number), tried + 1, "the bad one is not tried again after a reboot");
    assert_eq!(rig.get().source("infra").commit, commit);
    rig.end();
}

/// Waits until it answers, and for a while more, in which something bad could be tried.
fn again(rig: &Rig, port: u16) {
    rig.until("it answers again", || get(local(port), "/").ok());
    rig.wait("it is ready", |now| now.unit("Container/web").ready);
}
