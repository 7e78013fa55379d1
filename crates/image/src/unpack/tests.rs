use super::*;
use abide_host::fs::Sync;
use std::{fs as std_fs, os::unix::fs::MetadataExt as _, path::Path};

/// An entry, written as it is: nobody honest stands between a test and the archive.
#[derive(Clone)]
struct Raw<'a> {
    path: &'a str,
    kind: tar::EntryType,
    link: &'a str,
    data: &'a [u8],
    mode: u32,
    owner: u64,
    device: (u32, u32),
    records: Vec<(&'a str, &'a [u8])>,
}

fn raw<'a>(path: &'a str, kind: tar::EntryType) -> Raw<'a> {
    Raw { path, kind, link: "", data: b"", mode: 0o644, owner: 0, device: (0, 0), records: vec![] }
}

fn file<'a>(path: &'a str, data: &'a [u8]) -> Raw<'a> {
    Raw { data, ..raw(path, tar::EntryType::Regular) }
}

fn dir(path: &str) -> Raw<'_> {
    Raw { mode: 0o755, ..raw(path, tar::EntryType::Directory) }
}

fn link<'a>(path: &'a str, link: &'a str) -> Raw<'a> {
    Raw { link, ..raw(path, tar::EntryType::Symlink) }
}

fn hard<'a>(path: &'a str, link: &'a str) -> Raw<'a> {
    Raw { link, ..raw(path, tar::EntryType::Link) }
}

fn archive(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        if !entry.records.is_empty() {
            builder.append_pax_extensions(entry.records.iter().copied()).unwrap();
        }
        let mut header = tar::Header::new_ustar();
        let put = |field: &mut [u8], text: &str| field[..text.len()].copy_from_slice(text.as_bytes());
        put(&mut header.as_old_mut().name, entry.path);
        put(&mut header.as_old_mut().linkname, entry.link);
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(entry.owner);
        header.set_gid(entry.owner);
        header.set_mtime(1_000_000);
        header.set_size(entry.data.len() as u64);
        header.set_device_major(entry.device.0).unwrap();
        header.set_device_minor(entry.device.1).unwrap();
        header.set_cksum();
        builder.append(&header, entry.data).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A folder with a canary outside of what is unpacked.
struct Place {
    folder: tempfile::TempDir,
    dir: Dir,
    layers: usize,
}

impl Place {
    fn new() -> Self {
        assert!(nix_is_root(), "this test needs root");
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open(folder.path()).unwrap();
        dir.write("canary", b"untouched", 0o600, Sync::ThisBoot).unwrap();
        Self { folder, dir, layers: 0 }
    }

    /// Unpacks another layer over those before.
    fn unpack_limited(&mut self, entries: &[Raw<'_>], limits: Limits) -> Result<PathBuf, UnpackError> {
        let below = (0..self.layers).rev().map(|n| self.dir.open_dir(n.to_string(), Resolve::Beneath).unwrap());
        let lower = Lower(below.collect());
        let name = self.layers.to_string();
        self.dir.make_dirs(&name, 0o755).unwrap();
        self.layers += 1;
        let bytes = archive(entries);
        let mut archive = Archive::new(&bytes[..]);
        unpack(&mut archive, &self.dir, &name, &lower, &mut Budget::new(limits))?;
        Ok(self.folder.path().join(name))
    }

    fn unpack(&mut self, entries: &[Raw<'_>]) -> Result<PathBuf, UnpackError> {
        self.unpack_limited(entries, Limits::default())
    }

    fn check_canary(&self) {
        let canary = self.folder.path().join("canary");
        assert_eq!(std_fs::read(&canary).unwrap(), b"untouched");
        let seen = std_fs::metadata(&canary).unwrap();
        assert_eq!((seen.nlink(), seen.mode() & 0o7777, seen.uid()), (1, 0o600, 0));
        let outside: Vec<_> = self.dir.names().unwrap();
        assert!(outside.iter().all(|name| name == "canary" || name.to_str().unwrap().parse::<usize>().is_ok()));
    }
}

fn nix_is_root() -> bool {
    std_fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn what_is_in_the_archive_is_in_the_folder() {
    let mut place = Place::new();
    let entries = [
        Raw { mode: 0o755, owner: 3, ..dir("./") },
        Raw { mode: 0o1777, ..dir("tmp/") },
        Raw { mode: 0o4755, owner: 7, ..file("bin/su", b"program") },
        Raw { owner: 8, ..link("bin/sh", "/bin/su") },
        hard("bin/other", "./bin/su"),
        Raw { mode: 0o622, ..raw("fifo", tar::EntryType::Fifo) },
        Raw {
            records: vec![("SCHILY.xattr.user.x", b"1"), ("SCHILY.xattr.trusted.overlay.redirect", b"/etc")],
            ..file("x", b"")
        },
        file("twice", b"first"),
        file("twice", b"second"),
    ];
    let root = place.unpack(&entries).unwrap();
    let seen = |path: &str| {
        let seen = std_fs::symlink_metadata(root.join(path)).unwrap();
        (seen.mode() & 0o7777, seen.uid(), seen.mtime())
    };
    assert_eq!(seen(""), (0o755, 3, 1_000_000));
    assert_eq!(seen("tmp"), (0o1777, 0, 1_000_000));
    assert_eq!(seen("bin/su"), (0o4755, 7, 1_000_000));
    assert_eq!((seen("bin/sh").1, seen("bin/sh").2), (8, 1_000_000));
    assert_eq!(seen("bin").0, 0o755);
    assert_eq!(seen("fifo").0, 0o622);
    assert_eq!(std_fs::read_link(root.join("bin/sh")).unwrap(), Path::new("/bin/su"));
    assert_eq!(std_fs::metadata(root.join("bin/other")).unwrap().nlink(), 2);
    assert_eq!(std_fs::read(root.join("twice")).unwrap(), b"second");
    let layer = Dir::open(&root).unwrap();
    assert_eq!(layer.attributes("x").unwrap(), ["user.x"]);
}

#[test]
fn nothing_gets_out_of_the_layer() {
    let cases: Vec<(&str, Vec<Raw<'_>>)> = vec![
        ("..", vec![file("../canary", b"x")]),
        (".. inside", vec![file("a/../../canary", b"x")]),
        ("through a link", vec![link("out", ".."), file("out/canary", b"x")]),
        ("through an absolute link", vec![link("out", "/"), file("out/etc/abide-canary", b"x")]),
        ("through two links", vec![dir("a"), link("a/b", ".."), link("c", "a/b/.."), file("c/canary", b"x")]),
        ("a directory through a link", vec![link("out", ".."), dir("out/new")]),
        ("a whiteout through a link", vec![link("out", ".."), file("out/.wh.canary", b"")]),
        ("opaque through a link", vec![link("out", ".."), file("out/.wh..wh..opq", b"")]),
        ("hard link with ..", vec![hard("a", "../canary")]),
        ("hard link through a link", vec![link("out", ".."), hard("a", "out/canary")]),
        ("hard link to the host", vec![hard("a", "/etc/hostname")]),
        ("hard link to itself", vec![file("a", b""), hard("a", "a")]),
        ("hard link to a directory", vec![dir("a"), hard("b", "a")]),
        ("whiteout of nothing", vec![file(".wh.", b"")]),
        ("whiteout of .", vec![file("a/.wh..", b"")]),
        ("whiteout of ..", vec![file("a/.wh...", b"")]),
        ("below a whiteout", vec![file(".wh.a/b", b"")]),
        ("whiteout of overlayfs", vec![raw("etc", tar::EntryType::Char)]),
        ("the root as a link", vec![link("./", "..")]),
        ("a file as a directory", vec![file("a", b""), file("a/b", b"")]),
        ("no such owner", vec![Raw { owner: u64::from(u32::MAX), ..file("a", b"") }]),
    ];
    for (what, entries) in cases {
        let mut place = Place::new();
        assert!(place.unpack(&entries).is_err(), "{what}");
        place.check_canary();
    }
}

#[test]
fn absolute_paths_begin_at_the_layers_root() {
    let mut place = Place::new();
    let root = place.unpack(&[file("/etc/x", b"in"), hard("/y", "/etc/x"), link("out", "/etc"), dir("out")]).unwrap();
    assert_eq!(std_fs::read(root.join("y")).unwrap(), b"in");
    assert!(std_fs::symlink_metadata(root.join("out")).unwrap().is_dir());
    place.check_canary();
}

#[test]
fn devices_are_never_made() {
    let mut place = Place::new();
    let null = Raw { device: (1, 3), ..raw("dev/null", tar::EntryType::Char) };
    let disk = Raw { device: (8, 0), ..raw("dev/sda", tar::EntryType::Block) };
    let root = place.unpack(&[dir("dev"), null, disk]).unwrap();
    assert_eq!(std_fs::read_dir(root.join("dev")).unwrap().count(), 0);
}

#[test]
fn whiteouts_become_overlayfs_own() {
    let mut place = Place::new();
    let below =
        [file("gone", b"1"), file("etc/a", b"1"), file("etc/b", b"1"), file("kept/x", b"1"), file("swap/x", b"1")];
    place.unpack(&below).unwrap();
    let above = [
        file(".wh.gone", b""),
        file("etc/b", b"2"),
        file("etc/.wh..wh..opq", b""),
        // Hidden, and there again as another directory.
        file(".wh.swap", b""),
        file("swap/y", b"2"),
        file("kept/y", b"2"),
        // What is in the same layer isn't hidden.
        file("own", b"2"),
        file(".wh.own", b""),
    ];
    let top = place.unpack(&above).unwrap();
    let layers = [top, place.folder.path().join("0")];
    let at = tempfile::tempdir().unwrap();
    let seen = abide_host::overlay::view(&layers, at.path()).unwrap();
    let names = |path: &str| seen.open_dir(path, Resolve::InRoot).unwrap().names().unwrap();
    assert_eq!(names("."), ["etc", "kept", "own", "swap"]);
    assert_eq!(names("etc"), ["b"]);
    assert_eq!(names("swap"), ["y"]);
    assert_eq!(names("kept"), ["x", "y"]);
}

#[test]
fn layers_below_say_how_missing_directories_are_and_what_is_linked() {
    let mut place = Place::new();
    place
        .unpack(&[Raw { mode: 0o1777, owner: 5, ..dir("tmp") }, Raw { mode: 0o600, owner: 6, ..file("f", b"low") }])
        .unwrap();
    let root = place.unpack(&[file("tmp/x", b""), hard("copy", "f")]).unwrap();
    let seen = std_fs::metadata(root.join("tmp")).unwrap();
    assert_eq!((seen.mode() & 0o7777, seen.uid()), (0o1777, 5));
    let copy = std_fs::metadata(root.join("copy")).unwrap();
    assert_eq!((copy.mode() & 0o7777, copy.uid(), copy.nlink()), (0o600, 6, 1));
    assert_eq!(std_fs::read(root.join("copy")).unwrap(), b"low");
    // What a layer between hides can't be linked to.
    place.unpack(&[file(".wh.f", b"")]).unwrap();
    assert!(place.unpack(&[hard("copy", "f")]).is_err());
}

#[test]
fn bombs_are_refused() {
    let mut place = Place::new();
    let limits = Limits { bytes_max: 100, entries_max: 3, layers_max: 1 };
    let many = [file("a", b""), file("b", b""), file("c", b""), file("d", b"")];
    assert!(matches!(place.unpack_limited(&many, limits), Err(UnpackError::TooBig(_))));
    assert!(matches!(place.unpack_limited(&[file("deep/er/and/deeper", b"")], limits), Err(UnpackError::TooBig(_))));
    assert!(matches!(place.unpack_limited(&[file("a", &[0; 101])], limits), Err(UnpackError::TooBig(_))));
    assert!(place.unpack_limited(&[file("a", &[0; 100])], limits).is_ok());
}
