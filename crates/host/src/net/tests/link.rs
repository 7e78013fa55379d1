use super::world::{BRIDGE, Instance, Space, WHO, World, address, ask_within, isolated, port, subnet};
use crate::net::{Subnet, link, route, subnet::choose, sysctl};
use nix::errno::Errno;
use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, UdpSocket},
    time::Duration,
};

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_bridge_can_be_made_again() {
    isolated(|| {
        for _ in 0..2 {
            link::ensure_bridge(BRIDGE, subnet(), 1400).unwrap();
        }
        assert_eq!(link::names("ab-").unwrap(), [BRIDGE]);
        assert_eq!(route::taken("").unwrap().iter().filter(|taken| taken.overlaps(subnet())).count(), 3);
        assert_eq!(std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{BRIDGE}/disable_ipv6")).unwrap(), "1\n");
        for _ in 0..2 {
            link::remove(BRIDGE).unwrap();
        }
        assert!(link::names("ab-").unwrap().is_empty());
    });
}

#[test]
fn what_is_no_bridge_is_not_made_one() {
    isolated(|| {
        let error = link::ensure_bridge("lo", subnet(), 1500).unwrap_err();
        assert_eq!(error.to_string(), "cannot make the bridge lo");
        assert!(error.is(Errno::EOPNOTSUPP), "{error:?}");
    });
}

#[test]
fn the_kernel_is_quoted() {
    isolated(|| {
        let error = link::ensure_bridge("a-name-that-is-too-long", subnet(), 1500).unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        insta::assert_snapshot!(format!("{error}: {source}"));
    });
}

#[test]
fn instances_reach_each_other_and_outside_but_are_not_reached() {
    isolated(|| {
        let world = World::new();
        let (one, two) = (world.instance(2), world.instance(3));
        let _two = two.serve(8080, WHO);
        assert_eq!(one.space.ask(two.at(8080)).unwrap(), "10.1.16.2");
        assert_eq!(super::world::ask(two.at(8080)).unwrap(), "10.1.16.1", "from the host");
        let _lan = world.lan.run(|| super::world::Server::new(80, WHO));
        let lan = "192.0.2.9:80".parse().unwrap();
        assert_eq!(one.space.ask(lan).unwrap(), "192.0.2.2", "in the host's name");
        assert!(world.lan.run(|| ask_within(two.at(8080), SHORT)).is_err(), "it has the route, but not the right");
    });
}

#[test]
fn only_its_network_speaks_on_the_bridge() {
    isolated(|| {
        let world = World::new();
        let liar = world.instance(2);
        let heard = world.lan.run(|| UdpSocket::bind("0.0.0.0:9")).unwrap();
        heard.set_read_timeout(Some(SHORT)).unwrap();
        let say = |from: &str, space: &Space| {
            let from: Ipv4Addr = from.parse().unwrap();
            space.run(|| UdpSocket::bind((from, 0)).unwrap().send_to(b"hello", "192.0.2.9:9")).unwrap();
        };
        let mut socket = liar.space.run(|| link::open("eth0")).unwrap();
        link::add_address(&mut socket, "eth0", Ipv4Addr::new(198, 51, 100, 7), 32).unwrap();
        say("198.51.100.7", &liar.space);
        assert!(heard.recv(&mut [0; 9]).is_err());
        say("10.1.16.2", &liar.space);
        assert_eq!(heard.recv(&mut [0; 9]).unwrap(), 5);
    });
}

#[test]
fn a_link_that_cannot_be_made_leaves_nothing() {
    isolated(|| {
        let space = Space::new();
        let error = link::veth(&port("avx", address(2)), space.fd()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot find the bridge {BRIDGE}"));
        assert!(link::names("av").unwrap().is_empty());
        assert!(space.run(|| link::names("eth")).unwrap().is_empty());

        link::ensure_bridge(BRIDGE, subnet(), 1500).unwrap();
        link::veth(&port("avx", address(2)), space.fd()).unwrap();
        let again = link::veth(&port("avx", address(3)), Space::new().fd()).unwrap_err();
        assert!(again.is(Errno::EEXIST), "{again:?}");
        assert_eq!(link::names("av").unwrap(), ["avx"], "the first one is still there");
        assert_eq!(space.run(|| link::names("")).unwrap(), ["eth0", "lo"]);
    });
}

#[test]
fn a_link_goes_with_its_instance() {
    isolated(|| {
        let world = World::new();
        let Instance { space, .. } = world.instance(2);
        assert_eq!(link::names("av").unwrap().len(), 1);
        link::remove("ava1b2c32").unwrap();
        assert!(space.run(|| link::names("eth")).unwrap().is_empty());
    });
}

#[test]
fn a_tap_device_carries_frames_and_goes_with_its_descriptor() {
    isolated(|| {
        let world = World::new();
        for (header, skip) in [(link::Header::None, 0), (link::Header::Virtio, 12)] {
            let mut tap = File::from(link::tap(&port("avtap", address(7)), header).unwrap());
            assert!(link::tap(&port("avtap", address(7)), header).unwrap_err().is(Errno::EBUSY), "it isn't shared");
            // Someone looks for the guest, who answers that it is there, and then gets what was to be sent.
            let sender = UdpSocket::bind("0.0.0.0:0").unwrap();
            sender.send_to(b"hello", (address(7), 9)).unwrap();
            let request = frame(&mut tap, |frame| frame[skip + 12..skip + 14] == [8, 6]);
            assert_eq!(request[skip + 38..skip + 42], address(7).octets(), "the address it looks for");
            tap.write_all(&[vec![0; skip], arp_answer(&request[skip..])].concat()).unwrap();
            let packet = frame(&mut tap, |frame| frame.ends_with(b"hello"));
            assert_eq!(packet[skip..skip + 6], link::mac(address(7)));
            drop(tap);
            assert!(link::names("avtap").unwrap().is_empty());
        }
        drop(world);
    });
}

/// The next frame that is meant.
fn frame(tap: &mut File, is_meant: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    loop {
        let mut waiting = [PollFd::new(tap.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut waiting, PollTimeout::from(5000_u16)).unwrap(), 1, "no such frame came");
        let mut frame = vec![0; 2048];
        let length = tap.read(&mut frame).unwrap();
        frame.truncate(length);
        if is_meant(&frame) {
            return frame;
        }
    }
}

/// RFC 826: the same with the roles changed.
fn arp_answer(request: &[u8]) -> Vec<u8> {
    let (asker, guest) = (&request[22..32], [&link::mac(address(7))[..], &address(7).octets()].concat());
    [&request[6..12], &link::mac(address(7)), &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &guest, asker].concat()
}

#[test]
fn the_host_is_read() {
    isolated(|| {
        let _world = World::new();
        let texts = |taken: Vec<Subnet>| taken.iter().map(ToString::to_string).collect::<Vec<_>>();
        insta::assert_debug_snapshot!(texts(route::taken(BRIDGE).unwrap()));
        assert!(texts(route::taken("").unwrap()).contains(&subnet().to_string()));
        assert_eq!(route::mtu().unwrap(), 1500);
        let free = choose("a1b2c3", &route::taken("").unwrap()).unwrap();
        assert!(!free.overlaps(subnet()));
        assert!(sysctl::forwards().unwrap());
    });
    isolated(|| {
        assert_eq!(route::mtu().unwrap(), 1500, "no route says otherwise");
        // A new namespace may begin as the machine's own is set.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        assert!(!sysctl::forwards().unwrap());
        sysctl::forward().unwrap();
        assert!(sysctl::forwards().unwrap());
    });
}

#[test]
fn packets_are_as_long_as_may_be() {
    isolated(|| {
        let world = World::new();
        let instance = Instance { space: Space::new(), address: address(9) };
        let port = link::Port { mtu: 1280, ..port("avlong", instance.address) };
        link::veth(&port, instance.space.fd()).unwrap();
        assert_eq!(instance.space.run(route::mtu).unwrap(), 1280);
        drop(world);
    });
}
