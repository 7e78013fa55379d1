//! The files of a container's network: `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`. They are the instance's own,
//! mounted over whatever the image has.

use std::net::{IpAddr, Ipv4Addr};

/// Names that work without a resolver.
pub(crate) fn hosts(name: &str, address: Option<Ipv4Addr>) -> String {
    let own = address.unwrap_or(Ipv4Addr::LOCALHOST);
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}\t{name}\n")
}

/// The host's resolvers, as a container with a network of its own can reach them: those that answer on the host's loopback
/// alone are left out, and where none is left, `upstream` (systemd-resolved's list of those behind it) is taken.
pub(crate) fn resolvers(host: &str, upstream: Option<&str>) -> String {
    let reachable = without_loopback(host);
    match upstream {
        Some(upstream) if !has_resolver(&reachable) => without_loopback(upstream),
        _ => reachable,
    }
}

fn without_loopback(text: &str) -> String {
    let kept = text.lines().filter(|line| !resolver(line).is_some_and(|address| address.is_loopback()));
    kept.flat_map(|line| [line, "\n"]).collect()
}

fn has_resolver(text: &str) -> bool {
    text.lines().any(|line| resolver(line).is_some())
}

/// The address of a line `nameserver ADDRESS` (resolv.conf(5)), without its zone.
fn resolver(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace();
    let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
    address.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_on_the_hosts_loopback_are_left_out() {
        let upstream = Some("nameserver 192.0.2.1\n");
        let cases = [
            ("search x\nnameserver 192.0.2.9\nnameserver 127.0.0.53\n", upstream, "search x\nnameserver 192.0.2.9\n"),
            ("nameserver 127.0.0.53\noptions edns0\n", upstream, "nameserver 192.0.2.1\n"),
            ("nameserver ::1\noptions edns0\n", None, "options edns0\n"),
            ("nameserver fe80::1%eth0\n", upstream, "nameserver fe80::1%eth0\n"),
            ("", None, ""),
        ];
        for (host, upstream, expected) in cases {
            assert_eq!(resolvers(host, upstream), expected, "{host:?}");
        }
    }

    #[test]
    fn its_own_name_is_its_address() {
        assert!(hosts("web", Some(Ipv4Addr::new(10, 1, 2, 3))).ends_with("10.1.2.3\tweb\n"));
        assert!(hosts("web", None).ends_with("127.0.0.1\tweb\n"));
    }
}
