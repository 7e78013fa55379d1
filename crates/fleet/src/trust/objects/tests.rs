use super::*;
use proptest::prelude::*;
use std::process::Command;

fn blob(content: impl Into<Vec<u8>>) -> Frame {
    Frame { kind: ObjectKind::Blob, content: content.into() }
}

fn git(objects: &Objects, arguments: &[&str]) -> String {
    let done = Command::new("git").arg("--git-dir").arg(objects.path()).args(arguments).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn what_was_flushed_is_there_for_git_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = Objects::open(folder.path()).unwrap();
    let id = objects.put(blob("content\n")).unwrap();
    let empty = objects.put(Frame { kind: ObjectKind::Tree, content: Vec::new() }).unwrap();
    assert_eq!(empty.to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    assert!(objects.has(id) && objects.packs().unwrap() == 0, "only in memory");
    objects.flush().unwrap();
    objects.flush().unwrap();
    assert_eq!(objects.packs().unwrap(), 1);
    assert_eq!(git(&objects, &["cat-file", "blob", &id.to_string()]), "content\n");
    git(&objects, &["fsck", "--strict"]);
    objects.put(blob("never flushed")).unwrap();
    drop(objects);
    let objects = Objects::open(folder.path()).unwrap();
    assert_eq!(objects.read(id), Some(blob("content\n")));
    assert_eq!(objects.read(empty).unwrap().kind, ObjectKind::Tree);
    assert_eq!(objects.read(ObjectId([1; 20])), None);
}

#[test]
fn what_is_kept_survives_and_the_rest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = Objects::open(folder.path()).unwrap();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(objects.put(blob(vec![n; 1000])).unwrap());
        objects.flush().unwrap();
    }
    objects.retain(&BTreeSet::from([ids[1], ids[3], ObjectId([9; 20])])).unwrap();
    let has = |objects: &Objects| ids.iter().map(|id| objects.has(*id)).collect::<Vec<_>>();
    assert_eq!(has(&objects), [false, true, false, true, false]);
    assert_eq!(objects.packs().unwrap(), 1);
    drop(objects);
    // As a crash between the two renames leaves it, and one before the first.
    fs::rename(folder.path().join(CURRENT), folder.path().join(PREVIOUS)).unwrap();
    fs::create_dir(folder.path().join(NEXT)).unwrap();
    let objects = Objects::open(folder.path()).unwrap();
    assert_eq!(has(&objects), [false, true, false, true, false]);
    assert!(!folder.path().join(NEXT).exists());
}

#[test]
fn what_is_of_no_use_is_bounded_by_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = Objects::open(folder.path()).unwrap();
    let noise = |n: u8| (0..4000_u32).map(|k| (k.wrapping_mul(0x9e37_79b9) >> 24) as u8 ^ n).collect::<Vec<u8>>();
    let put = |objects: &mut Objects, from: u8, to: u8| {
        let ids: Vec<_> = (from..to).map(|n| objects.put(blob(noise(n))).unwrap()).collect();
        objects.flush().unwrap();
        ids
    };
    let kept: BTreeSet<ObjectId> = put(&mut objects, 0, 10).into_iter().collect();
    assert_eq!(objects.is_full(1 << 20).unwrap(), None);
    assert_eq!(objects.is_full(1000).unwrap(), Some(Full::Bytes), "none was ever said to be needed");
    objects.retain(&kept).unwrap();
    put(&mut objects, 10, 15);
    assert_eq!(objects.is_full(1000).unwrap(), None, "as much again as is needed");
    put(&mut objects, 15, 25);
    assert_eq!(objects.is_full(1000).unwrap(), Some(Full::Bytes));
    // To make few packs of many is not to need what is in them.
    objects.pack().unwrap();
    assert_eq!((objects.packs().unwrap(), objects.is_full(1000).unwrap()), (1, Some(Full::Bytes)));
    objects.retain(&kept).unwrap();
    assert_eq!(objects.is_full(1000).unwrap(), None);
    (0..=PACKS_MAX).for_each(|n| drop(put(&mut objects, 30, 31 + u8::try_from(n).unwrap())));
    assert_eq!(objects.is_full(1 << 20).unwrap(), Some(Full::Packs));
}

#[test]
fn what_is_damaged_can_be_had_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = Objects::open(folder.path()).unwrap();
    let id = objects.put(blob(vec![7; 5000])).unwrap();
    objects.flush().unwrap();
    let pack = packs(&objects.path()).unwrap().pop_first().unwrap();
    drop(objects);
    let mut bytes = fs::read(&pack).unwrap();
    bytes[16] ^= 0x55;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let mut objects = Objects::open(folder.path()).unwrap();
    assert_eq!(objects.read(id), None);
    objects.put(blob(vec![7; 5000])).unwrap();
    objects.flush().unwrap();
    assert_eq!(objects.read(id), Some(blob(vec![7; 5000])));
    drop(objects);
    assert_eq!(Objects::open(folder.path()).unwrap().read(id), Some(blob(vec![7; 5000])));
    fs::remove_dir_all(folder.path().join(CURRENT).join("objects")).unwrap();
    assert!(!Objects::open(folder.path()).unwrap().has(id), "a repository that is none is made anew");
}

#[test]
fn what_is_no_object_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = Objects::open(folder.path()).unwrap();
    for kind in [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Tag] {
        let bad = objects.put(Frame { kind, content: b"nothing".to_vec() });
        assert!(matches!(bad, Err(PutError::Bad(_))), "{kind:?}");
    }
    assert!(objects.pending.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn git_reads_every_pack(sizes in prop::collection::btree_set(0_usize..70_000, 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let mut objects = Objects::open(folder.path()).unwrap();
        for size in sizes {
            let content: Vec<u8> = (0..size).map(|n| (n * n % 253) as u8).collect();
            let id = objects.put(blob(content.clone())).unwrap();
            objects.flush().unwrap();
            prop_assert_eq!(objects.read(id), Some(blob(content)));
        }
    }
}
