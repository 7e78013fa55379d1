use super::*;
use std::{
    ffi::OsStr,
    os::unix::fs::{PermissionsExt as _, symlink},
};

fn temporary() -> (tempfile::TempDir, Dir) {
    let folder = tempfile::tempdir().unwrap();
    let dir = Dir::open(folder.path()).unwrap();
    (folder, dir)
}

#[test]
fn links_are_refused_beneath_and_followed_in_a_root() {
    let (folder, dir) = temporary();
    let root = dir.make_dirs("root/etc", 0o700).unwrap();
    root.write("passwd", b"inside", 0o600, Sync::ThisBoot).unwrap();
    dir.write("passwd", b"outside", 0o600, Sync::ThisBoot).unwrap();
    let root = dir.open_dir("root", Resolve::Beneath).unwrap();
    symlink("/etc/passwd", folder.path().join("root/absolute")).unwrap();
    symlink("../../../passwd", folder.path().join("root/up")).unwrap();
    symlink("/etc", folder.path().join("root/folder")).unwrap();

    for path in ["absolute", "up", "folder/passwd", "../passwd", "/etc/passwd", "etc/../../passwd"] {
        assert!(root.read(path, Resolve::Beneath, 99).is_err(), "{path}");
    }
    for path in ["absolute", "folder/passwd", "/etc/passwd", "../../etc/passwd", "/folder/../etc/passwd"] {
        assert_eq!(root.read(path, Resolve::InRoot, 99).unwrap(), b"inside", "{path}");
    }
    assert!(root.read("up", Resolve::InRoot, 99).unwrap_err().is_missing());
    assert!(root.make_dirs("folder/new", 0o700).is_err());
    assert!(root.make_dirs("../new", 0o700).is_err());
    assert!(!folder.path().join("new").exists());
}

#[test]
fn renames_elsewhere_disturb_nothing() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (folder, dir) = temporary();
    dir.make_dirs("a/b", 0o700).unwrap();
    dir.write("file", b"inside", 0o600, Sync::ThisBoot).unwrap();
    let elsewhere = [folder.path().join("x"), folder.path().join("y")];
    std::fs::create_dir(&elsewhere[0]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let [one, other] = &elsewhere;
            while !done.load(Ordering::Relaxed) {
                std::fs::rename(one, other).and_then(|()| std::fs::rename(other, one)).unwrap();
            }
        });
        for _ in 0..50_000 {
            let read = dir.read("a/../a/b/../../a/b/../../file", Resolve::InRoot, 99);
            done.store(read.is_err(), Ordering::Relaxed);
            assert_eq!(read.unwrap(), b"inside");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn only_regular_files_of_a_bounded_size_are_read() {
    let (folder, dir) = temporary();
    nix::unistd::mkfifo(&folder.path().join("fifo"), Mode::S_IRUSR).unwrap();
    dir.write("big", &[0; 100], 0o600, Sync::ThisBoot).unwrap();
    symlink("/proc/self/exe", folder.path().join("magic")).unwrap();
    for (name, error) in [("fifo", "no regular file"), (".", "no regular file"), ("big", "more than 99 bytes")] {
        let said = dir.read(name, Resolve::Beneath, 99).unwrap_err().source.to_string();
        assert!(said.contains(error), "{name}: {said}");
    }
    assert!(dir.read("magic", Resolve::InRoot, 99).unwrap_err().is_missing());
    assert_eq!(dir.read("big", Resolve::Beneath, 100).unwrap().len(), 100);
}

#[test]
fn writing_replaces_in_one_step_and_leaves_no_draft() {
    let (folder, dir) = temporary();
    dir.write("record", b"old", 0o640, Sync::Durable).unwrap();
    dir.write("record", b"new", 0o604, Sync::Durable).unwrap();
    assert_eq!(dir.read("record", Resolve::Beneath, 9).unwrap(), b"new");
    assert_eq!(folder.path().join("record").metadata().unwrap().permissions().mode() & 0o7777, 0o604);
    dir.make_dirs("taken/by", 0o700).unwrap();
    assert!(dir.write("taken", b"x", 0o600, Sync::ThisBoot).is_err());
    assert_eq!(dir.names().unwrap(), ["record", "taken"]);
}

#[test]
fn removing_neither_follows_links_nor_needs_depth() {
    let (folder, dir) = temporary();
    dir.write("kept", b"", 0o600, Sync::ThisBoot).unwrap();
    let mut deepest = dir.make_dirs("tree/1/2", 0o700).unwrap();
    symlink(folder.path(), folder.path().join("tree/1/link")).unwrap();
    for _ in 0..3000 {
        deepest = deepest.make_dirs("d", 0o700).unwrap();
    }
    deepest.write("file", b"", 0o600, Sync::ThisBoot).unwrap();
    dir.make_dirs("tree/2/3", 0o700).unwrap();
    for _ in 0..2 {
        dir.remove_all("tree").unwrap();
        assert_eq!(dir.names().unwrap(), ["kept"]);
    }
}

#[test]
fn names_are_never_paths_and_links_are_never_followed() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let (folder, dir) = temporary();
    dir.write("file", b"kept", 0o600, Sync::ThisBoot).unwrap();
    dir.make_dir("sub", 0o700).unwrap();
    let sub = dir.open_dir("sub", Resolve::Beneath).unwrap();
    for name in ["../file", "/file", ".", "..", "", "a/b", "a/"] {
        assert!(sub.make_link(name, OsStr::new("x")).is_err(), "{name:?}");
        assert!(sub.set_owner(name, 1, 1).is_err(), "{name:?}");
        assert!(sub.make_hard_link(name, &sub, "new").is_err(), "{name:?}");
        assert!(sub.set_attribute(name, OsStr::new("user.x"), b"").is_err(), "{name:?}");
    }
    sub.make_link("link", OsStr::new("../file")).unwrap();
    sub.set_owner("link", 7, 8).unwrap();
    sub.set_modified("link", 5, 0).unwrap();
    assert!(sub.set_mode("link", 0o777).is_err());
    sub.make_hard_link("link", &dir, "same").unwrap();
    let link = dir.look("same").unwrap().unwrap();
    assert_eq!((link.sort, link.uid, link.gid, link.modified.as_secs()), (Sort::Link, 7, 8, 5));
    let file = dir.look("file").unwrap().unwrap();
    assert_eq!((file.sort, file.mode, file.uid, file.size), (Sort::File, 0o600, 0, 4));
    assert_eq!(dir.read_link("same").unwrap(), "../file");
    sub.make_whiteout("hidden").unwrap();
    assert_eq!(sub.look("hidden").unwrap().unwrap().sort, Sort::Whiteout);
    assert_eq!(sub.look("missing").unwrap(), None);
    assert!(folder.path().join("file").exists());
}

#[test]
fn attributes_are_those_of_the_name() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let (_folder, dir) = temporary();
    dir.write("file", b"", 0o600, Sync::ThisBoot).unwrap();
    let key = OsStr::new("trusted.overlay.opaque");
    dir.set_attribute("file", key, b"y").unwrap();
    assert_eq!(dir.attribute("file", key).unwrap().as_deref(), Some(&b"y"[..]));
    assert_eq!(dir.attribute("file", OsStr::new("trusted.none")).unwrap(), None);
    assert_eq!(dir.attributes("file").unwrap(), [key]);
    dir.sync_file_system().unwrap();
}
