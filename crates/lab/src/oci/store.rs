//! An image in the three forms it has on a disk.

use super::{Files, Parts};
use crate::write;
use abide_spec::Digest;
use serde_json::json;
use std::{fs, path::Path};

impl Parts {
    /// As OCI image layout: a folder.
    pub fn write_layout(&self, folder: &Path, name: &str) {
        for (path, bytes) in self.layout(name) {
            write(&folder.join(path), &bytes);
        }
    }

    /// As OCI archive: the layout in one file.
    pub fn write_archive(&self, path: &Path, name: &str) {
        let layout = self.layout(name);
        let files = layout.iter().fold(Files::new(), |files, (path, bytes)| files.file(path, 0o644, bytes));
        fs::write(path, files.archive()).unwrap();
    }

    /// As `docker save` wrote it before it knew layouts.
    pub fn write_docker_archive(&self, path: &Path, name: &str) {
        let config = format!("{}.json", self.config);
        let mut files = Files::new().file(&config, 0o644, &self.blobs[&self.config]);
        let mut layers = Vec::new();
        for plain in &self.plain {
            let layer = format!("{}.tar", Digest::of(plain));
            files = files.file(&layer, 0o644, plain);
            layers.push(layer);
        }
        let manifest = json!([{ "Config": config, "RepoTags": [name], "Layers": layers }]);
        let files = files.file("manifest.json", 0o644, &serde_json::to_vec(&manifest).unwrap());
        fs::write(path, files.archive()).unwrap();
    }

    fn layout(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let index = json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{}", self.manifest),
            "size": self.manifest_size, "annotations": { "org.opencontainers.image.ref.name": name } }] });
        let blobs = self.blobs.iter().map(|(digest, bytes)| (format!("blobs/sha256/{digest}"), bytes.clone()));
        let mut layout: Vec<_> = blobs.collect();
        layout.push(("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        layout.push(("index.json".to_owned(), serde_json::to_vec(&index).unwrap()));
        layout
    }
}
