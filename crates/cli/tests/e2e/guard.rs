//! Many units at once, and what is asked before many of them go.

use crate::{
    documents::{volume, web},
    started,
    support::greeting,
};
use abide_lab::{Rig, Snapshot, host_port, http::get, oci, rig::Unit};
use std::collections::BTreeMap;

const MANY: usize = 100;

/// One of many: it says its own name, and nobody outside sees it.
fn member(name: &str) -> String {
    format!(
        "apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {{name: {name}}}
spec:
  image: oci:images/hello
  env: {{GREETING: {{value: {name}}}}}
"
    )
}

/// What is to be said yes to, as the texts show it.
fn plan(text: &str) -> String {
    let found = text.split_once("abide allow ").and_then(|(_, rest)| rest.split([' ', '`']).next());
    found.unwrap_or_else(|| panic!("nothing is asked: {text}")).to_owned()
}

/// What each answers, by its own address.
fn answers<'a>(units: impl IntoIterator<Item = &'a Unit>) -> BTreeMap<&'a str, String> {
    let ask = |unit: &'a Unit| {
        let [address] = unit.addresses[..] else { panic!("not one address: {unit:?}") };
        let body = get((address, 8080).into(), "/").unwrap_or_else(|error| panic!("{}: {error}", unit.name)).body;
        (unit.name.as_str(), body.lines().next().unwrap_or_default().to_owned())
    };
    units.into_iter().map(ask).collect()
}

#[test]
fn a_hundred_containers_come_and_go_and_leave_nothing() {
    let rig = started();
    let port = host_port();
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.write("web.yaml", &web("web", "web", port.number, ""));
    repository.deploy("one");
    let before = rig.settled();
    let traces = rig.traces().counts();

    let names: Vec<_> = (0..MANY).map(|number| format!("member-{number}")).collect();
    names.iter().for_each(|name| repository.write(&format!("crowd/{name}.yaml"), &member(name)));
    repository.deploy("a hundred more");
    let crowd = rig.settled();
    assert_eq!(crowd.unit("Container/web"), before.unit("Container/web"));
    let wanted = names.iter().map(String::as_str).chain(["web"]);
    assert_eq!(answers(&crowd.units), wanted.map(|name| (name, name.to_owned())).collect());

    repository.remove("crowd");
    let commit = repository.commit("without them");
    let refused = repository.push(&[]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.err.contains("it removes 100 of 101 units (99 %)"), "{refused}");
    assert_eq!(rig.settled(), crowd, "what is refused changes nothing");

    let pushed = repository.push(&["-o", &format!("allow={}", plan(&refused.err))]);
    assert_eq!(pushed.code, 0, "{pushed}");
    let outcome = repository.follow(&commit);
    assert_eq!(outcome.code, 0, "{outcome}\n{pushed}");
    assert_eq!(rig.settled().units, before.units);
    rig.until("nothing of them is left", || (rig.traces().counts() == traces).then_some(()));
    assert_eq!(greeting(port.number), "web");
    rig.end();
}

#[test]
fn what_is_held_waits_for_a_yes_to_just_that() {
    let mut rig = started();
    let port = host_port();
    // Followed, not pushed to: what comes has landed, and no hook was asked.
    let repository = rig.plain("infra");
    rig.must(&["source", "add", repository.bare.to_str().unwrap()]);
    repository.image("hello", &oci::hello());
    let scratch = volume("scratch") + "spec: {reclaim: Delete}\n";
    repository.write("volumes.yaml", &format!("{}---\n{scratch}", volume("data")));
    repository.write("web.yaml", &web("web", "one", port.number, ""));
    let first = repository.land("all of it");
    let before = rig.in_force("infra", &first);

    repository.remove("web.yaml");
    repository.remove("volumes.yaml");
    let nothing = repository.land("nothing");
    let everything = "removes everything it owns (3 units), and deletes the data of Volume/scratch (reclaim: Delete)";
    let asked = held(&rig, &before, everything);
    let outcome = repository.follow(&nothing);
    assert_eq!(outcome.code, 3, "{outcome}");
    assert!(outcome.to_string().contains(&asked), "{outcome}");
    rig.kill();
    rig.start();
    assert_eq!(held(&rig, &before, everything), asked, "a restart asks the same");

    // Another commit asks another thing, and a yes to the former is none to it.
    repository.write("volumes.yaml", &volume("data"));
    repository.write("web.yaml", &web("web", "two", port.number, ""));
    let last = repository.land("all but the scratch");
    let now = held(&rig, &before, "deletes the data of Volume/scratch");
    assert_ne!(now, asked);
    let stale = rig.abide(&["allow", &asked]);
    assert_eq!(stale.code, 3, "{stale}");
    assert!(stale.err.contains("nothing waits for a yes"), "{stale}");
    assert_eq!(rig.get().units, before.units);

    rig.must(&["allow", &now]);
    let after = rig.in_force("infra", &last);
    assert_eq!(after.find("Volume/scratch"), None);
    assert_eq!(after.unit("Volume/data"), before.unit("Volume/data"));
    assert_eq!(greeting(port.number), "two");
    rig.end();
}

/// Waits until it is asked just that, and says what a yes is to be said to. Nothing may have changed.
fn held(rig: &Rig, before: &Snapshot, why: &str) -> String {
    let is_asked = |now: &Snapshot| {
        let source = now.source("infra");
        source.state == "held" && source.message.starts_with(why)
    };
    let now = rig.wait(&format!("it is asked: {why}"), is_asked);
    assert_eq!(now.units, before.units, "what is held changes nothing");
    plan(&now.source("infra").message)
}
