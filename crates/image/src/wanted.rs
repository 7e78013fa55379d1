//! Which image is wanted, and under which name the store remembers it.

use crate::{error::PrepareError, local::Scheme};
use abide_spec::{FileRef, Unit, UnitSpec, reference::Reference};
use std::{collections::BTreeMap, os::unix::fs::MetadataExt as _, path::Path};

/// An image as a unit names it, with what it takes to find it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, `oci:PATH[:NAME]` or `docker-archive:PATH[:NAME]`.
    pub image: &'a str,
    /// The repository's files that the unit names.
    pub files: &'a BTreeMap<String, FileRef>,
    /// Registries that are granted over plain http, as `HOST[:PORT]`.
    pub insecure_registries: &'a [String],
}

impl<'a> Wanted<'a> {
    /// The image of a unit, if it has one.
    pub fn of(unit: &'a Unit) -> Option<Self> {
        match &unit.spec {
            UnitSpec::Container(spec) => {
                Some(Self { image: &spec.image, files: &unit.files, insecure_registries: &unit.insecure_registries })
            }
            UnitSpec::VirtualMachine(_) | UnitSpec::Volume(_) | UnitSpec::Assignment(_) | UnitSpec::Machine(_) => None,
        }
    }
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Registry { reference: Reference, is_insecure: bool },
    Host { scheme: Scheme, path: String, name: Option<String> },
    Repository { scheme: Scheme, file: FileRef, name: Option<String> },
}

impl Location {
    pub(crate) fn of(wanted: &Wanted<'_>) -> Result<Self, PrepareError> {
        for scheme in [Scheme::Oci, Scheme::DockerArchive] {
            let rest = wanted.image.strip_prefix(scheme.word()).and_then(|rest| rest.strip_prefix(':'));
            let Some(rest) = rest else { continue };
            // A name may have colons, a path none.
            let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name.to_owned())));
            if path.starts_with('/') {
                return Ok(Self::Host { scheme, path: path.to_owned(), name });
            }
            let file = wanted.files.get(rest).or_else(|| wanted.files.get(path)).cloned();
            let file = file.ok_or_else(|| PrepareError::NotGiven(path.to_owned()))?;
            return Ok(Self::Repository { scheme, file, name });
        }
        let reference = Reference::parse(wanted.image)?;
        let is_insecure = wanted.insecure_registries.contains(&reference.registry);
        Ok(Self::Registry { reference, is_insecure })
    }

    /// The name in the store. A digest says all: a tag beside it is for people.
    pub(crate) fn key(&self) -> String {
        let named = |name: &Option<String>| name.as_ref().map_or(String::new(), |name| format!(":{name}"));
        match self {
            Self::Registry { reference, .. } => {
                let Reference { registry, repository, digest, .. } = reference;
                match digest {
                    Some(digest) => format!("registry {registry}/{repository}@sha256:{digest}"),
                    None => format!("registry {reference}"),
                }
            }
            Self::Host { scheme, path, name } => format!("host {}:{path}{}", scheme.word(), named(name)),
            Self::Repository { scheme, file, name } => {
                format!("repository {}:{}{}", scheme.word(), file.digest, named(name))
            }
        }
    }

    /// What changes when the files on this machine do. Empty for what can't change, for what isn't asked about again (a
    /// tag), and for what is gone.
    pub(crate) fn fingerprint(&self) -> String {
        let Self::Host { path, .. } = self else { return String::new() };
        let path = Path::new(path);
        let seen = std::fs::symlink_metadata(path.join("index.json")).or_else(|_| std::fs::symlink_metadata(path));
        seen.map_or_else(
            |_| String::new(),
            |seen| format!("{}.{} {} {}", seen.mtime(), seen.mtime_nsec(), seen.size(), seen.ino()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_spec::Digest;

    #[test]
    fn names_in_the_store() {
        let file = FileRef { digest: Digest([7; 32]), size: 1 };
        let files = BTreeMap::from([("images/web".to_owned(), file)]);
        let insecure = ["127.0.0.1:5000".to_owned()];
        let key = |image| {
            let wanted = Wanted { image, files: &files, insecure_registries: &insecure };
            Location::of(&wanted).map(|location| location.key()).map_err(|error| error.to_string())
        };
        let (seven, pinned) = ("07".repeat(32), format!("a/b:1@sha256:{}", "ab".repeat(32)));
        for (image, wanted) in [
            ("nginx", "registry docker.io/library/nginx:latest".to_owned()),
            (&pinned, format!("registry docker.io/a/b@sha256:{}", "ab".repeat(32))),
            ("oci:/srv/web", "host oci:/srv/web".to_owned()),
            ("docker-archive:/x.tar:h.io/a:1", "host docker-archive:/x.tar:h.io/a:1".to_owned()),
            ("oci:images/web:1.5", format!("repository oci:{seven}:1.5")),
        ] {
            assert_eq!(key(image), Ok(wanted));
        }
        assert!(key("oci:other").unwrap_err().contains("\"other\""));
        assert!(key("Not An Image").is_err());
    }
}
