//! SQLite's files as a power cut leaves them: whatever was confirmed is there, and nothing by halves.

use crate::{File, Place, given::*};
use std::{fs, path::Path};

/// Copies the file, and so much of the log beside it.
fn cut(from: &Path, log_bytes: usize) -> File {
    let copy = File::new();
    let to = copy.name();
    fs::copy(from, &to).unwrap();
    let log = fs::read(from.with_extension("sqlite-wal")).unwrap();
    fs::write(Path::new(&to).with_extension("sqlite-wal"), &log[..log_bytes.min(log.len())]).unwrap();
    copy
}

fn log_bytes(of: &Path) -> usize {
    fs::metadata(of.with_extension("sqlite-wal")).unwrap().len().try_into().unwrap()
}

#[test]
fn what_was_confirmed_is_there() {
    let file = File::new();
    let (store, path) = (file.open(), file.name());
    let term = lead(&*store);
    // Far enough for the log to be taken into the file on the way.
    for n in 0..100u8 {
        store.append(&term, "fleet", &vec![n; 60_000]).unwrap();
        if n % 9 == 0 {
            let copy = cut(Path::new(&path), usize::MAX);
            let opened = copy.open();
            assert_eq!(opened.journal("fleet").unwrap(), store.journal("fleet").unwrap());
            assert!(opened.lead("first", NOW, TTL).unwrap().is_some_and(|found| found == term));
        }
    }
}

#[test]
fn a_torn_log_loses_its_end_and_no_more() {
    let file = File::new();
    let (store, path) = (file.open(), file.name());
    enroll(&*store, &["a"]);
    let (term, path) = (lead(&*store), Path::new(&path));
    let begin = log_bytes(path);
    let ends: Vec<usize> = (0..8u8)
        .map(|n| {
            store.append(&term, "fleet", &[n; 3000]).unwrap();
            store.record(NOW, &[session("a", &n.to_string())]).unwrap();
            log_bytes(path)
        })
        .collect();
    let end = *ends.last().unwrap();
    for bytes in (begin..=end).step_by(509).chain(ends.iter().flat_map(|end| [end - 1, *end])) {
        let copy = cut(path, bytes);
        let torn = copy.open();
        let whole = ends.iter().filter(|end| **end <= bytes).count();
        let (frames, machine) = (torn.journal("fleet").unwrap().len(), machine(&*torn, "a"));
        // Of the pair that was cut, the first may have come through.
        assert!(frames == whole || frames == whole + 1, "{frames} of {whole} at {bytes}");
        let last = whole.checked_sub(1).map(|n| n.to_string());
        assert_eq!(machine.session, last, "at {bytes}");
        assert_eq!(torn.changes(0).unwrap().upto, machine.version, "the counter goes with what it counts");
    }
}
