//! Images, made byte by byte, so that a test can make any mistake.
//!
//! ```text
//! layer(files) ─► plain tar ─gzip, zstd or as it is─► stored ┐
//!                                             Config ────────┴─► Parts: blobs by digest ─► layout, archive, docker-archive
//! ```

mod store;

use abide_spec::Digest;
use serde_json::json;
use std::{collections::BTreeMap, fs, io::Write as _, process::Command};

/// A layer as plain archive, and as it is stored.
pub type Layer = (Vec<u8>, Vec<u8>);

/// What an image says about how it is run. What is empty isn't said.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The program with its first arguments.
    pub entrypoint: Vec<String>,
    /// More arguments, unless others are given.
    pub command: Vec<String>,
    /// As `NAME=value`.
    pub environment: Vec<String>,
    /// `USER[:GROUP]`, by name or number.
    pub user: String,
    /// Where it starts.
    pub working_dir: String,
    /// As `SIGTERM`.
    pub stop_signal: String,
}

/// An image in memory: all blobs by digest, and which one the manifest is.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Layers as stored, config, manifest.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// Which one is the manifest.
    pub manifest: Digest,
    /// Its bytes.
    pub manifest_size: usize,
    config: Digest,
    /// The layers as plain archives, lowest first.
    plain: Vec<Vec<u8>>,
}

/// What goes into a layer, in the order given. Everything belongs to root unless said.
pub struct Files(tar::Builder<Vec<u8>>);

impl Files {
    /// Nothing yet.
    #[expect(clippy::new_without_default, reason = "there is nothing to be said about an empty layer")]
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// A file with these rights.
    pub fn file(self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.owned(path, mode, (0, 0), bytes)
    }

    /// A file of somebody.
    pub fn owned(mut self, path: &str, mode: u32, (user, group): (u64, u64), bytes: &[u8]) -> Self {
        let mut header = header(mode, tar::EntryType::Regular, bytes.len());
        header.set_uid(user);
        header.set_gid(group);
        self.0.append_data(&mut header, path, bytes).unwrap();
        self
    }

    /// A file whose name goes in as it is, though no honest writer takes it.
    pub fn raw(mut self, name: &[u8], bytes: &[u8]) -> Self {
        let mut header = header(0o644, tar::EntryType::Regular, bytes.len());
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
        self
    }

    /// A folder with these rights.
    pub fn folder(mut self, path: &str, mode: u32) -> Self {
        self.0.append_data(&mut header(mode, tar::EntryType::Directory, 0), path, &[][..]).unwrap();
        self
    }

    /// A symbolic link.
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.0.append_link(&mut header(0o777, tar::EntryType::Symlink, 0), path, target).unwrap();
        self
    }

    /// A character device.
    pub fn device(mut self, path: &str, (major, minor): (u32, u32)) -> Self {
        let mut header = header(0o666, tar::EntryType::Char, 0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.0.append_data(&mut header, path, &[][..]).unwrap();
        self
    }

    /// The plain archive.
    pub fn archive(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    /// A layer, compressed by gzip.
    pub fn layer(self) -> Layer {
        let plain = self.archive();
        let stored = gzip(&plain);
        (plain, stored)
    }
}

fn header(mode: u32, entry: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(entry);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// As most layers are compressed.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As few layers are compressed.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// An image of these layers, the lowest first.
pub fn image(config: &Config, layers: &[Layer]) -> Parts {
    let mut blobs = BTreeMap::new();
    let mut put = |bytes: Vec<u8>| {
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        blobs.insert(digest, bytes);
        (digest, size)
    };
    let diff_ids: Vec<_> = layers.iter().map(|(plain, _)| format!("sha256:{}", Digest::of(plain))).collect();
    let mut stored = Vec::new();
    for (_, bytes) in layers {
        let media = format!("application/vnd.oci.image.layer.v1.tar{}", suffix(bytes));
        let (digest, size) = put(bytes.clone());
        stored.push(json!({ "mediaType": media, "digest": format!("sha256:{digest}"), "size": size }));
    }
    let document = json!({ "os": "linux", "architecture": "amd64", "config": config.document(),
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let (config, size) = put(serde_json::to_vec(&document).unwrap());
    let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{config}"),
            "size": size }, "layers": stored });
    let (manifest, manifest_size) = put(serde_json::to_vec(&manifest).unwrap());
    Parts { blobs, manifest, manifest_size, config, plain: layers.iter().map(|(plain, _)| plain.clone()).collect() }
}

/// The image of [`crate::hello`]: nothing but that program.
pub fn hello() -> Parts {
    let program = fs::read(crate::hello()).unwrap();
    let config = Config { entrypoint: vec!["/hello".to_owned()], ..Config::default() };
    image(&config, &[Files::new().file("hello", 0o755, &program).layer()])
}

/// This machine's static busybox, and nothing else: a shell, and all that a test wants to try inside.
pub fn busybox() -> Parts {
    let program = fs::read("/bin/busybox").unwrap_or_else(|error| panic!("this test needs busybox-static: {error}"));
    let config = Config { command: vec!["/bin/sh".to_owned()], ..Config::default() };
    let files = Files::new().folder("bin", 0o755).file("bin/busybox", 0o755, &program);
    let listed = Command::new("/bin/busybox").arg("--list").output().unwrap();
    let applets = String::from_utf8(listed.stdout).unwrap();
    let others = applets.lines().filter(|applet| *applet != "busybox");
    let files = others.fold(files, |files, applet| files.link(&format!("bin/{applet}"), "busybox"));
    let files = files.folder("tmp", 0o1777).folder("etc", 0o755).file("etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\n");
    image(&config, &[files.layer()])
}

/// What the bytes say they are compressed by, as a media type ends.
fn suffix(stored: &[u8]) -> &'static str {
    match stored {
        [0x1f, 0x8b, ..] => "+gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "+zstd",
        _ => "",
    }
}

impl Config {
    fn document(&self) -> serde_json::Value {
        let mut document = json!({ "Entrypoint": self.entrypoint, "Cmd": self.command, "Env": self.environment,
            "User": self.user, "WorkingDir": self.working_dir, "StopSignal": self.stop_signal });
        let fields = document.as_object_mut().unwrap();
        fields.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty) && value.as_str() != Some(""));
        document
    }
}
