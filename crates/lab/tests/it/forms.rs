//! What we write is what others read.

use abide_lab::{oci, run};

#[test]
fn every_form_is_read_by_skopeo() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let image = oci::hello();
    image.write_layout(&folder.path().join("layout"), "hello");
    image.write_archive(&folder.path().join("archive"), "hello");
    image.write_docker_archive(&folder.path().join("saved"), "hello:1");
    for (number, from) in [
        format!("oci:{}:hello", path("layout")),
        format!("oci-archive:{}:hello", path("archive")),
        format!("docker-archive:{}:hello:1", path("saved")),
    ]
    .iter()
    .enumerate()
    {
        run("skopeo", &["--insecure-policy", "copy", "-q", from, &format!("oci:{}:x", path(&number.to_string()))]);
    }
}
