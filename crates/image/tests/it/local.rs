use crate::rig::{self, Rig, small, small_by, whole};
use abide_image::PrepareError;
use abide_lab::{oci::gzip, run};
use abide_spec::{Digest, FileRef, ListedFile, Listing};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, Instant},
};

/// Looks into the layers, top first.
fn check_layers(image: &abide_image::Image) {
    assert_eq!(image.layers.len(), 2);
    assert_eq!(fs::read(image.layers[0].join("hello")).unwrap(), b"2");
    assert_eq!(fs::read(image.layers[1].join("hello")).unwrap(), b"1");
    assert_eq!(image.config.entrypoint, ["/hello"]);
}

#[test]
fn a_layout_as_folder_and_as_archive() {
    let rig = Rig::new();
    let (folder, archive) = (rig.path("layout"), rig.path("image.tar"));
    small().write_layout(&folder, "web");
    run("tar", &["-C", folder.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]);
    run("gzip", &["-k", archive.to_str().unwrap()]);
    let (folder, archive) = (folder.display(), archive.display());
    for image in [
        format!("oci:{folder}"),
        format!("oci:{folder}:web"),
        format!("oci:{archive}"),
        format!("oci:{archive}.gz"),
        format!("docker-archive:{archive}"),
    ] {
        let prepared = rig.prepare(&image).unwrap_or_else(|error| panic!("{image}: {}", whole(&error)));
        check_layers(&prepared);
        assert_eq!(rig.find(&image), Some(prepared.clone()));
        assert_eq!(rig.prepare(&image).unwrap(), prepared);
    }
    let error = rig.prepare(&format!("oci:{folder}:other")).unwrap_err();
    assert!(whole(&error).contains("it has these images: web"), "{}", whole(&error));
    let error = rig.prepare("oci:/no/such/folder").unwrap_err();
    assert!(error.can_retry());
}

#[test]
fn what_docker_save_writes() {
    let rig = Rig::new();
    let (folder, archive) = (rig.path("layout"), rig.path("saved.tar"));
    // Docker's images have no zstd.
    small_by(gzip).write_layout(&folder, "web");
    let to = format!("docker-archive:{}:example.org/shop/web:1.5", archive.display());
    run("skopeo", &["--insecure-policy", "copy", "-q", &format!("oci:{}:web", folder.display()), &to]);
    let image = rig.prepare(&format!("docker-archive:{}", archive.display())).map_err(|error| whole(&error)).unwrap();
    check_layers(&image);
    assert_eq!(rig.prepare(&to).unwrap().digest, image.digest);
    let error = rig.prepare(&format!("docker-archive:{}:other", archive.display())).unwrap_err();
    assert!(whole(&error).contains("example.org/shop/web:1.5"), "{}", whole(&error));
}

#[test]
fn a_folder_of_the_repository() {
    let rig = Rig::new();
    let folder = rig.path("layout");
    small().write_layout(&folder, "web");
    let store = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(rig.path("files").join(digest.to_string()), bytes).unwrap();
        digest
    };
    let mut listing = Listing::new();
    let blobs = fs::read_dir(folder.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    for path in blobs.chain([folder.join("index.json")]) {
        let bytes = fs::read(&path).unwrap();
        let file = ListedFile { digest: store(&bytes), size: bytes.len() as u64, executable: false };
        listing.insert(path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned(), file);
    }
    let file = FileRef { digest: store(&serde_json::to_vec(&listing).unwrap()), size: 0 };
    let files = BTreeMap::from([("images/web".to_owned(), file)]);
    check_layers(&rig.prepare_with("oci:images/web", &files).map_err(|error| whole(&error)).unwrap());
    assert!(matches!(rig.prepare("oci:images/web"), Err(PrepareError::NotGiven(_))));
}

#[test]
fn a_file_that_changed_is_another_image_and_one_that_is_gone_is_not() {
    let rig = Rig::new();
    let folder = rig.path("layout");
    let image = format!("oci:{}", folder.display());
    small().write_layout(&folder, "web");
    let first = rig.prepare(&image).unwrap();
    let other = rig::layer(&[("other", b"")]);
    rig::parts(&[(other.clone(), other)]).write_layout(&folder, "web");
    assert_eq!(rig.find(&image).unwrap(), first);
    let second = rig.prepare(&image).unwrap();
    assert_ne!(first.digest, second.digest);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(rig.prepare(&image).unwrap(), second);
}

#[test]
fn blobs_that_were_changed_are_noticed() {
    for (what, hint) in [("manifest", "manifest"), ("layer", "layer 1")] {
        let rig = Rig::new();
        let folder = rig.path("layout");
        let parts = small();
        parts.write_layout(&folder, "web");
        let is_layer = |bytes: &Vec<u8>| bytes.starts_with(&[0x1f, 0x8b]);
        let layer = parts.blobs.iter().find(|(_, bytes)| is_layer(bytes)).unwrap().0;
        let digest = if what == "layer" { layer } else { &parts.manifest };
        let path = folder.join(format!("blobs/sha256/{digest}"));
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = rig.prepare(&format!("oci:{}", folder.display())).unwrap_err();
        assert!(!error.can_retry(), "{hint}: {}", whole(&error));
        assert!(whole(&error).contains("announced"), "{hint}: {}", whole(&error));
        assert_eq!(rig.leftovers(), 0);
    }
}

#[test]
fn what_nobody_names_goes_and_what_is_shared_stays() {
    let rig = Rig::new();
    let layers = ["one", "two", "three"].map(|name| rig::layer(&[(name, b"")])).map(|layer| (layer.clone(), layer));
    let [one, two, three] = layers;
    rig::parts(&[one.clone(), two]).write_layout(&rig.path("a"), "a");
    rig::parts(&[one, three]).write_layout(&rig.path("b"), "b");
    let (a, b) = (format!("oci:{}", rig.path("a").display()), format!("oci:{}", rig.path("b").display()));
    let kept = rig.prepare(&a).unwrap();
    rig.prepare(&b).unwrap();
    // What was asked for just now is spared.
    assert_eq!(rig.images.prune(&BTreeSet::new()).unwrap(), Some(0));
    let again = || abide_image::Images::open(&rig.path("images"), &rig.path("files"), Default::default()).unwrap();
    // Somebody else has the store open.
    let other = again();
    assert_eq!(other.prune(&BTreeSet::from([kept.digest])).unwrap(), None);
    let folder = rig.folder;
    drop((rig.images, other));
    fs::create_dir(folder.path().join("images/tmp/left-by-a-crash")).unwrap();
    let open =
        || abide_image::Images::open(&folder.path().join("images"), &folder.path().join("files"), Default::default());
    // A process that another test forks just now has the store open as well, until it executes its program.
    let end = Instant::now() + Duration::from_secs(60);
    let images = loop {
        let images = open().unwrap();
        if fs::read_dir(folder.path().join("images/tmp")).unwrap().count() == 0 {
            break images;
        }
        assert!(Instant::now() < end, "what a crash left is still there");
    };
    assert_eq!(images.prune(&BTreeSet::from([kept.digest])).unwrap(), Some(1));
    let find = |image: &str| {
        images.find(&abide_image::Wanted { image, files: &BTreeMap::new(), insecure_registries: &[] }).unwrap()
    };
    assert_eq!(find(&a), Some(kept));
    assert_eq!(find(&b), None);
}
