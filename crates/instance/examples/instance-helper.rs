//! What this crate's tests run as processes of their own.
//!
//! `instance-helper serve NAME PORT` answers NAME to each line over TCP and each packet over UDP. `instance-helper agent ROOT
//! EPOCH` starts, moves and stops instances until it is killed.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../tests/it/scripts.rs"]
mod scripts;

use abide_host::root::{Paths, Root};
use abide_instance::{Ground, Instances};
use abide_reconcile::{Backend as _, Look, Order, Step, Ticket, UnitId};
use scripts::{Nobody, Scripts, name, owner, script};
use serde_json::json;
use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
    sync::Arc,
    thread,
};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", name, port] => serve(name, port.parse().unwrap()),
        ["agent", root, epoch] => churn(Path::new(root), epoch.parse().unwrap()),
        other => panic!("{other:?}"),
    }
}

fn serve(name: &str, port: u16) {
    let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut packet = [0; 64];
            loop {
                let (_, from) = socket.recv_from(&mut packet).unwrap();
                // Who asked may be gone.
                let _ = socket.send_to(name.as_bytes(), from);
            }
        });
        for client in listener.incoming() {
            let client = client.unwrap();
            scope.spawn(move || answer(&client, name));
        }
    });
}

fn answer(mut client: &TcpStream, name: &str) {
    for line in BufReader::new(client).lines() {
        if line.is_err() || client.write_all(format!("{name}\n").as_bytes()).is_err() {
            return;
        }
    }
}

/// Many units at once, one after the other each: started, made the active one in the place of the one before, that stopped.
fn churn(root: &Path, epoch: u64) {
    let paths = Paths::of(Some(root)).make().unwrap();
    let root = Root::open(&paths).unwrap();
    // Those of the agent before may be in use still: the same for all.
    let first = 10_000 + u16::from_str_radix(&root.tag().as_str()[..4], 16).unwrap() % 20_000;
    let ground = Ground::open(root, epoch, |_| {}).unwrap();
    let instances = Instances::new(ground, Scripts::default());
    // The tests are told that it is at work.
    println!("at work");
    thread::scope(|scope| {
        for number in 0..3 {
            let instances = &instances;
            scope.spawn(move || churn_unit(instances, epoch, number, first + number));
        }
    });
}

fn churn_unit(instances: &Instances<Scripts>, epoch: u64, number: u16, port: u16) {
    let more = json!({ "stopGracePeriod": "0s", "ports": [{ "port": 80, "hostPort": port }] });
    let want = script(&format!("churn-{number}"), "exec sleep 1000", &more);
    let unit: &UnitId = &want.unit.id;
    assert_eq!(unit.scope, name("infra"));
    let mut tickets = (0..).map(|n| Ticket { epoch, n: n * 3 + u64::from(number) + 1 });
    let mut run = |step| {
        let ticket = tickets.next().unwrap();
        instances.run(&Order { ticket, unit: unit.clone(), step, stamp: 0 }, &Nobody).map(|()| ticket)
    };
    loop {
        let start = Step::Start { want: Arc::clone(&want), owner: owner(), attempt: 0 };
        let instance = run(start).unwrap();
        run(Step::Activate { instance }).unwrap();
        let found = instances.observe(&Look::Units([unit.clone()].into())).unwrap();
        for seen in found.into_values().flat_map(|found| found.instances) {
            if seen.instance != instance {
                run(Step::Stop { instance: seen.instance }).unwrap();
            }
        }
    }
}
