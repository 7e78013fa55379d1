//! Where a hub is.

use rustls::pki_types::ServerName;
use std::{fmt, net::IpAddr, str::FromStr};

/// The port of `https` where none is said.
const PORT: u16 = 443;

/// A hub's URL, as `https://hub.example.org` or `https://10.0.0.5:8443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or an address without the brackets that a URL has around one of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) server: ServerName<'static>,
}

/// Why a text is no hub's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no hub's address: {why}; write https://HOST or https://HOST:PORT")]
pub struct BadAddress {
    url: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(url: &str) -> Result<Self, BadAddress> {
        let bad = |why| BadAddress { url: url.chars().take(200).collect(), why };
        let rest = url.strip_prefix("https://").ok_or_else(|| bad("a hub is reached by https"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(bad("it has more than a host and a port"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| bad("a bracket is missing"))?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or("")) })
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|port| *port > 0));
        let port = port.ok_or_else(|| bad("its port is none"))?;
        let server = ServerName::try_from(host.to_owned()).map_err(|_| bad("its host is no name and no address"))?;
        Ok(Self { host: host.to_owned(), port, server })
    }
}

impl Address {
    /// That of a name or an address, and a port.
    pub fn of(host: &str, port: u16) -> Result<Self, BadAddress> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("https://{host}:{port}").parse()
    }

    /// The name, or the address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host and port, as in a URL.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == PORT { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one() {
        for (url, host, port, written) in [
            ("https://hub.example.org", "hub.example.org", 443, "https://hub.example.org"),
            ("https://hub.example.org:443/", "hub.example.org", 443, "https://hub.example.org"),
            ("https://10.0.0.5:8443", "10.0.0.5", 8443, "https://10.0.0.5:8443"),
            ("https://[fd00::5]:8443/", "fd00::5", 8443, "https://[fd00::5]:8443"),
            ("https://[fd00::5]", "fd00::5", 443, "https://[fd00::5]"),
        ] {
            let address: Address = url.parse().unwrap();
            assert_eq!((address.host(), address.port, address.to_string().as_str()), (host, port, written));
            assert_eq!(Address::of(host, port), Ok(address));
        }
    }

    #[test]
    fn what_is_none() {
        let said = [
            "http://hub.example.org",
            "hub.example.org",
            "https://",
            "https://hub.example.org/fleet",
            "https://anna@hub.example.org",
            "https://hub:0",
            "https://hub:https",
            "https://[fd00::5",
            "https://[fd00::5]8443",
            "https://a b",
        ]
        .map(|url| url.parse::<Address>().unwrap_err().to_string());
        insta::assert_snapshot!(said.join("\n"));
    }
}
