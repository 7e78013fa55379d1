//! Another machine on the network of this one: a network namespace with a cable to it. What it asks comes in from outside, as
//! a user's requests do.
//!
//! The namespace has no name. So it ends with whoever has it open or runs in it, however these end, and its cable with it.

use crate::{
    http::{Connection, Keep},
    ports::{HostPort, host_port},
    run,
};
use nix::sched::{CloneFlags, setns, unshare};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    process,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
};

/// How it calls its end of the cable.
pub const END: &str = "eth0";

/// A machine next to this one, until it is dropped.
pub struct Neighbour {
    space: File,
    host: Ipv4Addr,
    own: Ipv4Addr,
    // Its number is in the names and addresses, and nobody else's.
    _number: HostPort,
}

/// What became of a load of requests.
#[derive(Debug, Default)]
pub struct Answers {
    /// How often the first line of the answer was which.
    pub answered: BTreeMap<String, usize>,
    /// Every request without a whole answer of status 200, with what went wrong.
    pub lost: Vec<String>,
}

impl Neighbour {
    /// Sets it up.
    #[expect(clippy::new_without_default, reason = "it is no value: it makes links")]
    pub fn new() -> Self {
        let number = host_port();
        // 198.18.0.0/15 is for tests of this kind (RFC 2544). Four addresses each.
        let base = Ipv4Addr::new(198, 18, 0, 0).to_bits() + u32::from(number.number) * 4;
        let [host, own] = [base + 1, base + 2].map(Ipv4Addr::from_bits);
        let cable = format!("lab{}", number.number);
        let neighbour = Self { space: space(), host, own, _number: number };
        let ip = |arguments: &str| run("ip", &arguments.split(' ').collect::<Vec<_>>());
        let there = |arguments: &str| neighbour.within(|| ip(arguments));
        there(&format!("link add {END} type veth peer name {cable} netns {}", process::id()));
        // Nobody looks for routers of IPv6: what crosses is what somebody asked for.
        ip(&format!("link set {cable} addrgenmode none"));
        there(&format!("link set {END} addrgenmode none"));
        ip(&format!("address add {host}/30 dev {cable}"));
        ip(&format!("link set {cable} up"));
        there(&format!("address add {own}/30 dev {END}"));
        there(&format!("link set {END} up"));
        there("link set lo up");
        there(&format!("route add default via {host}"));
        neighbour
    }

    /// Its own address.
    pub fn address(&self) -> Ipv4Addr {
        self.own
    }

    /// A port of this machine, as the neighbour sees it.
    pub fn sees(&self, port: u16) -> SocketAddr {
        SocketAddrV4::new(self.host, port).into()
    }

    /// Does something over there. Programs that it starts stay there.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let there = || {
            setns(&self.space, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        };
        thread::scope(|scope| scope.spawn(there).join().unwrap())
    }

    /// Asks a port of this machine again and again while something is done here: half of those who ask keep their connection.
    /// It is begun when all of them have been answered, or not, for the first time.
    pub fn load<T>(&self, port: u16, act: impl FnOnce() -> T) -> (T, Answers) {
        let (at, end) = (self.sees(port), &AtomicBool::new(false));
        let (begun, begins) = channel();
        thread::scope(|scope| {
            let kinds = [Keep::Yes, Keep::No, Keep::Yes, Keep::No];
            let asking = kinds.map(|keep| {
                let begun = begun.clone();
                scope.spawn(move || self.within(|| ask(at, keep, end, begun)))
            });
            drop(begun);
            for () in begins {}
            // Whatever `act` does, those who ask have to be told that it is over.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            end.store(true, Ordering::Relaxed);
            let mut all = Answers::default();
            for answers in asking.map(|thread| thread.join().unwrap()) {
                all.lost.extend(answers.lost);
                for (line, count) in answers.answered {
                    *all.answered.entry(line).or_default() += count;
                }
            }
            (done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), all)
        })
    }
}

/// A network namespace of its own.
fn space() -> File {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    made.join().unwrap()
}

fn ask(at: SocketAddr, keep: Keep, end: &AtomicBool, begun: Sender<()>) -> Answers {
    let (mut answers, mut kept, mut begun) = (Answers::default(), None, Some(begun));
    while !end.load(Ordering::Relaxed) {
        match once(at, keep, &mut kept) {
            Ok(line) => *answers.answered.entry(line).or_default() += 1,
            Err(error) => answers.lost.push(error.to_string()),
        }
        drop(begun.take());
    }
    answers
}

fn once(at: SocketAddr, keep: Keep, kept: &mut Option<Connection>) -> io::Result<String> {
    let mut connection = kept.take().map_or_else(|| Connection::open(at), Ok)?;
    let (answer, stays) = connection.get("/", keep)?;
    *kept = (stays == Keep::Yes).then_some(connection);
    if answer.status != 200 {
        return Err(io::Error::other(format!("status {}", answer.status)));
    }
    Ok(answer.body.lines().next().unwrap_or_default().to_owned())
}
