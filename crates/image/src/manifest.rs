//! The documents of an image: index → manifest → config (OCI image spec; Docker's image manifest version 2, schema 2).
//!
//! All of them are data from outside: what isn't known is ignored, what is known must be right, and nothing in them names a
//! place to fetch from.

use abide_spec::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of an index or manifest; registries refuse larger ones.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a config.
pub(crate) const CONFIG_BYTES_MAX: u64 = 8 << 20;
/// Indexes in indexes.
const DEPTH_MAX: usize = 2;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What a registry is asked for.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Why the documents make no image for this machine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// No JSON, or not what it should be.
    #[error("its {what} makes no sense: {why}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// None of its platforms is ours.
    #[error("it is for {found}, and this machine is {wanted}")]
    Platform {
        /// All that it is for.
        found: String,
        /// What we are.
        wanted: String,
    },
    /// Something that is in registries, but no image.
    #[error("it is no container image: {0}")]
    NoImage(String),
}

/// Where a blob or document is found, and how it is known to be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    #[serde(with = "digest_text")]
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What an image is for, in Go's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
}

/// An image, or several for different platforms.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Manifest),
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// A manifest that was chosen, byte by byte as it has its digest.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) bytes: Vec<u8>,
    pub(crate) manifest: Manifest,
}

impl Manifest {
    /// One for layers that came without any (`docker save`).
    pub(crate) fn of(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: OCI_MANIFEST.to_owned(), config, layers }
    }
}

impl Document {
    /// Reads a document. Bytes that could be read as an index and as a manifest are refused (CVE-2021-41190).
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Any {
            schema_version: u32,
            #[serde(default)]
            media_type: Option<String>,
            manifests: Option<Vec<Descriptor>>,
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
        }
        let malformed = |why: String| DocumentError::Malformed { what: "manifest", why };
        let any: Any = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if any.schema_version != 2 {
            return Err(malformed(format!("its schema version is {}; only 2 is read", any.schema_version)));
        }
        match (any.manifests, any.config, any.layers, any.media_type.as_deref()) {
            (Some(manifests), None, None, None | Some(OCI_INDEX | DOCKER_LIST)) => Ok(Self::Index(manifests)),
            (None, Some(config), Some(layers), None | Some(OCI_MANIFEST | DOCKER_MANIFEST)) => {
                let media_type = any.media_type.unwrap_or_else(|| OCI_MANIFEST.to_owned());
                Ok(Self::Manifest(Manifest { schema_version: 2, media_type, config, layers }))
            }
            (_, _, _, media_type) => {
                let media_type = media_type.unwrap_or("it has parts of both").chars().take(120).collect::<String>();
                Err(malformed(format!("it is neither an image nor an index of images ({media_type})")))
            }
        }
    }

    /// Goes from this document to the manifest for this machine. `fetch` gives the bytes of a document that is named in
    /// another one, checked.
    pub(crate) fn choose<E: From<DocumentError>>(
        self,
        bytes: Vec<u8>,
        mut fetch: impl FnMut(&Descriptor) -> Result<Vec<u8>, E>,
    ) -> Result<Chosen, E> {
        let (mut document, mut bytes) = (self, bytes);
        for _ in 0..=DEPTH_MAX {
            match document {
                Self::Manifest(manifest) => {
                    check_layers(&manifest)?;
                    return Ok(Chosen { bytes, manifest });
                }
                Self::Index(entries) => {
                    bytes = fetch(best(&entries)?)?;
                    document = Self::parse(&bytes)?;
                }
            }
        }
        let why = "its indexes are nested too deeply".to_owned();
        Err(DocumentError::Malformed { what: "index", why }.into())
    }
}

/// Layers whose media type says something else than "tar" are refused: artifacts, encrypted layers, layers to be
/// fetched from elsewhere.
fn check_layers(manifest: &Manifest) -> Result<(), DocumentError> {
    let is_layer = |media_type: &str| {
        let is_known = media_type.starts_with("application/vnd.oci.image.layer.v1.tar")
            || media_type.starts_with("application/vnd.docker.image.rootfs.diff.tar");
        is_known && !media_type.ends_with("+encrypted")
    };
    match manifest.layers.iter().find(|layer| !is_layer(&layer.media_type)) {
        None => Ok(()),
        Some(layer) => {
            let media_type: String = layer.media_type.chars().take(120).collect();
            Err(DocumentError::NoImage(format!("one of its layers is {media_type:?}")))
        }
    }
}

/// The entry of an index that fits this machine best; of equal ones the first.
fn best(entries: &[Descriptor]) -> Result<&Descriptor, DocumentError> {
    let own = Platform::own();
    // From the end, as `max_by_key` takes the last of equal ones.
    let fitting = entries.iter().rev().filter_map(|entry| Some((own.fit(entry.platform.as_ref())?, entry)));
    fitting.max_by_key(|(fit, _)| *fit).map(|(_, entry)| entry).ok_or_else(|| {
        let found: Vec<_> =
            entries.iter().filter_map(|entry| entry.platform.as_ref().map(Platform::text)).take(20).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        DocumentError::Platform { found, wanted: own.text() }
    })
}

impl Platform {
    /// This machine's.
    pub(crate) fn own() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: String::new() }
    }

    /// How well an image for `other` fits; `None`: not at all. An entry without a platform is for anybody.
    fn fit(&self, other: Option<&Self>) -> Option<u8> {
        let Some(other) = other else { return Some(0) };
        let is_same = other.os == self.os && other.architecture == self.architecture;
        // Variants of amd64 (v2, v3) need what this machine may not have; all arm64 are v8.
        match other.variant.as_str() {
            _ if !is_same => None,
            "" | "v1" => Some(2),
            "v8" if self.architecture == "arm64" => Some(2),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { os, architecture, variant } = self;
        let slash = if variant.is_empty() { "" } else { "/" };
        format!("{os}/{architecture}{slash}{variant}").chars().take(60).collect()
    }
}

/// Digests as OCI writes them. Only SHA-256 is in use.
pub(crate) mod digest_text {
    use abide_spec::Digest;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// `sha256:` and 64 lower-case hexadecimal digits, and nothing else: it may become the name of a file.
    pub(crate) fn parse(text: &str) -> Option<Digest> {
        let hex = text.strip_prefix("sha256:")?;
        let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex { hex.parse().ok() } else { None }
    }

    pub(crate) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("sha256:{digest}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        let shown: String = text.chars().take(80).collect();
        parse(&text).ok_or_else(|| D::Error::custom(format!("{shown:?} is no SHA-256 digest")))
    }
}
