//! Following a repository of this machine.

use crate::support::{Patience, Place, helper, next, said, text, volume};
use abide_git::{GitSource, cache, location::BadLocation, revision::reopen};
use abide_reconcile::{Fault, Source};
use std::{
    fs,
    io::Read,
    os::unix::fs::chown,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

#[test]
fn each_change_is_said_once() {
    let place = Place::new();
    let mut source = place.follow();
    let revision = next(&mut source).unwrap();
    assert_eq!(said(&revision), "refused: there is no branch main yet; push it, or follow another with `--branch`");

    let a = place.push_volume("a");
    let revision = next(&mut source).unwrap();
    assert_eq!((said(&revision), revision.commit, revision.summary), ("a".into(), a.clone(), "add a".into()));
    let b = place.push_volume("b");
    assert_eq!(next(&mut source).unwrap().commit, b);
    place.git("work", &["reset", "-q", "--hard", &a]);
    place.push();
    assert_eq!(next(&mut source).unwrap().commit, a, "going back is news");

    place.git("bare.git", &["pack-refs", "--all"]);
    assert_eq!(source.next(&Patience::of(1.0)).unwrap_err(), Fault::Cancelled, "packing is none");
    place.git("bare.git", &["update-ref", "-d", "refs/heads/main"]);
    let revision = next(&mut source).unwrap();
    assert_eq!(revision.commit, "");
    assert_eq!(
        said(&revision),
        "refused: branch main was deleted; what runs, runs on. Push it again, or give the source up with \
         `abide source remove infra`"
    );
    place.push();
    assert_eq!(next(&mut source).unwrap().commit, a);
}

#[test]
fn a_change_is_noticed_at_once() {
    let place = Place::new();
    place.push_volume("a");
    let mut source = place.follow();
    next(&mut source).unwrap();
    std::thread::scope(|scope| {
        let pushed = scope.spawn(|| {
            place.push_volume("b");
            Instant::now()
        });
        assert_eq!(said(&next(&mut source).unwrap()), "b");
        let took = pushed.join().unwrap().elapsed();
        assert!(took < Duration::from_secs(3), "well before the slow poll: {took:?}");
    });
}

#[test]
fn what_was_said_before_a_restart_is_not_said_again() {
    let place = Place::new();
    let commit = place.push_volume("a");
    let mut settings = place.settings(&format!("file://{}", text(&place.path("bare.git"))), |_| {});
    settings.said = Some(commit);
    let mut source = GitSource::new(settings).unwrap();
    assert_eq!(source.next(&Patience::of(1.0)).unwrap_err(), Fault::Cancelled);
    source.waker().wake();
    assert_eq!(source.next(&Patience::of(1.0)).unwrap_err(), Fault::Cancelled);
    place.push_volume("b");
    assert_eq!(said(&next(&mut source).unwrap()), "b");
}

#[test]
fn an_accepted_commit_is_reopened_without_its_repository() {
    let place = Place::new();
    let a = place.push_volume("a");
    let mut source = place.follow();
    next(&mut source).unwrap();
    place.push_volume("b");
    next(&mut source).unwrap();
    fs::remove_dir_all(place.path("bare.git")).unwrap();
    let settings = place.settings(&text(&place.path("bare.git")), |_| {});
    assert_eq!(said(&reopen(&settings, &a).unwrap()), "a");
    let Fault::Again(why) = next(&mut source).unwrap_err() else { panic!() };
    assert!(why.contains("bare.git can't be followed: No such file or directory"), "{why}");
    assert!(reopen(&settings, &"1".repeat(40)).is_err());
}

#[test]
fn a_path_narrows_and_is_named_where_it_is_wrong() {
    let place = Place::new();
    place.write("hosts/a/volume.yaml", volume("a"));
    place.write("hosts/b/bad.yaml", "kind: [");
    place.commit("two hosts");
    place.push();
    let url = text(&place.path("bare.git"));
    let at =
        |path: &str| GitSource::new(place.settings(&url, |settings| settings.repository.path = Some(path.to_owned())));
    let say = |path: &str| said(&next(&mut at(path).unwrap()).unwrap());
    assert_eq!(say("hosts/a"), "a");
    assert_eq!(say("/hosts/a/"), "a");
    assert!(say("hosts/b").starts_with("refused: hosts/b/bad.yaml:1:"), "{}", say("hosts/b"));
    assert_eq!(say("hosts/c"), "refused: the path `hosts/c` is not a folder of it: hosts/c is not there");
    assert_eq!(
        say("hosts/a/volume.yaml"),
        "refused: the path `hosts/a/volume.yaml` is not a folder of it: a file is there"
    );
    for outside in ["../x", "hosts/../../x"] {
        assert!(matches!(at(outside), Err(BadLocation::Outside(_))), "{outside}");
    }
}

#[test]
fn a_branch_is_a_branch() {
    let place = Place::new();
    place.write("a.yaml", volume("a"));
    place.commit("on a branch with a slash");
    place.git("work", &["push", "-q", "../bare.git", "HEAD:hosts/a"]);
    let of = |branch: &str| {
        let url = text(&place.path("bare.git"));
        GitSource::new(place.settings(&url, |settings| settings.repository.branch = branch.to_owned()))
    };
    assert_eq!(said(&next(&mut of("hosts/a").unwrap()).unwrap()), "a");
    assert!(said(&next(&mut of("hosts").unwrap()).unwrap()).contains("there is no branch hosts yet"));
    for bad in ["../config", "", "a\nb", "a..b"] {
        assert!(matches!(of(bad), Err(BadLocation::Branch(_))), "{bad:?}");
    }
}

#[test]
fn formats_that_cannot_be_read_are_named() {
    for (flag, text_wanted) in [
        ("--ref-format=reftable", "run `git refs migrate --ref-format=files` in it"),
        ("--object-format=sha256", "is a SHA-256 repository, which abide can't read yet"),
    ] {
        let place = Place::new();
        place.git(".", &["init", "-q", "--bare", flag, "other.git"]);
        let mut source = GitSource::new(place.settings(&text(&place.path("other.git")), |_| {})).unwrap();
        let Fault::Again(why) = next(&mut source).unwrap_err() else { panic!() };
        assert!(why.contains(text_wanted), "{why}");
    }
}

#[test]
fn stale_locks_stop_nothing() {
    let place = Place::new();
    place.push_volume("a");
    let mut source = place.follow();
    next(&mut source).unwrap();
    for name in ["HEAD.lock", "config.lock", "packed-refs.lock", "refs/heads/main.lock", "shallow.lock", "index.lock"] {
        fs::write(place.path("state/repo.git").join(name), "").unwrap();
    }
    fs::write(place.path("state/repo.git/objects/pack/pack_git2_1234"), "").unwrap();
    place.push_volume("b");
    for name in ["HEAD.lock", "config.lock", "packed-refs.lock", "refs/heads/main.lock"] {
        fs::write(place.path("bare.git").join(name), "").unwrap();
    }
    assert_eq!(said(&next(&mut source).unwrap()), "b");
    assert!(!place.path("state/repo.git/objects/pack/pack_git2_1234").exists());
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let place = Place::new();
    place.push_volume("a");
    let mut source = place.follow();
    next(&mut source).unwrap();
    for entry in fs::read_dir(place.path("state/repo.git/objects/pack")).unwrap() {
        fs::write(entry.unwrap().path(), "not a pack").unwrap();
    }
    let b = place.push_volume("b");
    assert_eq!(next(&mut source).unwrap().commit, b);
    fs::remove_dir_all(place.path("state/repo.git/objects")).unwrap();
    place.push_volume("c");
    assert_eq!(said(&next(&mut source).unwrap()), "c");
}

#[test]
fn many_packs_become_one_and_keep_what_must_be_kept() {
    let place = Place::new();
    let a = place.push_volume("a");
    let mut source = place.follow();
    next(&mut source).unwrap();
    for n in 0..500 {
        fs::write(place.path("state/repo.git/objects/pack").join(format!("pack-{n:040}.pack")), "").unwrap();
    }
    let b = place.push_volume("b");
    assert_eq!(next(&mut source).unwrap().commit, b);
    let packs = fs::read_dir(place.path("state/repo.git/objects/pack")).unwrap();
    assert!(packs.count() < 10);
    assert!(!place.path("state/repo.git.old").exists());
    let settings = place.settings("/nowhere", |_| {});
    assert_eq!([&a, &b].map(|commit| said(&reopen(&settings, commit).unwrap())), ["a", "b"]);
    place.git("state/repo.git", &["fsck", "--strict", &b]);
}

#[test]
fn the_objects_that_a_swap_left_behind_are_found() {
    let place = Place::new();
    let a = place.push_volume("a");
    next(&mut place.follow()).unwrap();
    fs::rename(place.path("state/repo.git"), place.path("state/repo.git.old")).unwrap();
    assert_eq!(said(&reopen(&place.settings("/nowhere", |_| {}), &a).unwrap()), "a");
    let mut source = place.follow();
    place.push_volume("b");
    assert_eq!(said(&next(&mut source).unwrap()), "b");
    assert_eq!(said(&reopen(&place.settings("/nowhere", |_| {}), &a).unwrap()), "a");
}

#[test]
fn ten_thousand_files() {
    let place = Place::new();
    for n in 0..10_000 {
        place.write(&format!("{}/{n}.txt", n % 100), n.to_string());
    }
    place.write("a.yaml", volume("a"));
    place.commit("many");
    place.push();
    let mut source = place.follow();
    assert_eq!(said(&next(&mut source).unwrap()), "a");
    place.write("a.yaml", volume("b"));
    place.commit("one more");
    place.push();
    assert_eq!(said(&next(&mut source).unwrap()), "b");
    let repository = cache::open(&place.path("state")).unwrap();
    let packs = fs::read_dir(repository.path().join("objects/pack")).unwrap();
    let sizes = packs.map(|entry| entry.unwrap()).filter(|entry| entry.path().extension().unwrap() == "pack");
    let smallest = sizes.map(|entry| entry.metadata().unwrap().len()).min().unwrap();
    assert!(smallest < 20_000, "the second brings what changed: {smallest}");
}

/// Bytes that can't be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_push_larger_than_its_bound_is_refused_and_leaves_nothing() {
    let place = Place::new();
    place.write("blob", noise(2 << 20));
    place.push_volume("a");
    let mut settings = place.settings(&text(&place.path("bare.git")), |_| {});
    settings.bounds.pack_bytes = 1 << 20;
    let Fault::Again(why) = next(&mut GitSource::new(settings).unwrap()).unwrap_err() else { panic!() };
    assert!(why.contains("the commit has more bytes than a source may have"), "{why}");
    assert!(!place.path("state/repo.git").exists());
}

/// Gives a repository to `nobody`, in folders that it can get through.
fn give_away(place: &Place, repository: &Path) {
    assert!(is_root(), "this test needs root");
    for folder in [place.path("."), repository.to_owned()] {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let status = Command::new("chown").arg("-R").arg("65534:65534").arg(repository).status().unwrap();
    assert!(status.success());
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0
}

#[test]
fn anothers_repository_is_read_with_its_rights() {
    let place = Place::new();
    place.push_volume("a");
    give_away(&place, &place.path("bare.git"));
    let mut source = place.follow();
    assert_eq!(said(&next(&mut source).unwrap()), "a");

    // The owner points to objects that it could not read itself: neither can we, for its sake.
    place.git(".", &["init", "-q", "--bare", "-b", "main", "secret.git"]);
    place.write("volume.yaml", volume("secret"));
    let secret = place.commit("secret");
    place.git("work", &["push", "-q", "../secret.git", "HEAD:main"]);
    fs::set_permissions(place.path("secret.git"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let bare = place.path("bare.git");
    fs::write(bare.join("objects/info/alternates"), text(&place.path("secret.git/objects"))).unwrap();
    fs::write(bare.join("refs/heads/main"), secret + "\n").unwrap();
    chown(bare.join("refs/heads/main"), Some(65534), Some(65534)).unwrap();
    let Fault::Again(why) = next(&mut source).unwrap_err() else { panic!() };
    assert!(why.contains("not found"), "{why}");
}

#[test]
fn a_program_that_the_owner_cannot_reach_reads_for_it() {
    let place = Place::new();
    let commit = place.push_volume("a");
    give_away(&place, &place.path("bare.git"));
    fs::create_dir(place.path("private")).unwrap();
    fs::set_permissions(place.path("private"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::copy(helper(), place.path("private/helper")).unwrap();
    let arguments = format!("{}\n{}", text(&place.path("bare.git")), text(&place.path("state")));
    let output = Command::new(place.path("private/helper")).arg("follow").arg(arguments).output().unwrap();
    assert_eq!(String::from_utf8([output.stdout, output.stderr].concat()).unwrap().trim(), commit);
}

/// A small file system, unmounted when dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(path: std::path::PathBuf) -> Self {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "small"]).arg(&path).status().unwrap();
        assert!(mount.success(), "this test needs the right to mount");
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let place = Place::new();
    let small = Small::mount(place.path("state"));
    let a = place.push_volume("a");
    let mut source = place.follow();
    next(&mut source).unwrap();
    place.write("noise", noise(2 << 20));
    let b = place.push_volume("b");
    let Fault::Again(why) = next(&mut source).unwrap_err() else { panic!() };
    assert!(why.contains("No space left on device"), "{why}");
    assert_eq!(said(&reopen(&place.settings("/nowhere", |_| {}), &a).unwrap()), "a");
    let status = Command::new("mount").args(["-o", "remount,size=8m"]).arg(place.path("state")).status().unwrap();
    assert!(status.success());
    assert_eq!(next(&mut source).unwrap().commit, b);
    drop(small);
}

#[test]
fn only_one_writes_to_a_cache() {
    let place = Place::new();
    place.push_volume("a");
    let lock = fs::File::create(place.path("state/lock")).unwrap();
    lock.lock().unwrap();
    let Fault::Again(why) = next(&mut place.follow()).unwrap_err() else { panic!() };
    assert!(why.contains("is being written by another process"), "{why}");
    drop(lock);
    assert_eq!(said(&next(&mut place.follow()).unwrap()), "a");
}
