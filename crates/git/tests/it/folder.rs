//! Folders on disk: read as they lie, and made commits.

use crate::support::{Place, said, volume};
use abide_git::{cache, folder, revision::reopen};
use abide_spec::Tree;
use std::{fs, os::unix::fs::symlink};

#[test]
fn a_folder_and_its_commit_say_the_same() {
    let place = Place::new();
    place.write("a.yaml", volume("a"));
    place.write("files/run.sh", "#!/bin/sh\n");
    fs::set_permissions(place.path("work/files/run.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    symlink("files/run.sh", place.path("work/start")).unwrap();
    symlink("/etc/passwd", place.path("work/secret")).unwrap();
    let id = folder::commit(&place.path("work"), &place.path("state")).unwrap();

    let repository = cache::open(&place.path("state")).unwrap();
    let of_commit = abide_git::tree::of_commit(repository, id, "").unwrap();
    let of_folder = folder::of_folder(&place.path("work")).unwrap();
    assert_eq!(of_commit.files(), of_folder.files());
    let shown: Vec<String> = of_folder.files().iter().map(|file| format!("{file:?}")).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    TreeFile { path: "a.yaml", size: 73, is_executable: false, odd: None }
    TreeFile { path: "files/run.sh", size: 10, is_executable: true, odd: None }
    TreeFile { path: "secret", size: 0, is_executable: false, odd: Some("secret is an absolute link: only links inside the repository are followed") }
    TreeFile { path: "start", size: 10, is_executable: true, odd: None }
    "#);
    for tree in [&of_commit, &of_folder] {
        assert_eq!(&*tree.read("start").unwrap(), b"#!/bin/sh\n");
        assert!(tree.read("secret").unwrap_err().contains("absolute link"));
    }
    let settings = place.settings("/nowhere", |_| {});
    assert_eq!(said(&reopen(&settings, &id.to_string()).unwrap()), "a");
}

#[test]
fn a_link_to_what_no_file_can_be_called_leads_nowhere() {
    let place = Place::new();
    place.write("a.yaml", volume("a"));
    symlink("n".repeat(300), place.path("work/long")).unwrap();
    let id = folder::commit(&place.path("work"), &place.path("state")).unwrap();
    let of_commit = abide_git::tree::of_commit(cache::open(&place.path("state")).unwrap(), id, "").unwrap();
    let of_folder = folder::of_folder(&place.path("work")).unwrap();
    assert_eq!(of_commit.files(), of_folder.files());
    assert!(of_folder.files()[1].odd.as_ref().is_some_and(|odd| odd.ends_with("is not there")));
}

#[test]
fn the_commit_depends_on_the_content_alone() {
    let place = Place::new();
    place.write("a.yaml", volume("a"));
    place.write("b/c.txt", "c");
    let commit = || folder::commit(&place.path("work"), &place.path("state")).unwrap();
    let packs = || fs::read_dir(place.path("state/repo.git/objects/pack")).unwrap().count();
    let first = commit();
    place.commit("noise in .git");
    assert_eq!((commit(), packs()), (first, 2), "one pack and its index");
    place.write("b/c.txt", "d");
    let second = commit();
    assert_ne!(second, first);
    place.git("state/repo.git", &["fsck", "--strict", &first.to_string(), &second.to_string()]);
    place.write("b/c.txt", "c");
    assert_eq!((commit(), packs()), (first, 4));
}

#[test]
fn what_is_no_file_is_named() {
    let place = Place::new();
    nix::unistd::mkfifo(&place.path("work/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = folder::commit(&place.path("work"), &place.path("state")).unwrap_err().to_string();
    assert!(error.ends_with("work/pipe: it is neither a file nor a folder"), "{error}");
    assert!(folder::of_folder(&place.path("work")).unwrap().read("pipe").unwrap_err().contains("neither"));
    let error = folder::commit(&place.path("none"), &place.path("state")).unwrap_err().to_string();
    assert!(error.contains("No such file or directory"), "{error}");
}

#[test]
fn a_folder_that_is_no_configuration_is_refused() {
    let place = Place::new();
    let file = fs::File::create(place.path("work/disk.img")).unwrap();
    file.set_len(1 << 30).unwrap();
    let error = folder::commit(&place.path("work"), &place.path("state")).unwrap_err().to_string();
    assert!(error.contains("holds more than 256 MiB"), "{error}");
}
