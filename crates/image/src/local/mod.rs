//! Images in files: OCI image layouts (a folder or a tar of it), and what `docker save` writes.
//!
//! A layout has `index.json` and `blobs/sha256/…`, where every document and layer announces its digest. `docker save` has
//! `manifest.json`, which names a config and layers by path; the digests of the layers are in the config. Newer versions of
//! it write both. What is asked for by name is read first, and then the other.

mod files;

use crate::{
    config::ImageConfig,
    error::PrepareError,
    manifest::{CONFIG_BYTES_MAX, Chosen, Descriptor, Document, DocumentError, MANIFEST_BYTES_MAX, Manifest},
    origin::{Loaded, Origin},
    verify::{self, Mismatch},
};
use abide_host::fs;
use abide_spec::{Digest, reference::Reference};
pub(crate) use files::Files;
use serde::Deserialize;
use std::io::{self, Read};

/// Why files hold no image that could be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file.
    #[error("one of its files can't be read")]
    File(#[from] fs::Error),
    /// The archive, or what it is unpacked to.
    #[error("it can't be read")]
    Read(#[from] io::Error),
    /// The archive.
    #[error("it can't be read as an archive")]
    Archive(#[from] crate::tar::TarError),
    /// Something that it names isn't there.
    #[error("{0:?} is not in it")]
    Missing(String),
    /// Neither of the two.
    #[error(
        "it has neither an `index.json` nor a `manifest.json`: it is no OCI image layout and not from `docker save`"
    )]
    NoImage,
    /// Which one?
    #[error("it has these images: {found}; write one of them as `{scheme}:PATH:NAME`")]
    Choose {
        /// Their names.
        found: String,
        /// The word before the path.
        scheme: &'static str,
    },
    /// Its documents.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A document that was changed.
    #[error("{path} is not what was announced")]
    Mismatch {
        /// Where it is.
        path: String,
        /// How it differs.
        source: Mismatch,
    },
}

/// How the image is written in the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scheme {
    /// `oci:`
    Oci,
    /// `docker-archive:`
    DockerArchive,
}

impl Scheme {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::DockerArchive => "docker-archive",
        }
    }
}

/// Files that should hold an image.
pub(crate) struct Local {
    files: Files,
    scheme: Scheme,
    /// Which of several images.
    name: Option<String>,
    /// Of `docker save`: the paths of the layers, which announce nothing.
    layers: Option<Vec<String>>,
}

/// One image of `manifest.json` (moby, `image/tarexport`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Local {
    pub(crate) fn new(files: Files, scheme: Scheme, name: Option<String>) -> Self {
        Self { files, scheme, name, layers: None }
    }

    fn load_local(&mut self) -> Result<Loaded, LocalError> {
        let order = match self.scheme {
            Scheme::Oci => ["index.json", "manifest.json"],
            Scheme::DockerArchive => ["manifest.json", "index.json"],
        };
        for path in order {
            if let Some(bytes) = self.files.read(path, MANIFEST_BYTES_MAX)? {
                return if path == "index.json" { self.load_layout(&bytes) } else { self.load_saved(&bytes) };
            }
        }
        Err(LocalError::NoImage)
    }

    fn load_layout(&mut self, index: &[u8]) -> Result<Loaded, LocalError> {
        let Document::Index(entries) = Document::parse(index)? else {
            let why = "`index.json` is no index".to_owned();
            return Err(DocumentError::Malformed { what: "layout", why }.into());
        };
        let names = |entry: &Descriptor| {
            let keys = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
            keys.iter().filter_map(|key| entry.annotations.get(*key).cloned()).collect::<Vec<_>>()
        };
        let entries = self.select(entries, names)?;
        let Chosen { bytes, manifest } =
            Document::Index(entries).choose(Vec::new(), |entry| self.blob(entry, MANIFEST_BYTES_MAX))?;
        let config = self.blob(&manifest.config, CONFIG_BYTES_MAX)?;
        Ok(Loaded { chosen: Chosen { bytes, manifest }, config })
    }

    fn load_saved(&mut self, list: &[u8]) -> Result<Loaded, LocalError> {
        let malformed = |error: serde_json::Error| DocumentError::Malformed { what: "list", why: error.to_string() };
        let images: Vec<Saved> = serde_json::from_slice(list).map_err(malformed)?;
        let images = self.select(images, |image| image.repo_tags.clone().unwrap_or_default())?;
        let image = images.into_iter().next().ok_or(LocalError::NoImage)?;
        let config = self.read(&image.config, CONFIG_BYTES_MAX)?;
        let digests = ImageConfig::parse(&config)?.layers;
        let mut layers = Vec::new();
        for (path, digest) in image.layers.iter().zip(digests) {
            let (_, size) = self.files.open(path)?.ok_or_else(|| LocalError::Missing(path.clone()))?;
            layers.push(descriptor("application/vnd.oci.image.layer.v1.tar", digest, size));
        }
        let of_config =
            descriptor("application/vnd.oci.image.config.v1+json", Digest::of(&config), config.len() as u64);
        let manifest = Manifest::of(of_config, layers);
        self.layers = Some(image.layers);
        let bytes = serde_json::to_vec(&manifest).map_err(malformed)?;
        Ok(Loaded { chosen: Chosen { bytes, manifest }, config })
    }

    /// Of several images the one that was asked for. Where none was asked for, there must be one only, under whatever names;
    /// without names they are one image for several machines.
    fn select<T>(&self, images: Vec<T>, names: impl Fn(&T) -> Vec<String>) -> Result<Vec<T>, LocalError> {
        let is_same = |found: &str, wanted: &str| {
            let whole = |text| Reference::parse(text).ok();
            found == wanted || whole(found).is_some_and(|found| whole(wanted) == Some(found))
        };
        let all: Vec<String> = images.iter().flat_map(&names).take(50).collect();
        let choose = || LocalError::Choose {
            found: if all.is_empty() { "one without a name".to_owned() } else { all.join(", ") },
            scheme: self.scheme.word(),
        };
        match &self.name {
            None if images.len() == 1 || all.is_empty() => Ok(images),
            None => Err(choose()),
            Some(wanted) => {
                let fits = |image: &T| names(image).iter().any(|name| is_same(name, wanted));
                let fitting: Vec<T> = images.into_iter().filter(fits).collect();
                if fitting.is_empty() { Err(choose()) } else { Ok(fitting) }
            }
        }
    }

    fn blob(&self, blob: &Descriptor, bytes_max: u64) -> Result<Vec<u8>, LocalError> {
        let path = blob_path(blob.digest);
        let bytes = self.read(&path, bytes_max)?;
        match verify::check(&bytes, blob.digest, Some(blob.size)) {
            Ok(()) => Ok(bytes),
            Err(source) => Err(LocalError::Mismatch { path, source }),
        }
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, LocalError> {
        self.files.read(path, bytes_max)?.ok_or_else(|| LocalError::Missing(path.to_owned()))
    }
}

impl Origin for Local {
    fn load(&mut self) -> Result<Loaded, PrepareError> {
        self.load_local().map_err(PrepareError::Local)
    }

    fn open(&mut self, number: usize, layer: &Descriptor) -> Result<Box<dyn Read + '_>, PrepareError> {
        let path = match &self.layers {
            Some(layers) => layers.get(number).cloned().unwrap_or_default(),
            None => blob_path(layer.digest),
        };
        match self.files.open(&path).map_err(PrepareError::Local)? {
            Some((file, _)) => Ok(file),
            None => Err(PrepareError::Local(LocalError::Missing(path))),
        }
    }

    fn is_announced(&self) -> bool {
        self.layers.is_none()
    }
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    let media_type = media_type.to_owned();
    Descriptor { media_type, digest, size, platform: None, annotations: Default::default() }
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{digest}")
}
