//! What several subjects ask.

use abide_lab::{
    Rig,
    http::{Answer, get},
};
use std::net::SocketAddr;

/// A port of this machine, asked from here.
pub(crate) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// The first line of the answer on a port of this machine.
pub(crate) fn greeting(port: u16) -> String {
    let Answer { status, body } = get(local(port), "/").unwrap();
    assert_eq!(status, 200, "{body}");
    body.lines().next().unwrap_or_default().to_owned()
}

/// How often the server with a volume was started.
pub(crate) fn starts(port: u16) -> u32 {
    let body = get(local(port), "/").unwrap().body;
    let starts = body.lines().find_map(|line| line.strip_prefix("starts: "));
    starts.unwrap_or_else(|| panic!("it counts no starts: {body}")).parse().unwrap()
}

/// Waits until a virtual machine answers; it has no readiness of its own.
pub(crate) fn boots(rig: &Rig, port: u16) -> String {
    rig.until("the guest answers", || get(local(port), "/").ok()).body
}
