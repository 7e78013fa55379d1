//! Several processes of a hub on one PostgreSQL, any of which may be killed.

use crate::{
    hub::{Hub, broken_web, fleet, rollout, web},
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
    // Only what was proved is gone back to.
    hubs[0].rolled_out(&commit, MACHINES);
    retries_are_carried_out(&hubs, &commit);

    let mut newest = commit;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| most_at_once(&machines, &is_over));
        let over = Over(&is_over);
        for (round, greeting) in ["two", "three", "four"].into_iter().enumerate() {
            repository.write("base/web.yaml", &web(greeting));
            newest = repository.land(greeting);
            for beat in 0..2 {
                let victim = (round + beat) % hubs.len();
                hubs[victim].kill();
                thread::sleep(Duration::from_secs(2));
                hubs[victim].start();
            }
            machines.iter().for_each(|machine| drop(machine.is_on(&newest)));
            hubs[0].rolled_out(&newest, MACHINES);
        }
        drop(over);
        let most = watch.join().unwrap();
        assert!(most <= 1, "{most} machines were on their way at once, and 1 was allowed");
    });
    // Whoever is asked knows the same.
    hubs.iter().for_each(|hub| hub.tells("till-1", &newest));
    machines.into_iter().for_each(Machine::end);
}

/// Who leads tries a bad commit again, whichever process was asked: of two, one doesn't lead.
fn retries_are_carried_out(hubs: &[Hub], good: &str) {
    let names: Vec<String> = (1..=MACHINES).map(|n| format!("till-{n}")).collect();
    let before: Vec<u64> = names.iter().map(|name| hubs[0].target(name)).collect();
    hubs[0].repository.write("base/web.yaml", &broken_web());
    hubs[0].repository.land("it can't start");
    hubs[0].rollout_is("stopped");
    names.iter().for_each(|name| hubs[0].tells(name, good));
    let was_told = |(name, before): &(&String, u64)| hubs[0].target(name) != *before;
    let told: Vec<&String> = names.iter().zip(before).filter(was_told).map(|(name, _)| name).collect();
    let [bad] = told[..] else { panic!("{told:?} were told what can't start") };
    for hub in &hubs[..2] {
        let before = hub.target(bad);
        hub.rig.must(&["rollout", "retry", bad]);
        hub.patiently("it is told once more", || hub.target(bad) > before);
        hub.tells(bad, good);
    }
}

/// Ends the watching, also when the test fails: or else that waits for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// So many were on their way at once, as they themselves say. They are asked one after the other, so that only who is on
/// the way to the same in two rounds is known to have been so in one moment, between them.
fn most_at_once(machines: &[Machine], is_over: &AtomicBool) -> usize {
    let (mut most, mut before) = (0, BTreeSet::new());
    while !is_over.load(Ordering::Relaxed) {
        let asked = machines.iter().map(|machine| machine.get()).enumerate().filter(|(_, now)| !now.settled);
        let now: BTreeSet<(usize, u64)> = asked.map(|(n, now)| (n, now.source("fleet").generation)).collect();
        most = most.max(now.intersection(&before).count());
        before = now;
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
