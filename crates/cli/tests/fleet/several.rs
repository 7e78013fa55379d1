//! Several processes of a hub on one PostgreSQL, any of which may be killed.

use crate::{
    hub::{Hub, fleet, rollout, web},
    machine::Machine,
};
use abide_lab::Postgres;
use std::{
    collections::BTreeSet,
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// One of four may be on its way at once.
const MACHINES: usize = 4;

#[test]
fn processes_die_and_no_budget_is_exceeded() {
    let postgres = Postgres::start();
    let database = postgres.url(&postgres.database());
    let mut first = Hub::made("127.0.0.1", &["--database", &database]);
    first.repository.write("fleet.yaml", &(fleet(&first.id, "") + &rollout("soak: 1s, maxUnavailable: 1")));
    let commit = first.repository.land("the fleet");
    let mut hubs: Vec<Hub> = (0..2).map(|_| first.beside(&["--database", &database])).collect();
    first.start();
    hubs.iter_mut().for_each(Hub::start);
    hubs.insert(0, first);
    let entry = Entry::to(&hubs);
    let token = hubs[0].token(MACHINES);
    let machines: Vec<Machine> =
        (1..=MACHINES).map(|n| Machine::enrolled_at(&entry.url(), &token, &format!("till-{n}"))).collect();
    machines.iter().for_each(|machine| drop(machine.is_on(&commit)));
    let repository = hubs[0].repository.clone();

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| most_at_once(&machines, &is_over));
        for (round, greeting) in ["two", "three", "four"].into_iter().enumerate() {
            repository.write("base/web.yaml", &web(greeting));
            let commit = repository.land(greeting);
            for beat in 0..2 {
                let victim = (round + beat) % hubs.len();
                hubs[victim].kill();
                thread::sleep(Duration::from_secs(2));
                hubs[victim].start();
            }
            machines.iter().for_each(|machine| drop(machine.is_on(&commit)));
            hubs[0].patiently("the roll-out is over", || hubs[0].rollouts()["rollouts"][0]["state"] == "done");
        }
        is_over.store(true, Ordering::Relaxed);
        let most = watch.join().unwrap();
        assert!(most <= 1, "{most} machines were on their way at once, and 1 was allowed");
    });
    // Whoever is asked knows the same.
    let told: BTreeSet<String> = hubs.iter().map(|hub| hub.machine("till-1")["commit"].to_string()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    machines.into_iter().for_each(Machine::end);
}

/// So many were not as the newest commit that they know says at once, as they themselves say.
fn most_at_once(machines: &[Machine], is_over: &AtomicBool) -> usize {
    let mut most = 0;
    while !is_over.load(Ordering::Relaxed) {
        let is_changing = |machine: &&Machine| !machine.get().settled;
        most = most.max(machines.iter().filter(is_changing).count());
    }
    most
}

/// What stands before several processes, as a balancer does: a connection goes to the next one that lives.
struct Entry {
    port: u16,
}

impl Entry {
    fn to(hubs: &[Hub]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ports: Vec<u16> = hubs.iter().map(|hub| hub.port.number).collect();
        // It ends with the test's process.
        thread::spawn(move || {
            for (n, client) in listener.incoming().map_while(Result::ok).enumerate() {
                let behind =
                    (0..ports.len()).find_map(|k| TcpStream::connect(("127.0.0.1", ports[(n + k) % ports.len()])).ok());
                if let Some(behind) = behind {
                    relay(&client, &behind);
                    relay(&behind, &client);
                }
            }
        });
        Self { port }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

fn relay(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        // Whichever side ends, both do.
        let _ = io::copy(&mut from, &mut to);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}
