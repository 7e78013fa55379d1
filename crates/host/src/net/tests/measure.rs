use super::world::*;
use crate::net::{nft::{Change, HostPort, Protocol}};
use std::time::{Duration, Instant};
fn row(name: &str, mut times: Vec<Duration>) { times.sort(); println!("{name:40} n={} min {:?} median {:?} p95 {:?} max {:?}", times.len(), times[0], times[times.len()/2], times[times.len()*95/100], times[times.len()-1]); }
#[test]
fn measure() {
    isolated(|| {
        let world = World::new();
        for pause in [0, 60] {
            let mut times = vec![];
            for n in 0..50u16 { let c = Change::Publish(HostPort{protocol: Protocol::Tcp, port: 80}, std::net::SocketAddrV4::new(address((n%2+2) as u8), 80)); let t = Instant::now(); world.table.publish(&[c]).unwrap(); times.push(t.elapsed()); std::thread::sleep(Duration::from_millis(pause)); }
            row(&format!("move, pause {pause}"), times);
            let mut times = vec![];
            for n in 0..50u16 { let c = Change::Publish(HostPort{protocol: Protocol::Tcp, port: 100+n+pause as u16}, std::net::SocketAddrV4::new(address((n%2+2) as u8), 80)); let t = Instant::now(); world.table.publish(&[c]).unwrap(); times.push(t.elapsed()); std::thread::sleep(Duration::from_millis(pause)); }
            row(&format!("add, pause {pause}"), times);
        }
    });
}
