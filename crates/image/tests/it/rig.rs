//! A store in a folder of its own, and the images of these tests.

use abide_image::{Image, Images, Options, PrepareError, Wanted};
use abide_lab::oci::{self, Config, Layer, Parts, gzip, zstd};
use abide_spec::FileRef;
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::PathBuf};

pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) images: Images,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        assert_eq!(fs::metadata("/proc/self").unwrap().uid(), 0, "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        let images = Images::open(&folder.path().join("images"), &folder.path().join("files"), options).unwrap();
        Self { folder, images }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn prepare(&self, image: &str) -> Result<Image, PrepareError> {
        self.prepare_with(image, &BTreeMap::new())
    }

    pub(crate) fn prepare_with(&self, image: &str, files: &BTreeMap<String, FileRef>) -> Result<Image, PrepareError> {
        let insecure = insecure(image);
        let wanted = Wanted { image, files, insecure_registries: &insecure };
        self.images.prepare(&wanted, &|_| {}, &|| false)
    }

    pub(crate) fn find(&self, image: &str) -> Option<Image> {
        let insecure = insecure(image);
        self.images.find(&Wanted { image, files: &BTreeMap::new(), insecure_registries: &insecure }).unwrap()
    }

    /// What is left of work that failed.
    pub(crate) fn leftovers(&self) -> usize {
        ["layers", "tmp", "records"]
            .iter()
            .map(|name| fs::read_dir(self.path("images").join(name)).unwrap().count())
            .sum()
    }
}

/// Registries on this machine are spoken to by http.
fn insecure(image: &str) -> Vec<String> {
    image.split('/').next().filter(|host| host.starts_with("127.0.0.1:")).map(str::to_owned).into_iter().collect()
}

/// All that an error says, from the outside in.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", whole(source)))
}

/// A layer with these files, of somebody who isn't root.
pub(crate) fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let files = files.iter().fold(oci::Files::new(), |layer, (path, data)| layer.owned(path, 0o644, (1, 1), data));
    files.archive()
}

/// An image of these layers, each as plain archive and as it is stored.
pub(crate) fn parts(layers: &[Layer]) -> Parts {
    let config =
        Config { entrypoint: vec!["/hello".to_owned()], environment: vec!["A=1".to_owned()], ..Config::default() };
    oci::image(&config, layers)
}

/// Two small layers, one compressed by gzip and one by zstd.
pub(crate) fn small() -> Parts {
    small_by(zstd)
}

/// The same, with the upper one compressed like that.
pub(crate) fn small_by(compress: fn(&[u8]) -> Vec<u8>) -> Parts {
    let (lower, upper) = (layer(&[("hello", b"1"), ("gone", b"1")]), layer(&[("hello", b"2"), (".wh.gone", b"")]));
    parts(&[(lower.clone(), gzip(&lower)), (upper.clone(), compress(&upper))])
}
