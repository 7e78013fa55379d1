//! A proxy on the way, as `https_proxy` and `no_proxy` of the environment say: a tunnel by `CONNECT`, through which the
//! TLS is the machine's and the hub's own.

use super::trouble::Trouble;
use base64::{Engine, prelude::BASE64_STANDARD};
use std::fmt::Write as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of its answer's head.
const HEAD_MAX: usize = 8 << 10;

/// Where it is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// `Authorization`, if its URL has a user.
    basic: Option<String>,
}

impl Proxy {
    /// The one that the environment names for a host.
    pub(super) fn of(host: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Trouble> {
        let either =
            |lower: &str| variable(lower).or_else(|| variable(&lower.to_uppercase())).filter(|text| !text.is_empty());
        let Some(url) = either("https_proxy") else { return Ok(None) };
        let is_spared = |pattern: &str| {
            let pattern = pattern.trim().trim_start_matches('.');
            let is_below = || host.strip_suffix(pattern).is_some_and(|rest| rest.ends_with('.'));
            pattern == "*" || !pattern.is_empty() && (host == pattern || is_below())
        };
        if either("no_proxy").is_some_and(|list| list.split(',').any(is_spared)) {
            return Ok(None);
        }
        Self::parse(&url).map(Some).ok_or_else(|| Trouble::Proxy {
            // It may hold a password.
            proxy: url.rsplit('@').next().unwrap_or_default().chars().take(200).collect(),
            why: "can't be used: write http://HOST:PORT".to_owned(),
        })
    }

    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://").or_else(|| (!url.contains("://")).then_some(url))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        let (host, port) = place.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_plain = !host.is_empty() && !host.contains(['/', ' ', '?', '#']);
        let basic = user.map(|user| BASE64_STANDARD.encode(user));
        is_plain.then_some(Self { host: host.to_owned(), port: port.parse().ok()?, basic })
    }

    /// As people know it.
    pub(super) fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Makes a tunnel of a connection to the proxy. `to` has a host and a port.
    pub(super) async fn connect(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        to: &str,
    ) -> Result<(), Trouble> {
        let trouble = |why: String| Trouble::Proxy { proxy: self.shown(), why };
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(basic) = &self.basic {
            // Writing to a text doesn't fail.
            let _ = write!(request, "Proxy-Authorization: Basic {basic}\r\n");
        }
        request += "\r\n";
        let lost = |error: std::io::Error| trouble(format!("doesn't answer: {error}"));
        stream.write_all(request.as_bytes()).await.map_err(lost)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == HEAD_MAX {
                return Err(trouble("answers without an end".to_owned()));
            }
            // Byte by byte: what comes after the head is the hub's.
            head.push(stream.read_u8().await.map_err(lost)?);
        }
        let head = String::from_utf8_lossy(&head);
        let status = head.split_whitespace().nth(1).unwrap_or_default();
        if head.starts_with("HTTP/1.") && status.len() == 3 && status.starts_with('2') {
            return Ok(());
        }
        let line: String =
            head.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
        Err(trouble(format!("refuses to connect to {to}: {line}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(host: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable =
            |name: &str| variables.iter().find(|(each, _)| *each == name).map(|(_, value)| (*value).to_owned());
        Proxy::of(host, variable).map(|proxy| proxy.map(|proxy| proxy.shown())).map_err(|trouble| trouble.to_string())
    }

    #[test]
    fn which_one() {
        let proxy = ("https_proxy", "http://anna:secret@proxy.example.org:3128/");
        let shown = Ok(Some("proxy.example.org:3128".to_owned()));
        assert_eq!(of("hub", &[]), Ok(None));
        assert_eq!(of("hub", &[proxy]), shown);
        assert_eq!(of("hub", &[("HTTPS_PROXY", "proxy.example.org:3128")]), shown);
        for spared in ["hub.example.org", "example.org", ".example.org", "x, example.org", "*"] {
            assert_eq!(of("hub.example.org", &[proxy, ("no_proxy", spared)]), Ok(None), "{spared}");
        }
        for other in ["ample.org", "hub", "", ","] {
            assert_eq!(of("hub.example.org", &[proxy, ("no_proxy", other)]), shown, "{other}");
        }
        let error = of("hub", &[("https_proxy", "https://anna:secret@proxy:1")]).unwrap_err();
        insta::assert_snapshot!(error, @"the proxy proxy:1, which `https_proxy` names, can't be used: write http://HOST:PORT");
    }
}
