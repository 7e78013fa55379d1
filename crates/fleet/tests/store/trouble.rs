//! Databases that are away, full, damaged, foreign or closed.

use crate::{File, Place, Served, given::*};
use abide_fleet::store::{StoreError, Trouble, open};
use abide_lab::Postgres;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// What a person reads, with the cause behind it.
fn sentence(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

fn refused(database: &str) -> StoreError {
    open(database).err().expect("it should not open")
}

pub(crate) fn a_later_form_is_refused(place: &dyn Place) {
    drop(place.open());
    place.run("UPDATE schema SET version = 7");
    let error = refused(&place.name());
    assert!(matches!(error, StoreError::Later { found: 7, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("has form 7, and this release knows 1: run the release"), "{error}");
    place.run("UPDATE schema SET version = 1");
    drop(place.open());
}

pub(crate) fn what_is_not_ours_is_damage_and_no_panic(place: &dyn Place) {
    let store = place.open();
    enroll(&*store, &["a"]);
    for (column, value) in [("labels", "'{'"), ("earlier", "'7'"), ("hub", "'both'"), ("name", "'No Name'")] {
        place.run(&format!("UPDATE machine SET {column} = {value}"));
        let error = store.changes(0).unwrap_err();
        assert_eq!(error.trouble(), Some(Trouble::Damaged), "{}", sentence(&error));
        place.run("DELETE FROM machine");
        enroll(&*store, &["a"]);
    }
    place.run("DELETE FROM counter");
    assert_eq!(store.changes(0).unwrap_err().trouble(), Some(Trouble::Damaged));
    assert_eq!(store.record(NOW, &[here("a", "hub")]).unwrap_err().trouble(), Some(Trouble::Damaged));
}

#[test]
fn the_file_is_its_users_alone() {
    let file = File::new();
    let store = file.open();
    enroll(&*store, &["a"]);
    for entry in fs::read_dir(Path::new(&file.name()).parent().unwrap()).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let file = File::new();
    fs::write(file.name(), "not a database ".repeat(1000)).unwrap();
    let error = refused(&file.name());
    assert_eq!(error.trouble(), Some(Trouble::Damaged));
    let said = sentence(&error).replace(&file.name(), "FILE");
    insta::assert_snapshot!(said, @"opening the store, in FILE: it is damaged; stop the hub, put the database aside and restore the last backup: file is not a database");
    let folder = file.name() + "/no folder";
    assert_eq!(refused(&folder).trouble(), Some(Trouble::Rights));
}

#[test]
fn a_file_that_is_damaged_in_the_middle_says_so() {
    let file = File::new();
    let names: Vec<String> = (0..200).map(|n| format!("machine-{n}")).collect();
    let store = file.open();
    enroll(&*store, &names.iter().map(String::as_str).collect::<Vec<_>>());
    drop(store);
    let mut bytes = fs::read(file.name()).unwrap();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0xa5);
    fs::write(file.name(), bytes).unwrap();
    let error = open(&file.name()).and_then(|store| store.changes(0)).unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::Damaged), "{}", sentence(&error));
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    abide_lab::run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", at]);
    let mounted = Mounted(at.to_owned());
    let store = open(&format!("{at}/hub.sqlite")).unwrap();
    let term = lead(&*store);
    let mut count = 0;
    let error = loop {
        match store.append(&term, "fleet", &[7; 30_000]) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
        assert!(count < 100, "the disk isn't full");
    };
    assert_eq!(error.trouble(), Some(Trouble::Full), "{}", sentence(&error));
    assert_eq!(store.journal("fleet").unwrap().len(), count);
    abide_lab::run("mount", &["-o", "remount,size=4m", at]);
    store.append(&term, "fleet", &[8]).unwrap();
    assert_eq!(store.journal("fleet").unwrap().len(), count + 1);
    drop((store, mounted));
}

/// Unmounted when dropped.
struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        abide_lab::run("umount", &["--lazy", &self.0]);
    }
}

#[test]
fn a_server_is_known_by_its_certificate_and_we_by_a_password() {
    let server = Postgres::shared();
    let (database, roots) = (server.database(), server.authority());
    let sealed = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    let store = open(&server.tcp_url(&database, "localhost", &sealed)).unwrap();
    enroll(&*store, &["a"]);
    let in_use = server.query(&database, "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'abide hub'");
    assert_eq!(in_use, "1");
    drop(open(&server.tcp_url(&database, "127.0.0.1", "sslmode=disable")).unwrap());

    // Its certificate is for localhost.
    let by_address = refused(&server.tcp_url(&database, "127.0.0.1", &sealed));
    assert!(sentence(&by_address).contains("certificate not valid for name"), "{}", sentence(&by_address));
    let another = tempfile::tempdir().unwrap();
    let other = Postgres::start();
    let wrong = another.path().join("wrong.pem");
    fs::copy(other.authority(), &wrong).unwrap();
    let by_other = refused(&server.tcp_url(&database, "localhost", &format!("sslrootcert={}", wrong.display())));
    assert!(sentence(&by_other).contains("invalid peer certificate"), "{}", sentence(&by_other));
    let password = server.tcp_url(&database, "localhost", &sealed).replace("not%20so", "very");
    let by_password = refused(&password);
    assert_eq!(by_password.trouble(), Some(Trouble::Rights));
    let said = sentence(&by_password);
    assert!(said.contains("password authentication failed") && !said.contains("very"), "{said}");
}

#[test]
fn a_user_who_may_not_is_told_so() {
    let server = Postgres::shared();
    let database = server.database();
    let user = format!("guest_of_{database}");
    server.query(&database, &format!("REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE USER {user}"));
    let url = server.url(&database).replace("postgres@", &format!("{user}@"));
    assert_eq!(refused(&url).trouble(), Some(Trouble::Rights));
    // All that is needed, once.
    server.query(&database, &format!("GRANT CREATE ON SCHEMA public TO {user}"));
    enroll(&*open(&url).unwrap(), &["a"]);
}

/// A server that crashes while all write: what it confirmed is there, and what it didn't is there whole or not at all.
#[test]
fn a_server_may_crash_at_any_time() {
    const WRITERS: u8 = 4;
    let server = Postgres::start();
    let url = server.url(&server.database());
    let store = open(&url).unwrap();
    let term = lead(&*store);
    let (confirmed, is_over, count) = (Mutex::new(Vec::new()), AtomicBool::new(false), AtomicUsize::new(0));
    let write = |writer: u8| {
        for n in 0u32.. {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let frame = [&[writer][..], &n.to_be_bytes()].concat();
            match store.append(&term, "fleet", &frame) {
                Ok(()) => {
                    confirmed.lock().unwrap().push(frame);
                    count.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => {
                    let expected = [Some(Trouble::Away), Some(Trouble::Uncertain)];
                    assert!(expected.contains(&error.trouble()), "{}", sentence(&error));
                    // A hub waits, too, before it looks again.
                    thread::yield_now();
                }
            }
        }
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        for crash in 1..=3 {
            // Only while they get on.
            while count.load(Ordering::SeqCst) < crash * 40 && writers.iter().all(|writer| !writer.is_finished()) {
                thread::yield_now();
            }
            if crash == 2 {
                server.stop();
            } else {
                server.kill();
            }
            server.back();
        }
        is_over.store(true, Ordering::SeqCst);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
    let kept = store.journal("fleet").unwrap();
    let confirmed = confirmed.into_inner().unwrap();
    assert!(confirmed.iter().all(|frame| kept.contains(frame)), "something confirmed is lost");
    assert!(kept.iter().all(|frame| frame.len() == 5));
    let mut once = kept.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), kept.len(), "something is there twice");
    assert_eq!(open(&url).unwrap().journal("fleet").unwrap(), kept);
}

/// A machine that is stopped answers no more, and its system goes on confirming what arrives.
#[test]
fn a_server_that_hangs_holds_nobody_for_ever() {
    let server = Postgres::start();
    let store = open(&server.url(&server.database())).unwrap();
    server.freeze(true);
    let error = store.changes(0).unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::Away), "{}", sentence(&error));
    server.freeze(false);
    store.changes(0).unwrap();
}

/// As a hub does: from a thread of a runtime, where waiting by its means would panic.
#[test]
fn it_may_be_asked_from_a_runtime() {
    let place = Served::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = place.open();
        enroll(&*store, &["a"]);
        assert_eq!(store.changes(0).unwrap().machines.len(), 1);
    });
}
