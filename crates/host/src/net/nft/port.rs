//! Published ports, and what is to be done to have others. Pure.

use std::{collections::BTreeMap, fmt, net::SocketAddrV4};

/// Which protocol a port is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// Its number (`IPPROTO_*`).
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    pub(super) fn map_name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp-ports",
            Self::Udp => "udp-ports",
        }
    }
}

/// A port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Of which protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol} port {}", self.port)
    }
}

/// Which port of the host leads where.
pub type Ports = BTreeMap<HostPort, SocketAddrV4>;

/// A change of what is published. Each can be made again without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The port leads there from now on, wherever it led before.
    Publish(HostPort, SocketAddrV4),
    /// The port doesn't lead there any more; if it leads elsewhere by now, that stays.
    Withdraw(HostPort, SocketAddrV4),
}

/// What to take out and what to put in, in this order, so that the changes are made.
pub(super) fn difference(now: &Ports, changes: &[Change]) -> (Vec<HostPort>, Vec<(HostPort, SocketAddrV4)>) {
    let mut wanted = now.clone();
    for change in changes {
        match change {
            Change::Publish(from, to) => {
                wanted.insert(*from, *to);
            }
            Change::Withdraw(from, to) => {
                if wanted.get(from) == Some(to) {
                    wanted.remove(from);
                }
            }
        }
    }
    let remove = now.iter().filter(|(from, to)| wanted.get(from) != Some(to)).map(|(from, _)| *from).collect();
    let add = wanted.into_iter().filter(|(from, to)| now.get(from) != Some(to)).collect();
    (remove, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(port: u16) -> HostPort {
        HostPort { protocol: Protocol::Tcp, port }
    }

    fn to(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    #[test]
    fn the_difference_is_what_is_needed() {
        let (old, new) = (to("10.1.0.2:80"), to("10.1.0.3:80"));
        let now = Ports::from([(port(1), old), (port(2), old)]);
        let nothing = (vec![], vec![]);
        for (changes, expected) in [
            (vec![], nothing.clone()),
            (vec![Change::Publish(port(1), old)], nothing.clone()),
            (vec![Change::Publish(port(3), new)], (vec![], vec![(port(3), new)])),
            (vec![Change::Publish(port(1), new)], (vec![port(1)], vec![(port(1), new)])),
            (vec![Change::Withdraw(port(1), old)], (vec![port(1)], vec![])),
            (vec![Change::Withdraw(port(1), new)], nothing.clone()),
            (vec![Change::Withdraw(port(9), new)], nothing.clone()),
            (
                vec![Change::Publish(port(1), new), Change::Withdraw(port(1), old)],
                (vec![port(1)], vec![(port(1), new)]),
            ),
            (vec![Change::Withdraw(port(1), old), Change::Publish(port(1), old)], nothing),
        ] {
            assert_eq!(difference(&now, &changes), expected, "{changes:?}");
        }
    }
}
