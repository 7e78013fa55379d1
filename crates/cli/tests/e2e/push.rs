//! One commit brings units up; the next ones change what they say, and nothing else.

use crate::{
    documents::{keeping, machine, volume, web},
    started,
    support::{boots, greeting, local, starts},
};
use abide_lab::{Neighbour, Repository, Rig, host_port, http::get, oci};
use std::{net::UdpSocket, time::Duration};

fn with_images(rig: &Rig) -> Repository {
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.guest();
    repository
}

#[test]
fn a_commit_brings_up_a_container_and_a_virtual_machine() {
    let rig = started();
    let [web_port, machine_port] = [host_port(), host_port()];
    let repository = with_images(&rig);
    repository.write("web.yaml", &web("web", "hello", web_port.number, ""));
    repository.write("machine.yaml", &machine("guest", machine_port.number));
    let commit = repository.deploy("both");
    assert_eq!(greeting(web_port.number), "hello");
    assert_eq!(boots(&rig, machine_port.number), "hello from guest\n");
    let neighbour = Neighbour::new();
    neighbour.within(|| {
        for port in [&web_port, &machine_port] {
            assert_eq!(get(neighbour.sees(port.number), "/").unwrap().status, 200);
        }
    });
    assert!(rig.must(&["logs", "VirtualMachine/guest"]).contains("abide guest: here"));
    let snapshot = rig.settled();
    assert_eq!(snapshot.source("infra").commit, commit);
    for unit in ["Container/web", "VirtualMachine/guest"] {
        let unit = snapshot.unit(unit);
        assert!(unit.state == "settled" && unit.ready && unit.addresses.len() == 1, "{unit:?}");
        assert_eq!(unit.instance().role, "active", "{unit:?}");
    }
    drop(neighbour);
    rig.end();
}

#[test]
fn a_commit_changes_what_it_says_and_nothing_else() {
    let rig = started();
    let [web_port, machine_port] = [host_port(), host_port()];
    let repository = with_images(&rig);
    repository.write("web.yaml", &web("web", "one", web_port.number, ""));
    repository.write("machine.yaml", &machine("guest", machine_port.number));
    repository.deploy("first");
    let first = rig.settled();

    let neighbour = Neighbour::new();
    let ((), answers) = neighbour.load(web_port.number, || {
        repository.write("web.yaml", &web("web", "two", web_port.number, ""));
        repository.deploy("the environment of web");
    });
    assert_eq!(answers.lost, Vec::<String>::new(), "{:?}", answers.answered);
    assert_eq!(answers.answered.keys().collect::<Vec<_>>(), ["one", "two"]);
    let second = rig.settled();
    assert_ne!(second.unit("Container/web").instance().id, first.unit("Container/web").instance().id);
    assert_eq!(second.unit("VirtualMachine/guest"), first.unit("VirtualMachine/guest"));

    let labelled = web("web", "two", web_port.number, "").replace("{name: web}", "{name: web, labels: {app: shop}}");
    repository.write("somewhere/else.yaml", &labelled);
    repository.remove("web.yaml");
    repository.deploy("a label, in a file of another name");
    let third = rig.settled();
    assert_eq!(third.units, second.units);
    rig.end();
}

#[test]
fn what_a_commit_no_longer_says_goes_and_data_stays() {
    let rig = started();
    let port = host_port();
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    repository.write("volume.yaml", &volume("data"));
    repository.write("web.yaml", &keeping("web", "one", port.number, "data"));
    let first = repository.deploy("first");
    assert_eq!(starts(port.number), 1);

    repository.remove("web.yaml");
    repository.deploy("without web");
    let snapshot = rig.settled();
    assert_eq!(snapshot.find("Container/web"), None);
    assert!(get(local(port.number), "/").is_err());

    // Back by force: that is a newer wish, though an older commit.
    repository.git(&["reset", "-q", "--hard", &first]);
    let said = repository.push(&["--force"]);
    assert_eq!(said.code, 0, "{said}");
    let back = rig.wait("the first commit is back", |now| now.settled && now.source("infra").commit == first);
    assert!(back.source("infra").generation > snapshot.source("infra").generation);
    assert_eq!(starts(port.number), 2);
    rig.end();
}

#[test]
fn packets_follow_a_published_port() {
    let (rig, port, neighbour) = (started(), host_port(), Neighbour::new());
    let repository = rig.repository("infra");
    repository.image("hello", &oci::hello());
    let socket = neighbour.within(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket.connect(neighbour.sees(port.number)).unwrap();
    // One socket all the time: the kernel remembers its flow, and where that led to.
    for greeting in ["one", "two"] {
        let document = web("web", greeting, port.number, "");
        repository.write("web.yaml", &document.replace("ports: [{port: 8080,", "ports: [{protocol: UDP, port: 8080,"));
        repository.deploy(greeting);
        let answer = rig.until(&format!("a packet is answered by {greeting}"), || {
            socket.send(b"?").ok()?;
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        });
        assert_eq!(answer, greeting);
    }
    drop(neighbour);
    rig.end();
}
