//! Where a source's repository is: what may be written as its URL.

use std::path::{Component, PathBuf};

/// A repository that can be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    Local(PathBuf),
    /// Behind https.
    Remote(String),
}

/// Why a URL can't be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLocation {
    /// Not absolute, or with `..`.
    #[error("{0:?} is no absolute path: write it from `/`, without `..`")]
    Path(String),
    /// Readable for everyone on the way, and not to be trusted.
    #[error("{0:?} is not encrypted, so anybody on the way could run what they like here: use https://")]
    Plain(String),
    /// The token belongs into a file.
    #[error("the URL has a user or password in it: put the token into a file and name that in `credentials.tokenFile`")]
    Secret,
    /// No name of a branch.
    #[error("{0:?} can't be the name of a branch")]
    Branch(String),
    /// A folder outside the repository.
    #[error("{0:?} leads out of the repository: write the folder as it is called in there, as hosts/edge-7")]
    Outside(String),
    /// Another transport.
    #[error("{0:?} can't be followed: use an absolute path, file:// or https://")]
    Scheme(String),
}

/// Reads a URL, or a path.
pub fn parse(url: &str) -> Result<Location, BadLocation> {
    let shown = || crate::packet::printable(url.as_bytes());
    if url.starts_with('/') {
        return local(url, shown);
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(|| BadLocation::Scheme(shown()))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match scheme {
        "file" => local(rest.strip_prefix("localhost").unwrap_or(rest), shown),
        "http" | "https" if authority.contains('@') => Err(BadLocation::Secret),
        "http" | "https" if authority.is_empty() || rest.contains(['?', '#']) => Err(BadLocation::Scheme(shown())),
        "https" => Ok(Location::Remote(url.to_owned())),
        // Nobody listens on the way to this machine itself.
        "http" if is_loopback(authority) => Ok(Location::Remote(url.to_owned())),
        "http" => Err(BadLocation::Plain(shown())),
        _ => Err(BadLocation::Scheme(shown())),
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

fn local(path: &str, shown: impl Fn() -> String) -> Result<Location, BadLocation> {
    let path = PathBuf::from(path);
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && is_plain && path.file_name().is_some() {
        Ok(Location::Local(path))
    } else {
        Err(BadLocation::Path(shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let local = |path: &str| Ok(Location::Local(path.into()));
        let remote = |url: &str| Ok(Location::Remote(url.to_owned()));
        let plain = |url: &str| Err(BadLocation::Plain(url.to_owned()));
        let scheme = |url: &str| Err(BadLocation::Scheme(url.to_owned()));
        let path = |url: &str| Err(BadLocation::Path(url.to_owned()));
        for (url, wanted) in [
            ("/srv/infra.git", local("/srv/infra.git")),
            ("file:///srv/infra.git", local("/srv/infra.git")),
            ("file://localhost/srv/infra.git", local("/srv/infra.git")),
            ("file://other/srv/infra.git", path("file://other/srv/infra.git")),
            ("/srv/../etc", path("/srv/../etc")),
            ("/", path("/")),
            ("infra.git", scheme("infra.git")),
            ("https://git.example.org/infra.git", remote("https://git.example.org/infra.git")),
            ("http://127.0.0.1:80/x", remote("http://127.0.0.1:80/x")),
            ("http://127.0.0.1.example.org/x", plain("http://127.0.0.1.example.org/x")),
            ("http://git.example.org/x", plain("http://git.example.org/x")),
            ("https://me:secret@git.example.org/x", Err(BadLocation::Secret)),
            ("https:///x", scheme("https:///x")),
            ("ssh://git@git.example.org/x", scheme("ssh://git@git.example.org/x")),
            ("git@git.example.org:x", scheme("git@git.example.org:x")),
            ("ext::sh -c x", scheme("ext::sh -c x")),
        ] {
            assert_eq!(parse(url), wanted, "{url}");
        }
    }
}
