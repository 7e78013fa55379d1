//! Ports of the host: they answer, they move without losing a request, and they are given back.

use crate::{
    rig::{Rig, helper, until},
    scripts::container,
};
use abide_host::{fs::Dir, net::namespace};
use abide_reconcile::{Fault, InstanceId, Phase, Role, Step, Want};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A machine of its own that reaches the host over a link, as in a network.
struct Lan {
    space: String,
    namespace: File,
    /// The host, as seen from there.
    host: Ipv4Addr,
}

impl Lan {
    fn new(rig: &Rig) -> Self {
        let tag = rig.tag();
        let space = format!("lan-{tag}");
        let number = u16::from_str_radix(&tag[..4], 16).unwrap();
        // Out of the network that RFC 2544 has for tests between machines.
        let base = Ipv4Addr::new(198, 18, 0, 0).to_bits() + u32::from(number & 0x3fff) * 4;
        let (host, own) = (Ipv4Addr::from_bits(base + 1), Ipv4Addr::from_bits(base + 2));
        let link = format!("lan{tag}");
        ip(&["netns", "add", &space]);
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &space]);
        ip(&["addr", "add", &format!("{host}/30"), "dev", &link]);
        ip(&["link", "set", &link, "up"]);
        ip(&["-n", &space, "addr", "add", &format!("{own}/30"), "dev", "eth0"]);
        ip(&["-n", &space, "link", "set", "eth0", "up"]);
        let namespace = File::open(format!("/run/netns/{space}")).unwrap();
        Self { space, namespace, host }
    }

    fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        namespace::within(self.namespace.as_fd(), act).unwrap()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.space]);
    }
}

fn ip(args: &[&str]) {
    assert!(Command::new("ip").args(args).status().unwrap().success(), "ip {args:?}");
}

/// Ports that nobody uses, below those that the kernel gives to clients; another root begins to look elsewhere.
fn free_ports<const COUNT: usize>(rig: &Rig) -> [u16; COUNT] {
    let start = u32::from_str_radix(&rig.tag(), 16).unwrap();
    let all = (0..20_000).map(|n| 10_000 + u16::try_from((start + n) % 20_000).unwrap());
    let mut free = all.filter(|port| TcpListener::bind(("::", *port)).is_ok());
    [(); COUNT].map(|()| free.next().unwrap())
}

fn ask(host: impl Into<IpAddr>, port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((host.into(), port))?;
    stream.write_all(b"who?\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Answers `says` on port 8080. What is under way when it is to stop has a second to end.
fn server(says: &str, ports: &serde_json::Value) -> Arc<Want> {
    let more = json!({ "ports": ports, "stopGracePeriod": "1s" });
    container("web", &[helper().to_str().unwrap(), "serve", says, "8080"], &more)
}

fn started(rig: &mut Rig, want: &Arc<Want>) -> InstanceId {
    let instance = rig.start(want).unwrap();
    let address = rig.ground.inspect(&want.unit.id, instance).unwrap().address.unwrap();
    until("it serves", || TcpStream::connect((address, 8080)).is_ok());
    instance
}

#[test]
fn a_port_moves_under_load_without_losing_a_request() {
    let mut rig = Rig::new();
    let lan = Lan::new(&rig);
    let [port] = free_ports(&rig);
    let ports = json!([{ "port": 8080, "hostPort": port }]);
    let unit = server("0", &ports).unit.id.clone();
    let mut active = started(&mut rig, &server("0", &ports));
    rig.run(&unit, Step::Activate { instance: active }).unwrap();
    let end = AtomicBool::new(false);
    let count = |host: IpAddr| {
        let mut counts = BTreeMap::<String, usize>::new();
        while !end.load(Ordering::Relaxed) {
            *counts.entry(ask(host, port).unwrap()).or_default() += 1;
        }
        counts
    };
    let (count, lan) = (&count, &lan);
    let answers = thread::scope(|scope| {
        let mut asking = Vec::new();
        for host in [IpAddr::V4(Ipv4Addr::LOCALHOST), "::1".parse().unwrap(), lan.host.into()] {
            asking.push(scope.spawn(move || count(host)));
            asking.push(scope.spawn(move || lan.within(|| count(lan.host.into()))));
        }
        for n in 1..=5 {
            let next = started(&mut rig, &server(&n.to_string(), &ports));
            assert_eq!(rig.role(&unit, next), Some(Role::Candidate));
            rig.run(&unit, Step::Activate { instance: next }).unwrap();
            assert_eq!(rig.role(&unit, active), Some(Role::Retiring));
            rig.run(&unit, Step::Stop { instance: active }).unwrap();
            active = next;
        }
        end.store(true, Ordering::Relaxed);
        asking.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for counts in answers {
        assert_eq!(counts.keys().map(String::as_str).collect::<Vec<_>>(), ["0", "1", "2", "3", "4", "5"]);
    }
    rig.run(&unit, Step::Stop { instance: active }).unwrap();
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    rig.tear_down();
}

/// An agent died after it gave the address back, and before the instance's record was gone.
#[test]
fn what_is_half_taken_away_does_no_harm_to_who_has_its_place_next() {
    let mut rig = Rig::new();
    let lan = Lan::new(&rig);
    let [port] = free_ports(&rig);
    let want = server("web", &json!([{ "port": 8080, "hostPort": port }]));
    let unit = &want.unit.id;
    let old = started(&mut rig, &want);
    rig.run(unit, Step::Activate { instance: old }).unwrap();
    let place = rig.ground.inspect(unit, old).unwrap().address.unwrap();
    rig.run(unit, Step::Kill { instance: old }).unwrap();
    rig.exit_code(unit, old);
    let networks = fs::read_dir(rig.paths.state.join("leases")).unwrap();
    networks.for_each(|network| fs::remove_file(network.unwrap().path().join(place.to_string())).unwrap());
    rig.restart();

    let new = started(&mut rig, &want);
    assert_eq!(rig.ground.inspect(unit, new).unwrap().address, Some(place));
    rig.run(unit, Step::Activate { instance: new }).unwrap();
    rig.run(unit, Step::Stop { instance: old }).unwrap();
    assert_eq!(rig.seen(unit, old), None);
    assert_eq!(ask(place, 8080).unwrap(), "web");
    assert_eq!(lan.within(|| ask(lan.host, port)).unwrap(), "web");
    assert!(rig.traces().contains(&format!("lease {place}")));
    rig.tear_down();
}

#[test]
fn udp_clients_that_keep_their_socket_reach_the_new_one() {
    let mut rig = Rig::new();
    let lan = Lan::new(&rig);
    let [port] = free_ports(&rig);
    let ports = json!([{ "port": 8080, "hostPort": port, "protocol": "UDP" }]);
    let unit = server("old", &ports).unit.id.clone();
    let old = started(&mut rig, &server("old", &ports));
    rig.run(&unit, Step::Activate { instance: old }).unwrap();
    let client = lan.within(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let ask = || {
        client.send_to(b"who?", (lan.host, port)).unwrap();
        let mut answer = [0; 16];
        client.recv(&mut answer).map(|length| String::from_utf8(answer[..length].to_vec()).unwrap())
    };
    until("the old one answers", || ask().is_ok_and(|answer| answer == "old"));
    let new = started(&mut rig, &server("new", &ports));
    assert_eq!(ask().unwrap(), "old");
    rig.run(&unit, Step::Activate { instance: new }).unwrap();
    until("the new one answers", || ask().is_ok_and(|answer| answer == "new"));
    rig.tear_down();
}

#[test]
fn a_port_that_somebody_else_has_is_named_and_left_alone() {
    let mut rig = Rig::new();
    let others = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = others.local_addr().unwrap().port();
    let want = server("web", &json!([{ "port": 8080, "hostPort": port }]));
    let instance = started(&mut rig, &want);
    let fault = rig.run(&want.unit.id, Step::Activate { instance }).unwrap_err();
    let expected = format!("tcp port {port} of the host is used by another program");
    assert!(matches!(&fault, Fault::Again(why) if why.starts_with(&expected)), "{fault}");
    assert_eq!(rig.role(&want.unit.id, instance), Some(Role::Candidate));
    drop(others);
    rig.run(&want.unit.id, Step::Activate { instance }).unwrap();
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port).unwrap(), "web");
    rig.tear_down();
}

#[test]
fn an_activation_that_was_cut_short_is_done_again() {
    let mut rig = Rig::new();
    let [both, gone, come] = free_ports(&rig);
    let port = |host: u16| json!({ "port": 8080, "hostPort": host });
    let (old, new) = (server("old", &json!([port(both), port(gone)])), server("new", &json!([port(both), port(come)])));
    let unit = old.unit.id.clone();
    let first = started(&mut rig, &old);
    rig.run(&unit, Step::Activate { instance: first }).unwrap();
    let second = started(&mut rig, &new);
    // Everything but the record, which the crash came before.
    let directory = Dir::open(&rig.paths.units().join("infra_Container_web_0")).unwrap();
    let before = fs::read(directory.path().join("unit.json")).unwrap();
    rig.run(&unit, Step::Activate { instance: second }).unwrap();
    fs::write(directory.path().join("unit.json"), before).unwrap();
    rig.restart();
    assert_eq!(rig.role(&unit, second), Some(Role::Candidate));
    assert_eq!(ask(Ipv4Addr::LOCALHOST, both).unwrap(), "new");
    rig.run(&unit, Step::Activate { instance: second }).unwrap();
    assert_eq!([first, second].map(|instance| rig.role(&unit, instance).unwrap()), [Role::Retiring, Role::Active]);
    assert_eq!(ask(Ipv4Addr::LOCALHOST, come).unwrap(), "new");
    assert_eq!(ask(Ipv4Addr::LOCALHOST, gone).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    rig.run(&unit, Step::Stop { instance: first }).unwrap();
    assert_eq!(ask(Ipv4Addr::LOCALHOST, both).unwrap(), "new");
    rig.tear_down();
}

#[test]
fn a_dead_one_s_ports_are_taken_over() {
    let mut rig = Rig::new();
    let [port] = free_ports(&rig);
    let want = server("web", &json!([{ "port": 8080, "hostPort": port }]));
    let unit = want.unit.id.clone();
    let first = started(&mut rig, &want);
    rig.run(&unit, Step::Activate { instance: first }).unwrap();
    rig.run(&unit, Step::Kill { instance: first }).unwrap();
    assert!(matches!(rig.seen(&unit, first).unwrap().phase, Phase::Exited { code: 137, .. }));
    let second = started(&mut rig, &want);
    rig.run(&unit, Step::Activate { instance: second }).unwrap();
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port).unwrap(), "web");
    rig.run(&unit, Step::Stop { instance: first }).unwrap();
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port).unwrap(), "web");
    rig.tear_down();
}

#[test]
fn a_table_that_somebody_flushes_is_mended_by_the_next_look() {
    let mut rig = Rig::new();
    let lan = Lan::new(&rig);
    let [port] = free_ports(&rig);
    let want = server("web", &json!([{ "port": 8080, "hostPort": port }]));
    let instance = started(&mut rig, &want);
    rig.run(&want.unit.id, Step::Activate { instance }).unwrap();
    assert!(
        Command::new("nft")
            .args(["delete", "table", "inet", &format!("abide-{}", rig.tag())])
            .status()
            .unwrap()
            .success()
    );
    rig.all();
    assert_eq!(lan.within(|| ask(lan.host, port)).unwrap(), "web");
    assert!(rig.traces().iter().any(|trace| trace.starts_with("table")));
    rig.tear_down();
}
