use super::world::{BRIDGE, TABLE, World, isolated, subnet};
use crate::net::{
    namespace::within,
    nft::{Change, HostPort, Ports, Protocol, Table, obstacles},
};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsFd as _,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Runs the tool of that name, in the namespace of this thread.
fn nft(command: &str) -> String {
    let output = Command::new("nft").arg(command).output().expect("this test needs nft, of the package nftables");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn ports(count: u16) -> Ports {
    let to = |port: u16| SocketAddrV4::new(Ipv4Addr::new(10, 1, 16, 2), port ^ 1);
    let all = (1..=count).flat_map(|port| Protocol::ALL.map(|protocol| (HostPort { protocol, port }, to(port))));
    all.collect()
}

fn publish(table: &Table, ports: &Ports) {
    let changes: Vec<_> = ports.iter().map(|(from, to)| Change::Publish(*from, *to)).collect();
    table.publish(&changes).unwrap();
}

#[test]
fn the_table_is_what_the_tool_says() {
    isolated(|| {
        let world = World::new();
        publish(&world.table, &ports(2));
        insta::assert_snapshot!(nft("list ruleset"));
    });
}

#[test]
fn what_was_written_is_read() {
    isolated(|| {
        let table = Table::new(TABLE, BRIDGE, subnet());
        assert_eq!(table.ports().unwrap(), None);
        table.ensure().unwrap();
        assert_eq!(table.ports().unwrap(), Some(Ports::new()));
        let many = ports(5000);
        publish(&table, &many);
        assert_eq!(table.ports().unwrap().as_ref(), Some(&many));
        table.ensure().unwrap();
        assert_eq!(table.ports().unwrap().as_ref(), Some(&many), "making it anew keeps what is published");
        let none: Vec<_> = many.iter().map(|(from, to)| Change::Withdraw(*from, *to)).collect();
        table.publish(&none).unwrap();
        assert_eq!(table.ports().unwrap(), Some(Ports::new()));
        for _ in 0..2 {
            table.delete().unwrap();
            assert_eq!(table.ports().unwrap(), None);
        }
    });
}

#[test]
fn a_flushed_table_comes_back() {
    isolated(|| {
        let world = World::new();
        let before = nft("list ruleset");
        nft("flush ruleset");
        world.table.publish(&[]).unwrap();
        assert_eq!(nft("list ruleset"), before);
    });
}

#[test]
fn tables_of_others_stay_and_their_changes_disturb_nobody() {
    isolated(|| {
        nft("add table ip other; add chain ip other c { type filter hook forward priority 5; policy accept; }");
        let other = nft("list table ip other");
        let table = Table::new(TABLE, BRIDGE, subnet());
        table.ensure().unwrap();
        let end = AtomicBool::new(false);
        let space = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let meddle = || {
            while !end.load(Ordering::Relaxed) {
                nft("add table ip meddler; delete table ip meddler");
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| within(space.as_fd(), meddle).unwrap());
            for (from, to) in ports(100) {
                table.publish(&[Change::Publish(from, to)]).unwrap();
            }
            end.store(true, Ordering::Relaxed);
        });
        assert_eq!(table.ports().unwrap(), Some(ports(100)));
        table.delete().unwrap();
        assert_eq!(nft("list table ip other"), other);
    });
}

#[test]
fn obstacles_are_named() {
    isolated(|| {
        let _world = World::new();
        assert_eq!(obstacles().unwrap(), []);
        for command in [
            "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
            "add table ip mine; add chain ip mine in { type filter hook input priority 0; policy drop; }",
            "add table inet firewalld; add chain inet firewalld f { type filter hook forward priority 10; policy accept; }",
        ] {
            nft(command);
        }
        let texts: Vec<_> = obstacles().unwrap().iter().map(ToString::to_string).collect();
        insta::assert_debug_snapshot!(texts);
    });
}
