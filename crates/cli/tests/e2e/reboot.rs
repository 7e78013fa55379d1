//! After a reboot, what was in force comes back out of the root alone, and so does what a person decided.

use crate::{
    documents::{keeping, volume, web},
    started,
    support::{greeting, local, starts},
};
use abide_lab::{Snapshot, host_port, http::get, oci};
use std::fs;

/// What is wished, and what was decided about it.
fn sources(snapshot: &Snapshot) -> Vec<(String, String, String)> {
    let sources = snapshot.sources.iter();
    sources.map(|source| (source.name.clone(), source.state.clone(), source.commit.clone())).collect()
}

#[test]
fn what_was_decided_outlives_it() {
    let mut rig = started();
    let [applied, pinned, suspended] = [host_port(), host_port(), host_port()];
    // A folder that is gone later, with data.
    let folder = rig.path("folder");
    oci::hello().write_layout(&folder.join("images/hello"), "image");
    fs::write(folder.join("volume.yaml"), volume("data")).unwrap();
    fs::write(folder.join("data.yaml"), keeping("data", "applied", applied.number, "data")).unwrap();
    rig.must(&["apply", folder.to_str().unwrap()]);
    assert_eq!(starts(applied.number), 1);

    // A source that was rolled back, and one that takes no new commits.
    let [rolled, still] = [("rolled", &pinned), ("still", &suspended)].map(|(name, port)| {
        let repository = rig.repository(name);
        repository.image("hello", &oci::hello());
        for greeting in ["first", "second"] {
            repository.write("web.yaml", &web(name, greeting, port.number, ""));
            repository.deploy(greeting);
        }
        repository
    });
    rig.must(&["rollback", "--source", "rolled"]);
    assert_eq!(greeting(pinned.number), "first");
    rig.must(&["source", "suspend", "still"]);
    still.write("web.yaml", &web("still", "third", suspended.number, ""));
    still.commit("third");
    still.push(&[]);
    let before = rig.settled();

    rig.reboot();
    fs::remove_dir_all(&folder).unwrap();
    for repository in [&rolled, &still] {
        fs::remove_dir_all(&repository.bare).unwrap();
    }
    rig.start();
    let back =
        rig.wait("all is back", |now| now.units.len() == before.units.len() && now.units.iter().all(|unit| unit.ready));
    let decided =
        |snapshot: &Snapshot, name: &str| sources(snapshot).into_iter().find(|(other, ..)| other == name).unwrap();
    assert_eq!(decided(&back, "folder"), decided(&before, "folder"));
    assert_eq!(decided(&back, "still"), decided(&before, "still"));
    assert_eq!(back.source("rolled").commit, before.source("rolled").commit);
    let all = [applied, pinned, suspended].map(|port| greeting(port.number));
    assert_eq!(all, ["applied", "first", "second"]);
    rig.end();
}

#[test]
fn down_stays_down_and_comes_up_again() {
    let (mut rig, port) = (started(), host_port());
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.write("volume.yaml", &volume("data"));
    repository.write("data.yaml", &keeping("data", "kept", port.number, "data"));
    repository.deploy("all");
    rig.must(&["down"]);
    rig.reboot();
    rig.start();
    let now = rig.get();
    assert_eq!((now.find("Container/data"), now.source("infra").state.as_str()), (None, "suspended"));
    assert!(get(local(port.number), "/").is_err());
    rig.must(&["source", "resume", "infra"]);
    rig.wait("it is up again", |now| now.find("Container/data").is_some_and(|unit| unit.ready));
    assert_eq!(starts(port.number), 2);
    rig.end();
}
