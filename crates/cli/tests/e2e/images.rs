//! Images whose author wants out, and registries that are away, wrong or slow: none of them stops another unit.

use crate::{
    documents::web,
    started,
    support::{greeting, local},
};
use abide_lab::{
    HostPort, Repository, Rig, hello, host_port,
    http::get,
    oci::{self, Config, Files, Parts},
    rig::Unit,
    server::{Server, reply},
};
use std::{fs, io::Read as _};

/// The image of `hello` with a layer on top of it.
fn with(layer: Files) -> Parts {
    let program = fs::read(hello()).unwrap();
    let config = Config { entrypoint: vec!["/hello".to_owned()], ..Config::default() };
    oci::image(&config, &[Files::new().file("hello", 0o755, &program).layer(), layer.layer()])
}

/// Units by name, each with an image of its own, beside one that is good.
struct Beside {
    rig: Rig,
    repository: Repository,
    ports: Vec<(&'static str, HostPort)>,
}

impl Beside {
    fn port(&self, name: &str) -> u16 {
        self.ports.iter().find(|(other, _)| *other == name).unwrap().1.number
    }

    /// Waits until a unit tells this as its trouble.
    fn tells(&self, name: &str, told: &str) {
        let unit = format!("Container/{name}");
        let is_told = |unit: &Unit| !unit.ready && unit.message.contains(told);
        self.rig.wait(&format!("{name} tells {told:?}"), |now| now.find(&unit).is_some_and(is_told));
    }
}

fn beside(images: &[(&'static str, String)]) -> Beside {
    let rig = started();
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    let mut ports = vec![("good", host_port())];
    repository.write("good.yaml", &web("good", "good", ports[0].1.number, ""));
    for (name, image) in images {
        let port = host_port();
        let document = web(name, name, port.number, "").replace("oci:images/hello", image);
        repository.write(&format!("{name}.yaml"), &document);
        ports.push((name, port));
    }
    Beside { rig, repository, ports }
}

#[test]
fn layers_reach_nothing_outside() {
    let names = ["dots", "absolute", "link", "node", "digest"];
    let beside = beside(&names.map(|name| (name, format!("oci:images/{name}"))));
    let canary = beside.rig.path("canary");
    fs::create_dir(&canary).unwrap();
    let out = canary.to_str().unwrap();
    let files = [
        ("dots", Files::new().raw(b"../../../../../../tmp/abide-evil", b"out")),
        ("absolute", Files::new().raw(b"/inside", b"in")),
        ("link", Files::new().link("out", out).file("out/file", 0o644, b"out")),
        ("node", Files::new().device("zero", (1, 5))),
        ("digest", Files::new().file("more", 0o644, b"more")),
    ];
    for (name, files) in files {
        let mut parts = with(files);
        if name == "digest" {
            // Of the layer alone, whatever is announced of it.
            let stored = parts.blobs.values_mut().filter(|bytes| bytes.starts_with(&[0x1f, 0x8b]));
            stored.min_by_key(|bytes| bytes.len()).unwrap()[3] ^= 1;
        }
        beside.repository.image(name, &parts);
    }
    beside.repository.commit("images that want out");
    let said = beside.repository.push(&[]);
    assert_eq!(said.code, 0, "{said}");
    beside.tells("dots", "is refused: it has `..` in its path");
    beside.tells("link", "is refused: what it is in is no directory");
    beside.tells("digest", "is not what was announced");
    for name in ["good", "absolute", "node"] {
        let unit = format!("Container/{name}");
        beside.rig.wait(&format!("{name} is ready"), |now| now.find(&unit).is_some_and(|unit| unit.ready));
        assert_eq!(greeting(beside.port(name)), name);
    }
    let inside = |name, path: &str| get(local(beside.port(name)), &format!("/file{path}")).unwrap();
    assert_eq!(inside("absolute", "/inside").body, "in");
    assert_eq!(inside("node", "/zero").status, 404, "no node of an image is there");
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    assert!(!fs::exists("/tmp/abide-evil").unwrap());
    beside.rig.end();
}

#[test]
fn registries_that_are_away_wrong_or_slow_stop_nobody_else() {
    let wrong = Server::start(|_, stream| reply(stream, "200 OK", "", b"<html>please log in</html>"));
    let slow = Server::start(|_, stream| {
        // Until the other side has had enough.
        let _ = stream.read(&mut [0]);
    });
    let away = host_port();
    let addresses = [("away", format!("127.0.0.1:{}", away.number)), ("wrong", wrong.address), ("slow", slow.address)];
    let beside = beside(&addresses.each_ref().map(|(name, at)| (*name, format!("{at}/shop/{name}:1"))));
    let granted = addresses.each_ref().map(|(_, at)| format!("\"{at}\"")).join(", ");
    beside.rig.grant(&beside.repository, "infra", &format!("insecureRegistries: [{granted}]"));
    beside.repository.commit("three registries");
    let said = beside.repository.push(&[]);
    assert_eq!(said.code, 0, "{said}");
    beside.rig.wait("the good one is ready", |now| now.unit("Container/good").ready);
    beside.tells("away", "can't be reached");
    beside.tells("wrong", "manifest makes no sense");
    beside.rig.wait("the slow one is asked", |_| !slow.requests.lock().unwrap().is_empty());
    let before = beside.rig.get();

    // A newer commit doesn't wait for it.
    for (name, _) in &addresses {
        beside.repository.remove(&format!("{name}.yaml"));
    }
    beside.repository.deploy("without them");
    let after = beside.rig.settled();
    assert_eq!(after.units.len(), 1);
    assert_eq!(after.unit("Container/good").instance(), before.unit("Container/good").instance());
    beside.rig.end();
}
