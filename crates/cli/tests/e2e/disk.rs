//! What the machine itself refuses: a disk that is full, a root that another agent holds.

use crate::{
    documents::{keeping, volume, web},
    started,
    support::{greeting, starts},
};
use abide_lab::{Rig, host_port, oci};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::PathBuf,
};

/// Takes all that is left of the disk below a folder.
fn fill(rig: &Rig) -> PathBuf {
    let path = rig.root().join("filler");
    let mut file = File::create(&path).unwrap();
    // Down to the last page.
    for size in [1 << 20, 4096] {
        let page = vec![0; size];
        let error = std::iter::repeat_with(|| file.write_all(&page)).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }
    path
}

#[test]
fn a_full_disk_stops_nothing_and_loses_nothing() {
    let mut rig = Rig::on_small_disk(env!("CARGO_BIN_EXE_abide"), 96);
    rig.start();
    let [web_port, data_port] = [host_port(), host_port()];
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.write("web.yaml", &web("web", "one", web_port.number, ""));
    repository.write("volume.yaml", &volume("data"));
    repository.write("data.yaml", &keeping("data", "kept", data_port.number, "data"));
    repository.deploy("good");
    let before = rig.settled();

    let filler = fill(&rig);
    repository.write("web.yaml", &web("web", "two", web_port.number, ""));
    let second = repository.commit("another greeting");
    // The push lands, and says what keeps it from being deployed.
    let push = repository.push(&[]);
    let is_told = |text: &str| {
        let disk = rig.root().join("state").display().to_string();
        [&disk, "No space left", "free some space on that disk"].iter().all(|part| text.contains(part))
    };
    assert!(push.code == 0 && push.err.contains("has not come") && is_told(&push.err), "{push}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("volume.yaml"), volume("other")).unwrap();
    let applied = rig.abide(&["apply", folder.path().to_str().unwrap(), "--name", "other"]);
    assert!(applied.code == 1 && is_told(&applied.err), "{applied}");
    let told = rig.get();
    assert!(is_told(&told.source("infra").message), "{told:?}");
    assert_eq!(told.units, before.units);
    rig.kill();
    // An agent that can't write isn't one, and what runs, runs on.
    let said = rig.abide(&["agent"]);
    assert!(said.code == 1 && said.err.contains("No space left"), "{said}");
    assert_eq!((greeting(web_port.number), greeting(data_port.number)), ("one".to_owned(), "kept".to_owned()));

    fs::remove_file(filler).unwrap();
    rig.start();
    let after = rig.wait("the commit is in force", |now| now.settled && now.source("infra").commit == second);
    assert_eq!(greeting(web_port.number), "two");
    assert_eq!(after.unit("Container/data").instance(), before.unit("Container/data").instance());

    // And it is written: all of it comes back.
    rig.reboot();
    rig.start();
    rig.wait("all is back", |now| now.settled && now.units.iter().all(|unit| unit.ready));
    assert_eq!((greeting(web_port.number), starts(data_port.number)), ("two".to_owned(), 2));
    rig.end();
}

#[test]
fn a_root_has_one_agent() {
    let (rig, port) = (started(), host_port());
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.write("web.yaml", &web("web", "one", port.number, ""));
    repository.deploy("good");
    let before = rig.settled();
    let second = rig.abide(&["agent"]);
    assert!(second.code == 1 && second.err.contains("another agent holds"), "{second}");
    assert_eq!(rig.settled(), before);
    rig.end();
}
