use super::world::{HOST, Instance, WHO, World, ask, ask_within, isolated};
use crate::net::{
    conntrack,
    nft::{Change, HostPort, Protocol},
};
use std::{
    collections::BTreeMap,
    io::Read as _,
    net::{SocketAddrV4, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

const SHORT: Duration = Duration::from_millis(300);

fn tcp(port: u16) -> HostPort {
    HostPort { protocol: Protocol::Tcp, port }
}

fn udp(port: u16) -> HostPort {
    HostPort { protocol: Protocol::Udp, port }
}

#[test]
fn a_published_port_answers_from_everywhere() {
    isolated(|| {
        let world = World::new();
        let (one, two) = (world.instance(2), world.instance(3));
        let _one = one.serve(8080, WHO);
        world.table.publish(&[Change::Publish(tcp(80), one.at(8080))]).unwrap();
        let published = SocketAddrV4::new(HOST, 80);
        assert_eq!(world.lan.ask(published).unwrap(), "192.0.2.9", "who asks is seen");
        assert_eq!(ask(published).unwrap(), "192.0.2.2", "the host by its address");
        assert_eq!(two.space.ask(published).unwrap(), "10.1.16.1", "another instance");
        assert_eq!(one.space.ask(published).unwrap(), "10.1.16.1", "itself");
        assert_eq!(ask("10.1.16.1:80".parse().unwrap()).unwrap(), "10.1.16.1", "by the bridge's address");
        assert!(ask("127.0.0.1:80".parse().unwrap()).is_err(), "loopback is not the table's");

        let elsewhere = Change::Withdraw(tcp(80), two.at(8080));
        world.table.publish(&[elsewhere]).unwrap();
        assert!(world.lan.ask(published).is_ok(), "it leads to another, and stays");
        world.table.publish(&[Change::Withdraw(tcp(80), one.at(8080))]).unwrap();
        assert!(world.lan.ask(published).is_err());
        assert!(world.lan.run(|| ask_within(one.at(8080), SHORT)).is_err());
    });
}

#[test]
fn a_port_moves_without_losing_a_connection() {
    isolated(|| {
        let world = World::new();
        let instances = [world.instance(2), world.instance(3)];
        let _servers = [instances[0].serve(8080, "one"), instances[1].serve(8080, "two")];
        let publish =
            |instance: &Instance| world.table.publish(&[Change::Publish(tcp(80), instance.at(8080))]).unwrap();
        publish(&instances[0]);
        let (end, have_seen_both) = (AtomicBool::new(false), AtomicUsize::new(0));
        let answers = thread::scope(|scope| {
            let ask = || count_answers(&world, &end, &have_seen_both);
            let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            // On a busy machine some begin late.
            let is_over = |n| n >= 60 && have_seen_both.load(Ordering::Relaxed) == 4;
            for n in (0..).take_while(|n| !is_over(*n) && asking.iter().all(|thread| !thread.is_finished())) {
                publish(&instances[n % 2]);
                // The table is made anew under way as well.
                if n % 10 == 0 {
                    world.table.ensure().unwrap();
                }
            }
            end.store(true, Ordering::Relaxed);
            asking.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        for counts in answers {
            assert_eq!(counts.keys().collect::<Vec<_>>(), ["one", "two"], "{counts:?}");
        }
    });
}

fn count_answers(world: &World, end: &AtomicBool, have_seen_both: &AtomicUsize) -> BTreeMap<String, usize> {
    world.lan.run(|| {
        let mut counts = BTreeMap::new();
        while !end.load(Ordering::Relaxed) {
            let answer = ask(SocketAddrV4::new(HOST, 80)).unwrap();
            let known = counts.len();
            *counts.entry(answer).or_default() += 1;
            if (known, counts.len()) == (1, 2) {
                have_seen_both.fetch_add(1, Ordering::Relaxed);
            }
        }
        counts
    })
}

#[test]
fn who_is_connected_stays_until_the_instance_has_gone() {
    isolated(|| {
        let world = World::new();
        let (old, new) = (world.instance(2), world.instance(3));
        let listener = old.space.run(|| std::net::TcpListener::bind("0.0.0.0:8080")).unwrap();
        let _new = new.serve(8080, "new");
        let published = SocketAddrV4::new(HOST, 80);
        world.table.publish(&[Change::Publish(tcp(80), old.at(8080))]).unwrap();
        let mut client = world.lan.run(|| TcpStream::connect(published)).unwrap();
        let (held, _) = listener.accept().unwrap();
        world.table.publish(&[Change::Publish(tcp(80), new.at(8080))]).unwrap();
        std::io::Write::write_all(&mut &held, b"still here").unwrap();
        client.read_exact(&mut [0; 10]).unwrap();
        assert_eq!(world.lan.ask(published).unwrap(), "new");

        // It vanishes without a word, as in a power failure.
        let Instance { space, address } = old;
        crate::net::link::remove("ava1b2c32").unwrap();
        assert_eq!(conntrack::forget_instance(address).unwrap(), 1);
        assert_eq!(conntrack::forget_instance(address).unwrap(), 0);
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let asked = Instant::now();
        std::io::Write::write_all(&mut client, b"hello?").unwrap();
        assert!(client.read_to_end(&mut Vec::new()).is_err(), "it is told");
        assert!(asked.elapsed() < Duration::from_secs(2));
        drop((held, listener, space));
    });
}

#[test]
fn flows_without_an_end_follow_the_port() {
    isolated(|| {
        let world = World::new();
        let (old, new) = (world.instance(2), world.instance(3));
        let [heard_old, heard_new] = [&old, &new].map(|instance| {
            let socket = instance.space.run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
            socket.set_read_timeout(Some(SHORT)).unwrap();
            socket
        });
        let client = world.lan.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        let say = || client.send_to(b"hello", SocketAddrV4::new(HOST, 5353)).map(drop).unwrap();
        let heard = |socket: &UdpSocket| socket.recv(&mut [0; 9]).is_ok();
        let settle = || conntrack::settle_udp(&world.table.ports().unwrap().unwrap()).unwrap();

        say();
        world.table.publish(&[Change::Publish(udp(5353), old.at(53)), Change::Publish(tcp(1), old.at(1))]).unwrap();
        assert_eq!(settle(), 1, "one from before it was published");
        say();
        assert!(heard(&heard_old));
        assert_eq!(settle(), 0);
        world.table.publish(&[Change::Publish(udp(5353), new.at(53))]).unwrap();
        say();
        assert!(heard(&heard_old), "the kernel remembers the flow");
        assert_eq!(settle(), 1);
        say();
        assert!(heard(&heard_new) && !heard(&heard_old));
    });
}
