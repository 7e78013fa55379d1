//! Several processes of a hub on one PostgreSQL, any of which may be killed.

use crate::{
    hub::{Hub, broken_web, fleet, rollout, web},
    machine::Machine,
};
use abide_lab::Postgres;
use std::{
    collections::BTreeSet,
    fs, io,
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// One of four may be on its way at once.
const MACHINES: usize = 4;

#[test]
fn processes_die_and_no_budget_is_exceeded() {
    let postgres = Postgres::start();
    let name = postgres.database();
    let database = postgres.url(&name);
    let mut first = Hub::made("127.0.0.1", &["--database", &database]);
    first.repository.write("fleet.yaml", &(fleet(&first.id, "") + &rollout("soak: 1s, maxUnavailable: 1")));
    let commit = first.repository.land("the fleet");
    let mut hubs: Vec<Hub> = (0..2).map(|_| first.beside(&["--database", &database])).collect();
    first.start();
    hubs.iter_mut().for_each(Hub::start);
    hubs.insert(0, first);
    let logs = hubs.iter().map(|hub| hub.rig.path("agent.log")).collect();
    let _evidence = Evidence { postgres: &postgres, database: &name, logs };
    let entry = Entry::to(&hubs);
    let token = hubs[0].token(MACHINES);
    let machines: Vec<Machine> =
        (1..=MACHINES).map(|n| Machine::enrolled_at(&entry.url(), &token, &format!("till-{n}"))).collect();
    machines.iter().for_each(|machine| drop(machine.is_on(&commit)));
    let repository = hubs[0].repository.clone();

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
    retries_are_carried_out(&hubs, &newest);
    machines.into_iter().for_each(Machine::end);
}

/// Who leads tries a bad commit again, whichever process was asked: of two, one doesn't lead. It is tried where that was asked
/// for, and nowhere else.
fn retries_are_carried_out(hubs: &[Hub], good: &str) {
    let names: Vec<String> = (1..=MACHINES).map(|n| format!("till-{n}")).collect();
    let before: Vec<u64> = names.iter().map(|name| hubs[0].target(name)).collect();
    hubs[0].repository.write("base/web.yaml", &broken_web());
    hubs[0].repository.land("it can't start");
    hubs[0].rollout_is("stopped");
    let told = || -> Vec<(&String, u64)> {
        let known = names.iter().zip(before.iter().copied());
        known.filter(|(name, before)| hubs[0].target(name) != *before).collect()
    };
    let &[(bad, mut last)] = &told()[..] else { panic!("{:?} were told what can't start", told()) };
    let is_back = |hub: &Hub, last: u64| {
        let now = hub.described(bad);
        now["commit"] == good && now["target"].as_u64().is_some_and(|number| number > last)
    };
    hubs[0].patiently("it goes back", || is_back(&hubs[0], last));
    for hub in &hubs[..2] {
        last = hub.target(bad);
        hub.rig.must(&["rollout", "retry", bad]);
        hub.patiently("it is told once more, and goes back", || is_back(hub, last));
        assert_eq!(told().len(), 1, "another was told as well: {:?}", told());
    }
}

/// What all processes said, and who leads, if the test fails: one of them alone doesn't tell why.
struct Evidence<'a> {
    postgres: &'a Postgres,
    database: &'a str,
    logs: Vec<PathBuf>,
}

impl Drop for Evidence<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for log in &self.logs {
            eprintln!("{}:\n{}", log.display(), fs::read_to_string(log).unwrap_or_default());
        }
        for table in ["lease", "hub", "retry"] {
            eprintln!("{table}:\n{}", self.postgres.query(self.database, &format!("SELECT * FROM {table}")));
        }
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
