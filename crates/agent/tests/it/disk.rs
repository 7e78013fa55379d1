//! A disk that is full. It needs root: it mounts a small tmpfs.

use crate::rig::{Rig, containers};
use abide_agent::api::{Reply, Request, Verdict};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

const URL: &str = "/srv/infra.git";

/// A small file system, for as long as it lives.
struct Small(PathBuf);

impl Small {
    fn on(path: &Path) -> Self {
        mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), Some("size=256k")).expect("mounting needs root");
        Self(path.to_owned())
    }

    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn decisions_wait_for_room_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("state")).unwrap();
    let small = Small::on(&folder.path().join("state"));
    let mut rig = Rig::at(folder);
    rig.start();
    rig.follow("infra", URL);
    let first = rig.settle("infra", URL, &containers(&[("web", "web:1")]));
    small.fill();
    // The last page of the journal has some room.
    let retried = (0..1000).map(|_| rig.ask(Request::Retry { unit: "web".to_owned() }));
    let failed = retried.flatten().find_map(|reply| match reply {
        Reply::Failed { message } => Some(message),
        _ => None,
    });
    let is_told =
        |why: &str| why.contains("state/sources/infra/journal") && why.contains("free some space on that disk");
    assert!(failed.as_ref().is_some_and(|why| is_told(why)), "{failed:?}");
    // Who pushes is told, and doesn't wait for room.
    let outcome = rig.push("infra", URL, &containers(&[("web", "web:2")]));
    assert!(outcome.result == Verdict::Failed && is_told(&outcome.message), "{outcome:?}");
    let commit = outcome.commit;
    let snapshot = rig.until("held", |snapshot| snapshot.sources[0].state == "held");
    assert!(snapshot.sources[0].message.contains("No space left on device"), "{}", snapshot.sources[0].message);
    assert_eq!(
        (snapshot.sources[0].commit.as_str(), rig.world.live()["Container/web"][0].1.as_str()),
        (first.as_str(), "web:1")
    );
    small.empty();
    rig.until("settled on the new one", |snapshot| snapshot.settled && snapshot.sources[0].commit == commit);
    rig.stop();
    rig.start();
    assert_eq!(rig.until("settled", |snapshot| snapshot.settled).sources[0].commit, commit);
    drop(rig);
    drop(small);
}
