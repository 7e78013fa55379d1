//! Names of images in registries, as Docker writes them.

use crate::{id::Digest, words};
use std::fmt;

/// `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, with Docker Hub's defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host, with a port where it has one. Docker Hub is `docker.io`.
    pub registry: String,
    /// The path in it; of Docker Hub's own images, `library/…`.
    pub repository: String,
    /// `latest` where neither tag nor digest is written.
    pub tag: Option<String>,
    /// Exactly this manifest.
    pub digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", words::no_image(text, why))]
pub struct BadReference {
    text: String,
    why: &'static str,
}

const HUB: &str = "docker.io";
/// Of the name without tag and digest (distribution's grammar).
const NAME_MAX: usize = 255;

impl Reference {
    /// Reads a reference by the grammar of distribution (`reference/regexp.go`), with Docker Hub's rules for short names.
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        let bad = |why| BadReference { text: text.chars().take(120).collect(), why };
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest = digest.strip_prefix("sha256:").and_then(|hex| hex.parse::<Digest>().ok());
                let digest = digest.ok_or_else(|| bad(words::IMAGE_DIGEST))?;
                (rest, Some(digest))
            }
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad(words::IMAGE_TAG));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_owned(), path.to_owned())
            }
            Some(_) => (HUB.to_owned(), name.to_owned()),
            None => (HUB.to_owned(), format!("library/{name}")),
        };
        if name.len() > NAME_MAX || !repository.split('/').all(is_component) {
            return Err(bad(words::IMAGE_REPOSITORY));
        }
        if !is_host(&registry) {
            return Err(bad(words::IMAGE_REGISTRY));
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { registry, repository, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@sha256:{digest}"))
    }
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&tag.len())
        && tag.starts_with(is_word)
        && tag.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

fn is_component(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(is_word)
        && part.ends_with(is_word)
        && part.chars().all(|c| is_word(c) || matches!(c, '.' | '_' | '-'))
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let is_label = |label: &str| {
        label.starts_with(is_word) && label.ends_with(is_word) && label.chars().all(|c| is_word(c) || c == '-')
    };
    name.split('.').all(is_label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_docker_hubs() {
        let cases = [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("grafana/grafana", "docker.io/grafana/grafana:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("127.0.0.1:5000/shop/web:1.5", "127.0.0.1:5000/shop/web:1.5"),
            ("registry.example.org/a/b_c/d", "registry.example.org/a/b_c/d:latest"),
        ];
        for (text, full) in cases {
            assert_eq!(Reference::parse(text).unwrap().to_string(), full);
        }
        let pinned = format!("nginx@sha256:{}", "ab".repeat(32));
        assert_eq!(Reference::parse(&pinned).unwrap().to_string(), format!("docker.io/library/{pinned}"));
    }

    #[test]
    fn what_could_become_a_path_is_refused() {
        let long = "a".repeat(300);
        for text in [
            "",
            "Nginx",
            "../x",
            "a/../b",
            "a//b",
            "a:",
            "a:.x",
            "a@sha256:../../x",
            "a@md5:00",
            "ho st.x/a",
            "h.x:0/a",
            &long,
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }
}
