//! What people decide: going back, trying again, stopping everything; and what they are shown before, with an agent and
//! without.

use crate::{
    documents::{keeping, volume, web},
    started,
    support::{greeting, local},
};
use abide_lab::{Rig, host_port, http::get, oci, write};
use std::{fs, path::Path};

/// It works only where a file lies in its volume, whatever its document says.
const PICKY: &str = r#"apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {name: picky}
spec:
  image: oci:images/busybox
  env: {NEEDS: {value: /bin}}
  command: [/bin/sh, -c, "trap 'exit 0' TERM; test -e $NEEDS || exit 4; sleep 1000000 & wait"]
  volumes: [{volume: data, mountPath: /data}]
"#;

#[test]
fn people_go_back_and_try_again() {
    let rig = started();
    let port = host_port();
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.image("busybox", &oci::busybox());
    repository.write("web.yaml", &web("web", "one", port.number, ""));
    let first = repository.deploy("one");
    let nowhere = rig.abide(&["rollback"]);
    assert!(nowhere.code == 3 && nowhere.err.contains("no commit before the present one"), "{nowhere}");
    repository.write("web.yaml", &web("web", "two", port.number, ""));
    let second = repository.deploy("two");

    rig.must(&["rollback"]);
    assert_eq!(greeting(port.number), "one");
    let back = rig.in_force("infra", &first);
    assert!(!back.source("infra").message.is_empty(), "it says that it stays there: {back:#?}");
    rig.must(&["source", "resume", "infra"]);
    rig.in_force("infra", &second);
    assert_eq!(greeting(port.number), "two");
    rig.must(&["rollback", "--source", "infra", "--to", &first[..8]]);
    assert_eq!(greeting(port.number), "one");
    let unknown = rig.abide(&["rollback", "--to", "0123456789"]);
    assert!(unknown.code == 3 && unknown.err.contains("0123456789"), "{unknown}");

    // A newer push ends it.
    repository.write("web.yaml", &web("web", "three", port.number, ""));
    repository.write("picky.yaml", &format!("{}---\n{PICKY}", volume("data")));
    repository.deploy("three");
    assert_eq!(greeting(port.number), "three");

    repository.write("picky.yaml", &format!("{}---\n{}", volume("data"), PICKY.replace("/bin}", "/data/key}")));
    let bad = repository.commit("it needs a key");
    assert_eq!(repository.push(&[]).code, 0);
    let outcome = repository.follow(&bad);
    assert_eq!(outcome.code, 1, "{outcome}");
    let plan = rig.abide(&["plan", repository.path("").to_str().unwrap(), "--name", "infra"]);
    assert!(plan.out.contains("Container/picky: this version is known to be bad"), "{plan}");
    rig.must(&["exec", "picky", "--", "touch", "/data/key"]);
    rig.must(&["retry", "picky"]);
    let after = rig.in_force("infra", &bad);
    assert!(after.unit("Container/picky").ready, "{after:#?}");
    assert_eq!(rig.must(&["exec", "picky", "--", "sh", "-c", "echo $NEEDS"]), "/data/key\n");
    rig.end();
}

#[test]
fn a_folder_is_planned_applied_and_stopped_with_an_agent_or_without() {
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_abide"));
    let [port, kept, more] = [host_port(), host_port(), host_port()];
    let folder = rig.path("shop");
    let folder = folder.to_str().unwrap();
    let file = |name: &str, text: &str| write(&Path::new(folder).join(name), text.as_bytes());
    oci::hello().write_layout(&Path::new(folder).join("images/hello"), "image");
    file("web.yaml", &web("web", "one", port.number, ""));
    file("kept.yaml", &format!("{}---\n{}", volume("data"), keeping("kept", "one", kept.number, "data")));

    let plan = rig.abide(&["plan", folder]);
    assert!(plan.code == 2 && plan.out.starts_with("3 units, 3 changed\n"), "{plan}");
    assert!(rig.traces().is_empty(), "looking leaves nothing");
    let applied = rig.abide(&["apply", folder]);
    assert!(applied.code == 0 && applied.err.contains("no agent runs here"), "{applied}");
    assert_eq!((greeting(port.number), greeting(kept.number)), ("one".to_owned(), "one".to_owned()));
    let before = rig.get();
    assert!(before.settled, "{before:#?}");
    assert_eq!(rig.abide(&["plan", folder]).code, 0);

    file("web.yaml", &web("web", "two", port.number, ""));
    file("kept.yaml", &format!("{}---\n{}", volume("data"), keeping("kept", "two", kept.number, "data")));
    file("new.yaml", &web("new", "new", more.number, ""));
    let without = rig.abide(&["plan", folder]);
    let json = rig.abide(&["plan", folder, "-o", "json"]);
    rig.start();
    assert_eq!(rig.get().units, before.units, "an agent that starts changes nothing");
    let beside = rig.abide(&["plan", folder]);
    assert_eq!((&without, &json), (&beside, &rig.abide(&["plan", folder, "-o", "json"])));
    for part in ["env.GREETING.value one → two", "surge", "swap", "+ Container/new"] {
        assert!(beside.code == 2 && beside.out.contains(part), "{part}: {beside}");
    }
    assert_eq!(rig.get().units, before.units, "a plan changes nothing");
    rig.must(&["apply", folder]);
    assert_eq!((greeting(port.number), greeting(kept.number)), ("two".to_owned(), "two".to_owned()));

    // Without an agent, too, and whoever starts one later finds it so.
    rig.stop();
    let down = rig.abide(&["down"]);
    assert_eq!(down.code, 0, "{down}");
    assert!(rig.traces().is_empty(), "{:#?}", rig.traces());
    rig.start();
    let still = rig.get();
    assert_eq!(still.source("shop").state, "suspended", "{still:#?}");
    let names: Vec<_> = still.units.iter().map(|unit| unit.kind.as_str()).collect();
    assert_eq!(names, ["Volume"], "{still:#?}");
    assert!(get(local(port.number), "/").is_err());
    rig.must(&["source", "resume", "shop"]);
    rig.wait("it is back", |now| now.settled && now.find("Container/web").is_some_and(|web| web.ready));
    assert_eq!(greeting(port.number), "two");

    // A folder of nothing is rarely what was meant.
    let nothing = rig.path("nothing");
    fs::create_dir(&nothing).unwrap();
    let applied = rig.abide(&["apply", nothing.to_str().unwrap()]);
    assert!(applied.code == 0 && applied.err.contains("nothing holds no document"), "{applied}");
    rig.end();
}
