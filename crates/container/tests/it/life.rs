//! From preparing to clearing away, and what is left in between.

use crate::rig::{Rig, Waiting, files_with};
use abide_host::{keeper::Client, mount};
use abide_instance::{Place, Runtime as _};
use abide_lab::oci::{self, Config, Files};
use abide_reconcile::Fault;
use std::{fs, path::Path};

const SECRET: &str = "env: {PASSWORD: {secret: db, key: password}}
volumes: [{secret: db, mountPath: /run/db}]
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: hush-d71f3a}";

#[test]
fn secrets_are_in_memory_and_go() {
    let rig = Rig::new();
    let running = rig.start(rig.script("sleep 100", SECRET)).unwrap();
    assert_eq!(running.exec(&["cat", "/run/db/password"]), "hush-d71f3a");
    let mounted = mount::below(&rig.paths.run).unwrap();
    let [secrets] = &mounted[..] else { panic!("{mounted:?}") };
    for path in files_with(rig.path("").as_path(), "hush-d71f3a") {
        assert!(path.starts_with(secrets), "{}", path.display());
    }
    let line = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", running.process.keeper.pid)).unwrap();
    for name in ["cmdline", "environ"] {
        assert!(!line(name).contains("hush"), "{name}");
    }
    drop(running);
    assert!(files_with(rig.path("").as_path(), "hush-d71f3a").is_empty());
}

#[test]
fn nothing_is_left_however_often_it_is_cleared_away() {
    let rig = Rig::new();
    let unit = rig.script("touch /written; sleep 100", SECRET);
    let running = rig.start(unit.clone()).unwrap();
    let place = running.place.clone();
    drop(running);
    let left = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    // The records and the log are not the runtime's.
    for name in left(&place.dir) {
        assert!(["process", "exit", "log", "keeper.sock"].iter().any(|own| name == *own), "{name:?}");
    }
    assert!(left(&rig.paths.state.join("layers")).is_empty());
    rig.containers.clear_away(&place).unwrap();
    fs::remove_dir_all(&place.dir).unwrap();
    rig.containers.clear_away(&place).unwrap();
    // Launched, but never started.
    let place = rig.place(&unit);
    rig.containers.launch(&place, &unit).unwrap();
    rig.containers.clear_away(&place).unwrap();
    assert!(left(&place.dir).is_empty() && left(&rig.paths.state.join("layers")).is_empty());
}

#[test]
fn the_first_process_is_asked_to_stop_as_its_image_says() {
    let rig = Rig::new();
    let image = rig.image_with(Files::new(), &Config { stop_signal: "SIGUSR1".to_owned(), ..Config::default() });
    let script = "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done";
    let running = rig.start(rig.script(script, &format!("image: {image}"))).unwrap();
    while running.printed().is_empty() {
        running.exec(&["sleep", "0.01"]);
    }
    rig.containers.ask_to_stop(&running.place, &running.unit).unwrap();
    assert_eq!(running.wait(), 7);
    assert!(Client::connect(&running.place.dir).is_err());
    rig.containers.ask_to_stop(&running.place, &running.unit).unwrap();
}

#[test]
fn what_is_not_prepared_is_not_launched() {
    let rig = Rig::new();
    let unit = rig.script("id", "");
    assert_eq!(rig.containers.launch(&rig.place(&unit), &unit).unwrap_err(), Fault::Unprepared);
    assert_eq!(rig.containers.prepare(&unit, &Waiting(false)).unwrap_err(), Fault::Cancelled);
    rig.containers.prepare(&unit, &Waiting(true)).unwrap();
    rig.containers.launch(&rig.place(&unit), &unit).unwrap();
    let missing = rig.script("id", "image: oci:/no/such/image");
    assert!(matches!(rig.containers.prepare(&missing, &Waiting(true)), Err(Fault::Again(_))));
    let gone = rig.script("id", "volumes: [{hostPath: /no/such, mountPath: /x}]");
    assert!(matches!(rig.containers.prepare(&gone, &Waiting(true)), Err(Fault::Again(_))));
}

#[test]
fn a_reboot_takes_what_was_written() {
    let rig = Rig::new();
    let unit = rig.script("id", "");
    rig.containers.prepare(&unit, &Waiting(true)).unwrap();
    let (lives, gone) = (rig.place(&unit), rig.place(&unit));
    for place in [&lives, &gone] {
        rig.containers.launch(place, &unit).unwrap();
    }
    let layers = rig.paths.state.join("layers/unit");
    let has_layer = |place: &Place| layers.join(place.instance.to_string()).exists();
    assert!(has_layer(&lives) && has_layer(&gone));
    fs::remove_dir_all(&gone.dir).unwrap();
    let rig = rig.again();
    assert!(has_layer(&lives) && !has_layer(&gone));
    rig.containers.clear_away(&lives).unwrap();
}

#[test]
fn images_in_use_are_not_pruned() {
    let rig = Rig::new();
    let image = rig.image_with(Files::new().file("old", 0o644, b""), &Config::default());
    let unit = rig.script("id", &format!("image: {image}"));
    rig.containers.prepare(&unit, &Waiting(true)).unwrap();
    let place = rig.place(&unit);
    rig.containers.launch(&place, &unit).unwrap();
    // The same name means another image from now on.
    let layout = Path::new(image.strip_prefix("oci:").unwrap());
    let layers = [crate::image::base(), Files::new().file("new", 0o644, b"").layer()];
    oci::image(&Config::default(), &layers).write_layout(layout, "test");
    rig.containers.prepare(&unit, &Waiting(true)).unwrap();
    // What was asked for just now is spared by the store; one that is opened anew knows of nothing.
    let rig = rig.again();
    assert_eq!(rig.containers.prune([&unit]).unwrap(), Some(0));
    let rig = rig.again();
    assert_eq!(rig.containers.prune([]).unwrap(), Some(1));
    rig.containers.clear_away(&place).unwrap();
    assert_eq!(rig.containers.prune([]).unwrap(), Some(2));
}
